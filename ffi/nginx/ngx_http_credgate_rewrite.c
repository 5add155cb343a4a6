
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


#define NGX_HTTP_CREDGATE_HEADERS_AT_ONCE  8


static ngx_int_t ngx_http_credgate_each_header(ngx_http_credgate_ctx_t *ctx,
    ngx_uint_t set);
static ngx_int_t ngx_http_credgate_set_header(ngx_http_credgate_ctx_t *ctx,
    credgate_header *header);
static ngx_uint_t ngx_http_credgate_same_name(ngx_str_t *name,
    credgate_header *header);
static void ngx_http_credgate_remove_header(ngx_http_request_t *r,
    ngx_table_elt_t *h);
static ngx_int_t ngx_http_credgate_hide(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query);


/*
 * Before anything else: overwrites secrets in the request line, which nginx
 * logs in "$request" and with every error.  The request itself goes on with
 * copies, as what else it is made of points into the same memory.
 */

ngx_int_t
ngx_http_credgate_post_read_handler(ngx_http_request_t *r)
{
    size_t                         len;
    u_char                        *p, *last;
    ngx_str_t                      uri, args;
    ngx_http_credgate_srv_conf_t  *cscf;

    if (r->args.len == 0) {
        return NGX_DECLINED;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_credgate_module);

    if (!cscf->used) {
        return NGX_DECLINED;
    }

    uri = r->unparsed_uri;
    args = r->args;

    r->unparsed_uri.data = ngx_pstrdup(r->pool, &uri);
    if (r->unparsed_uri.data == NULL) {
        r->unparsed_uri = uri;
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_credgate_within(&args, uri.data, uri.data + uri.len)) {
        r->args.data = r->unparsed_uri.data + (args.data - uri.data);

    } else {
        r->args.data = ngx_pstrdup(r->pool, &args);
        if (r->args.data == NULL) {
            ngx_str_null(&r->args);
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_http_credgate_redact(args.data, args.len);

    last = r->request_line.data + r->request_line.len;

    if (!ngx_http_credgate_within(&args, r->request_line.data, last)) {

        /* HTTP/2 has no request line; nginx makes one up */

        p = ngx_strlchr(r->request_line.data, last, '?');

        if (p) {
            p++;
            len = last - p;

            ngx_http_credgate_redact(p, ngx_min(args.len, len));
        }
    }

    return NGX_DECLINED;
}


/*
 * Takes credentials out of what goes upstream.  valid_unparsed_uri stays: the
 * upstream gets the path in the client's own encoding.
 */

ngx_int_t
ngx_http_credgate_hide_query(ngx_http_credgate_ctx_t *ctx)
{
    u_char              *p;
    ngx_str_t            uri, query;
    ngx_http_request_t  *r;

    r = ctx->request;

    uri = r->unparsed_uri;
    p = ngx_strlchr(uri.data, uri.data + uri.len, '?');

    if (p) {
        query.data = p + 1;
        query.len = uri.data + uri.len - query.data;

        if (ngx_http_credgate_hide(ctx, &query) != NGX_OK) {
            return NGX_ERROR;
        }

        if (query.data != p + 1) {
            r->unparsed_uri.data = ngx_pnalloc(r->pool, uri.len);
            if (r->unparsed_uri.data == NULL) {
                return NGX_ERROR;
            }

            /* the question mark goes with the last parameter */

            uri.len = p - uri.data + (query.len ? 1 : 0);

            p = ngx_cpymem(r->unparsed_uri.data, uri.data, uri.len);
            p = ngx_cpymem(p, query.data, query.len);

            r->unparsed_uri.len = p - r->unparsed_uri.data;
        }
    }

    /* a rewrite may have made arguments of its own from the client's */

    return ngx_http_credgate_hide(ctx, &r->args);
}


/* the query is a new one only where something was hidden */

static ngx_int_t
ngx_http_credgate_hide(ngx_http_credgate_ctx_t *ctx, ngx_str_t *query)
{
    char    *out;
    size_t   len;

    if (query->len == 0) {
        return NGX_OK;
    }

    out = ngx_pnalloc(ctx->request->pool, query->len);
    if (out == NULL) {
        return NGX_ERROR;
    }

    if (credgate_gate_hide_query(ctx->gate, (char *) query->data, query->len,
                                 out, query->len, &len)
        != CREDGATE_OK)
    {
        return NGX_ERROR;
    }

    if (len != query->len) {

        /* variables that were evaluated before this point to the old memory */

        ngx_http_credgate_overwrite_query(ctx, query);

        query->data = (u_char *) out;
        query->len = len;
    }

    return NGX_OK;
}


/*
 * Sets what the outcome says of the request's headers, and empties what the
 * client sent under the same names, in any spelling that an upstream may take
 * for them.
 */

ngx_int_t
ngx_http_credgate_set_headers(ngx_http_credgate_ctx_t *ctx)
{
    return ngx_http_credgate_each_header(ctx, 1);
}


/* another gate is about to judge the request */

ngx_int_t
ngx_http_credgate_empty_headers(ngx_http_credgate_ctx_t *ctx)
{
    return ngx_http_credgate_each_header(ctx, 0);
}


static ngx_int_t
ngx_http_credgate_each_header(ngx_http_credgate_ctx_t *ctx, ngx_uint_t set)
{
    size_t           i, n, first;
    credgate_header  headers[NGX_HTTP_CREDGATE_HEADERS_AT_ONCE];

    if (ctx->outcome.authorization_only) {
        headers[0].name = "authorization";
        headers[0].name_len = sizeof("authorization") - 1;
        headers[0].value = set ? ctx->outcome.authorization : NULL;
        headers[0].value_len = ctx->outcome.authorization_len;

        return ngx_http_credgate_set_header(ctx, &headers[0]);
    }

    first = 0;

    do {
        if (credgate_outcome_headers(&ctx->outcome, first, headers,
                                     NGX_HTTP_CREDGATE_HEADERS_AT_ONCE, &n)
            != CREDGATE_OK)
        {
            return NGX_ERROR;
        }

        for (i = 0; i < n; i++) {

            if (!set) {
                headers[i].value = NULL;
            }

            if (ngx_http_credgate_set_header(ctx, &headers[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        first += n;

    } while (n == NGX_HTTP_CREDGATE_HEADERS_AT_ONCE);

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_set_header(ngx_http_credgate_ctx_t *ctx,
    credgate_header *header)
{
    ngx_uint_t           i, exact, is_authorization;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h, *set;
    ngx_http_request_t  *r;

    r = ctx->request;
    set = NULL;

    is_authorization = header->name_len == sizeof("authorization") - 1
                       && ngx_memcmp(header->name, "authorization",
                                     header->name_len)
                          == 0;

    if (is_authorization) {
        ngx_http_credgate_overwrite_authorization(ctx);
    }

    part = &r->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len != header->name_len) {
            continue;
        }

        exact = h[i].lowcase_key
                && ngx_memcmp(h[i].lowcase_key, header->name, h[i].key.len)
                   == 0;

        if (!exact && !ngx_http_credgate_same_name(&h[i].key, header)) {
            continue;
        }

        /* the first of exactly this name is used again */

        if (exact && set == NULL && header->value) {
            set = &h[i];
            continue;
        }

        ngx_http_credgate_remove_header(r, &h[i]);
    }

    if (header->value == NULL) {
        return NGX_OK;
    }

    if (set == NULL) {
        set = ngx_list_push(&r->headers_in.headers);
        if (set == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(set, sizeof(ngx_table_elt_t));

        set->key.data = ngx_pnalloc(r->pool, header->name_len);
        if (set->key.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(set->key.data, header->name, header->name_len);

        set->key.len = header->name_len;
        set->lowcase_key = set->key.data;
        set->hash = ngx_hash_key(set->lowcase_key, set->key.len);
    }

    /* no copy: the outcome lives as long as the request */

    set->value.data = (u_char *) header->value;
    set->value.len = header->value_len;

    if (is_authorization) {
        r->headers_in.authorization = set;
        ctx->authorization = set;
    }

    return NGX_OK;
}


/* of names that are as long as each other */

static ngx_uint_t
ngx_http_credgate_same_name(ngx_str_t *name, credgate_header *header)
{
    u_char  a, b;
    size_t  i;

    for (i = 0; i < name->len; i++) {
        a = ngx_tolower(name->data[i]);
        b = (u_char) header->name[i];

        if (a == '_') {
            a = '-';
        }

        if (b == '_') {
            b = '-';
        }

        if (a != b) {
            return 0;
        }
    }

    return 1;
}


/*
 * Elements cannot be taken out of the list: others are pointed to.  One that
 * is named like a header of the connection, and empty, goes to no upstream.
 */

static void
ngx_http_credgate_remove_header(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    static u_char  name[] = "keep-alive";

    if (r->headers_in.authorization == h) {
        r->headers_in.authorization = NULL;
    }

    h->key.data = name;
    h->key.len = sizeof(name) - 1;
    h->lowcase_key = name;
    h->hash = ngx_hash_key(name, sizeof(name) - 1);

    ngx_str_null(&h->value);
}


/*
 * A request that was not let in here does not take credentials upstream either
 * where it goes on all the same: another module of "satisfy any" has let it in
 * by the same header or by none, or an error page leads to where no gate is.
 */

ngx_int_t
ngx_http_credgate_precontent_handler(ngx_http_request_t *r)
{
    ngx_table_elt_t          *h;
    ngx_http_credgate_ctx_t  *ctx;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_credgate_get_ctx(r);

    if (ctx == NULL || ctx->applied) {
        return NGX_DECLINED;
    }

    if (ctx->state == NGX_HTTP_CREDGATE_READING
        && ngx_http_credgate_abandon(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h = r->headers_in.authorization;

    if (h && h->value.len >= sizeof("Basic") - 1
        && ngx_strncasecmp(h->value.data, (u_char *) "Basic",
                           sizeof("Basic") - 1)
           == 0)
    {
        ngx_http_credgate_remove_authorization(ctx);
    }

    return NGX_DECLINED;
}


void
ngx_http_credgate_remove_authorization(ngx_http_credgate_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_http_credgate_overwrite_authorization(ctx);

    if (r->headers_in.authorization) {
        ngx_http_credgate_remove_header(r, r->headers_in.authorization);
    }
}
