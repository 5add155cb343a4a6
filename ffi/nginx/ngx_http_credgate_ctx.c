
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void ngx_http_credgate_cleanup(void *data);
static void ngx_http_credgate_release(void *data);
#if (NGX_HTTP_V2)
static void ngx_http_credgate_wipe_preread(ngx_http_v2_connection_t *h2c);
#endif
static ngx_int_t ngx_http_credgate_present(ngx_http_credgate_ctx_t *ctx);
static ngx_int_t ngx_http_credgate_copy(ngx_pool_t *pool, ngx_str_t *from,
    const char **to, size_t *len);


ngx_http_credgate_ctx_t *
ngx_http_credgate_create_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_credgate_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_credgate_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_credgate_ctx_t));

    ctx->request = r;
    ctx->pool = r->pool;
    ctx->outcome.struct_size = sizeof(credgate_outcome);
    ctx->presented.struct_size = sizeof(credgate_request);

#if (NGX_HTTP_V2)
    if (r->stream) {
        ngx_http_credgate_wipe_later();
    }
#endif

    cln->handler = ngx_http_credgate_cleanup;
    ngx_http_set_ctx(r, ctx, ngx_http_credgate_module);

    return ngx_http_credgate_present(ctx) == NGX_OK ? ctx : NULL;
}


/* the context outlives internal redirects, in which nginx forgets contexts */

ngx_http_credgate_ctx_t *
ngx_http_credgate_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_credgate_module);

    if (ctx != NULL || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_credgate_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_credgate_module);
            return ctx;
        }
    }

    return NULL;
}


/* copies what may hold credentials, as that is overwritten */

static ngx_int_t
ngx_http_credgate_present(ngx_http_credgate_ctx_t *ctx)
{
    credgate_request    *presented;
    ngx_http_request_t  *r;

    r = ctx->request;
    presented = &ctx->presented;

    presented->method = (char *) r->method_name.data;
    presented->method_len = r->method_name.len;

    if (r->headers_in.authorization) {
        if (ngx_http_credgate_copy(r->pool,
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
        if (ngx_http_credgate_copy(r->pool, &r->args, &presented->query,
                                   &presented->query_len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_copy(ngx_pool_t *pool, ngx_str_t *from, const char **to,
    size_t *len)
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


/* those of the token request whose values depend on this request */

ngx_int_t
ngx_http_credgate_present_args(ngx_http_credgate_ctx_t *ctx)
{
    ngx_str_t                      value;
    ngx_uint_t                     i;
    credgate_string               *arg;
    ngx_http_request_t            *r;
    ngx_http_complex_value_t     **values;
    ngx_http_credgate_loc_conf_t  *clcf;

    r = ctx->request;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    ctx->presented.args = NULL;
    ctx->presented.args_len = 0;

    if (clcf->args == NULL) {
        return NGX_OK;
    }

    values = clcf->args->elts;

    arg = ngx_palloc(r->pool, clcf->args->nelts * sizeof(credgate_string));
    if (arg == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < clcf->args->nelts; i++) {

        if (ngx_http_complex_value(r, values[i], &value) != NGX_OK) {
            return NGX_ERROR;
        }

        arg[i].data = (char *) value.data;
        arg[i].len = value.len;
    }

    ctx->presented.args = arg;
    ctx->presented.args_len = clcf->args->nelts;

    return NGX_OK;
}


/*
 * Makes room for another outcome.  This one lives as long as the request:
 * variables that were evaluated point into it.
 */

ngx_int_t
ngx_http_credgate_keep_outcome(ngx_http_credgate_ctx_t *ctx)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(ctx->pool, sizeof(credgate_outcome));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(cln->data, &ctx->outcome, sizeof(credgate_outcome));
    cln->handler = ngx_http_credgate_release;

    ngx_memzero(&ctx->outcome, sizeof(credgate_outcome));
    ctx->outcome.struct_size = sizeof(credgate_outcome);

    return NGX_OK;
}


static void
ngx_http_credgate_release(void *data)
{
    credgate_outcome_release(data);
}


static void
ngx_http_credgate_cleanup(void *data)
{
    ngx_http_credgate_ctx_t  *ctx = data;

    ngx_http_credgate_stop_waiting(ctx);

    if (!ctx->applied) {

        /* it was denied, has left, or another module had the last word */

        ngx_http_credgate_overwrite_authorization(ctx);

        if (ctx->body_read && !ctx->body_hidden) {
            ngx_http_credgate_wipe_body(ctx);
        }
    }

    credgate_outcome_release(&ctx->outcome);

#if (NGX_HTTP_V2)
    if (ctx->request->stream) {
        ngx_http_credgate_wipe_preread(ctx->request->stream->connection);
    }
#endif

    /* nginx decodes what it needs for "$remote_user" */

    ngx_explicit_memzero(ctx->request->headers_in.passwd.data,
                         ctx->request->headers_in.passwd.len);

    ngx_explicit_memzero((void *) ctx->presented.authorization,
                         ctx->presented.authorization_len);
    ngx_explicit_memzero((void *) ctx->presented.query,
                         ctx->presented.query_len);
    ngx_explicit_memzero((void *) ctx->presented.body,
                         ctx->presented.body_len);
}


#if (NGX_HTTP_V2)

/*
 * Where nginx does not know in advance that HTTP/2 is spoken, what comes first
 * is read into a buffer of the connection's own: with the preface a request,
 * if it comes at once.  Nothing reads it again, once all has been.
 */

static void
ngx_http_credgate_wipe_preread(ngx_http_v2_connection_t *h2c)
{
    ngx_buf_t  *b;

    b = h2c->connection->buffer;

    if (b && b->pos == b->last) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
}

#endif
