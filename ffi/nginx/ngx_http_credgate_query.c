
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_query_hide_string(
    ngx_http_credgate_ctx_t *ctx, ngx_str_t *query);


/*
 * Overwrites secrets in the request line, which nginx logs in "$request" and
 * with every error.  The URI and the arguments point into the same memory, so
 * the request continues with copies of them.
 */

ngx_int_t
ngx_http_credgate_query_redact(ngx_http_request_t *r)
{
    size_t      len;
    u_char     *p, *last;
    ngx_str_t   uri, args;

    uri = r->unparsed_uri;
    args = r->args;

    r->unparsed_uri.data = ngx_pstrdup(r->pool, &uri);
    if (r->unparsed_uri.data == NULL) {
        r->unparsed_uri = uri;
        return NGX_ERROR;
    }

    if (ngx_http_credgate_memory_within(&args, uri.data, uri.data + uri.len)) {
        r->args.data = r->unparsed_uri.data + (args.data - uri.data);

    } else {
        r->args.data = ngx_pstrdup(r->pool, &args);
        if (r->args.data == NULL) {
            ngx_str_null(&r->args);
            return NGX_ERROR;
        }
    }

    ngx_http_credgate_redact_query(args.data, args.len);

    last = r->request_line.data + r->request_line.len;

    if (!ngx_http_credgate_memory_within(&args, r->request_line.data, last)) {

        /* for HTTP/2, nginx has composed the request line */

        p = ngx_strlchr(r->request_line.data, last, '?');

        if (p) {
            p++;
            len = last - p;

            ngx_http_credgate_redact_query(p, ngx_min(args.len, len));
        }
    }

    return NGX_OK;
}


/*
 * Removes credentials from the query that nginx sends upstream.  The flag
 * valid_unparsed_uri remains set, so that the upstream receives the path in
 * the client's encoding.
 */

ngx_int_t
ngx_http_credgate_query_hide(ngx_http_credgate_ctx_t *ctx)
{
    u_char              *p;
    ngx_str_t            uri, old_uri, old_args, query;
    ngx_http_request_t  *r;

    r = ctx->request;

    uri = r->unparsed_uri;
    old_uri = uri;
    old_args = r->args;

    p = ngx_strlchr(uri.data, uri.data + uri.len, '?');

    if (p) {
        query.data = p + 1;
        query.len = uri.data + uri.len - query.data;

        if (ngx_http_credgate_query_hide_string(ctx, &query) != NGX_OK) {
            return NGX_ERROR;
        }

        if (query.data != p + 1) {
            r->unparsed_uri.data = ngx_pnalloc(r->pool, uri.len);
            if (r->unparsed_uri.data == NULL) {
                return NGX_ERROR;
            }

            /* an empty query loses its question mark */

            uri.len = p - uri.data + (query.len ? 1 : 0);

            p = ngx_cpymem(r->unparsed_uri.data, uri.data, uri.len);
            p = ngx_cpymem(p, query.data, query.len);

            r->unparsed_uri.len = p - r->unparsed_uri.data;
        }
    }

    /* a rewrite may have built other arguments from the client's */

    if (ngx_http_credgate_query_hide_string(ctx, &r->args) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r->unparsed_uri.data != old_uri.data || r->args.data != old_args.data)
    {
        ngx_http_credgate_redact_forget(r, &old_uri);
        ngx_http_credgate_redact_forget(r, &old_args);
        ngx_http_credgate_redact_variables(r, 1);
    }

    return NGX_OK;
}


/* replaces the query only if it contained credentials */

static ngx_int_t
ngx_http_credgate_query_hide_string(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query)
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

    if (credgate_gate_hide_query(ctx->gate->handle, (char *) query->data,
                                 query->len, out, query->len, &len)
        != CREDGATE_OK)
    {
        return NGX_ERROR;
    }

    if (len != query->len) {

        /* variables that are already evaluated point to the old memory */

        ngx_http_credgate_memory_overwrite_query(ctx, query);

        query->data = (u_char *) out;
        query->len = len;
    }

    return NGX_OK;
}
