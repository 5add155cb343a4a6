
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


#define NGX_HTTP_CREDGATE_HEADERS_BATCH  8


static ngx_int_t ngx_http_credgate_headers_apply(ngx_http_credgate_ctx_t *ctx,
    credgate_outcome *outcome, ngx_uint_t set);
static ngx_int_t ngx_http_credgate_headers_set_one(
    ngx_http_credgate_ctx_t *ctx, credgate_header *header);


/*
 * Sets the outcome's headers.  Removes the client's headers of the same names,
 * with '_' in place of '-' too, because an upstream may not distinguish them.
 */

ngx_int_t
ngx_http_credgate_headers_set(ngx_http_credgate_ctx_t *ctx)
{
    return ngx_http_credgate_headers_apply(ctx, &ctx->outcome, 1);
}


/* removes the outcome's headers, before another gate decides */

ngx_int_t
ngx_http_credgate_headers_clear(ngx_http_credgate_ctx_t *ctx)
{
    return ngx_http_credgate_headers_apply(ctx, &ctx->outcome, 0);
}


/* removes all headers that the gate may set, because it is bypassed */

ngx_int_t
ngx_http_credgate_headers_strip(ngx_http_credgate_ctx_t *ctx)
{
    ngx_int_t         rc;
    credgate_outcome  outcome;

    ngx_memzero(&outcome, sizeof(credgate_outcome));
    outcome.struct_size = sizeof(credgate_outcome);

    if (credgate_gate_bypass(ctx->gate->handle, &outcome) != CREDGATE_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_credgate_headers_apply(ctx, &outcome, 0);

    credgate_outcome_release(&outcome);

    ngx_http_credgate_headers_remove_authorization(ctx);

    return rc;
}


static ngx_int_t
ngx_http_credgate_headers_apply(ngx_http_credgate_ctx_t *ctx,
    credgate_outcome *outcome, ngx_uint_t set)
{
    size_t           i, n, first;
    credgate_header  headers[NGX_HTTP_CREDGATE_HEADERS_BATCH];

    if (outcome->authorization_only) {
        headers[0].name = "authorization";
        headers[0].name_len = sizeof("authorization") - 1;
        headers[0].value = set ? outcome->authorization : NULL;
        headers[0].value_len = outcome->authorization_len;

        return ngx_http_credgate_headers_set_one(ctx, &headers[0]);
    }

    first = 0;

    do {
        if (credgate_outcome_headers(outcome, first, headers,
                                     NGX_HTTP_CREDGATE_HEADERS_BATCH,
                                     sizeof(credgate_header), &n)
            != CREDGATE_OK)
        {
            return NGX_ERROR;
        }

        for (i = 0; i < n; i++) {

            if (!set) {
                headers[i].value = NULL;
            }

            if (ngx_http_credgate_headers_set_one(ctx, &headers[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }

        first += n;

    } while (n == NGX_HTTP_CREDGATE_HEADERS_BATCH);

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_headers_set_one(ngx_http_credgate_ctx_t *ctx,
    credgate_header *header)
{
    ngx_str_t            name;
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
        ngx_http_credgate_memory_overwrite_authorization(ctx);
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

        if (!exact) {
            name.data = (u_char *) header->name;
            name.len = header->name_len;

            if (!ngx_http_credgate_headers_same_name(&h[i].key, &name)) {
                continue;
            }
        }

        /* the first header of exactly this name receives the value */

        if (exact && set == NULL && header->value) {
            set = &h[i];
            continue;
        }

        ngx_http_credgate_headers_remove(ctx, &h[i]);
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

    /* the outcome lives as long as the request, so this needs no copy */

    set->value.data = (u_char *) header->value;
    set->value.len = header->value_len;

    if (is_authorization) {
        r->headers_in.authorization = set;
        ctx->authorization = set;
    }

    return NGX_OK;
}


/* compares names in any case, with '_' and '-' taken as the same */

ngx_uint_t
ngx_http_credgate_headers_same_name(ngx_str_t *name, ngx_str_t *other)
{
    u_char  a, b;
    size_t  i;

    if (name->len != other->len) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        a = ngx_tolower(name->data[i]);
        b = ngx_tolower(other->data[i]);

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
 * nginx points to the elements of the list, so none can be unlinked.  An empty
 * header with the name of a hop-by-hop header does not reach an upstream.
 */

void
ngx_http_credgate_headers_remove(ngx_http_credgate_ctx_t *ctx,
    ngx_table_elt_t *h)
{
    ngx_http_request_t  *r;

    static u_char  name[] = "keep-alive";

    r = ctx->request;

    ngx_http_credgate_memory_overwrite_header(ctx, h);

    if (r->headers_in.authorization == h) {
        r->headers_in.authorization = NULL;
    }

    h->key.data = name;
    h->key.len = sizeof(name) - 1;
    h->lowcase_key = name;
    h->hash = ngx_hash_key(name, sizeof(name) - 1);

    ngx_str_null(&h->value);
}


void
ngx_http_credgate_headers_remove_authorization(ngx_http_credgate_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_http_credgate_memory_overwrite_authorization(ctx);

    if (r->headers_in.authorization) {
        ngx_http_credgate_headers_remove(ctx, r->headers_in.authorization);
    }
}
