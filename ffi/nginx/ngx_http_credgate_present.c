
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_present_copy(ngx_pool_t *pool,
    ngx_str_t *from, const char **to, size_t *len);
static void ngx_http_credgate_present_traceparent(
    ngx_http_credgate_ctx_t *ctx);


/* copies possible credentials, because the originals are overwritten */

ngx_int_t
ngx_http_credgate_present_request(ngx_http_credgate_ctx_t *ctx)
{
    credgate_request    *presented;
    ngx_http_request_t  *r;

    r = ctx->request;
    presented = &ctx->presented;

    presented->method = (char *) r->method_name.data;
    presented->method_len = r->method_name.len;

    if (r->headers_in.authorization) {
        if (ngx_http_credgate_present_copy(r->pool,
                                           &r->headers_in.authorization->value,
                                           &presented->authorization,
                                           &presented->authorization_len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (r->headers_in.content_type) {
        presented->content_type = (char *)
                                  r->headers_in.content_type->value.data;
        presented->content_type_len = r->headers_in.content_type->value.len;
    }

    if (r->args.len) {
        if (ngx_http_credgate_present_copy(r->pool, &r->args,
                                           &presented->query,
                                           &presented->query_len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_present_copy(ngx_pool_t *pool, ngx_str_t *from,
    const char **to, size_t *len)
{
    u_char  *copy;

    copy = ngx_pstrdup(pool, from);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *to = (char *) copy;
    *len = from->len;

    return NGX_OK;
}


/* evaluates the values of the gate that come with each request */

ngx_int_t
ngx_http_credgate_present_args(ngx_http_credgate_ctx_t *ctx)
{
    ngx_str_t                   value;
    ngx_uint_t                  i, n;
    ngx_array_t                *args;
    credgate_string            *arg;
    ngx_http_request_t         *r;
    ngx_http_complex_value_t  **values;

    r = ctx->request;

    /* the realip module may have replaced it since */

    ctx->presented.peer = (char *) r->connection->addr_text.data;
    ctx->presented.peer_len = r->connection->addr_text.len;

    ctx->presented.args = NULL;
    ctx->presented.args_len = 0;

    if (ctx->gate->plain) {
        return NGX_OK;
    }

    if (ctx->gate->denies) {
        return NGX_ERROR;
    }

    if (ctx->gate->client_id && ngx_http_credgate_own_present(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->gate->traceparent) {
        ngx_http_credgate_present_traceparent(ctx);
    }

    args = ctx->gate->host_args;

    if (args == NULL) {
        return NGX_OK;
    }

    values = args->elts;
    n = args->nelts;

    arg = ngx_palloc(r->pool, n * sizeof(credgate_string));
    if (arg == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (ngx_http_complex_value(r, values[i], &value) != NGX_OK) {
            return NGX_ERROR;
        }

        arg[i].data = (char *) value.data;
        arg[i].len = value.len;
    }

    ctx->presented.args = arg;
    ctx->presented.args_len = n;

    return NGX_OK;
}


/* several headers are no valid value */

static void
ngx_http_credgate_present_traceparent(ngx_http_credgate_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ctx->presented.traceparent = NULL;
    ctx->presented.traceparent_len = 0;

    part = &ctx->request->headers_in.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash == 0
            || h[i].key.len != sizeof("traceparent") - 1
            || ngx_strncasecmp(h[i].key.data, (u_char *) "traceparent",
                               sizeof("traceparent") - 1)
               != 0)
        {
            continue;
        }

        if (ctx->presented.traceparent) {
            ctx->presented.traceparent = NULL;
            ctx->presented.traceparent_len = 0;
            return;
        }

        ctx->presented.traceparent = (char *) h[i].value.data;
        ctx->presented.traceparent_len = h[i].value.len;
    }
}
