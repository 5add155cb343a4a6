
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void ngx_http_credgate_ctx_cleanup(void *data);


ngx_http_credgate_ctx_t *
ngx_http_credgate_ctx_create(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_credgate_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_credgate_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ctx->request = r;
    ctx->pool = r->pool;
    ctx->outcome.struct_size = sizeof(credgate_outcome);
    ctx->presented.struct_size = sizeof(credgate_request);
    ctx->presented.arg_size = sizeof(credgate_string);

    ngx_http_credgate_memory_wipe_later(r);

    cln->handler = ngx_http_credgate_ctx_cleanup;
    cln->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_credgate_module);

    return ngx_http_credgate_present_request(ctx) == NGX_OK ? ctx : NULL;
}


/*
 * An internal redirect clears the contexts of a request.  The pool cleanup
 * handler outlives it, and finds ours again.  A subrequest shares the pool.
 */

ngx_http_credgate_ctx_t *
ngx_http_credgate_ctx_get(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_credgate_module);

    if (ctx != NULL || (!r->internal && !r->filter_finalize)) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler != ngx_http_credgate_ctx_cleanup) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_credgate_module);
            return ctx;
        }
    }

    return NULL;
}


/* forgets the decision of a gate, before another gate decides */

ngx_int_t
ngx_http_credgate_ctx_restart(ngx_http_credgate_ctx_t *ctx)
{
    if (ctx->applied && ngx_http_credgate_headers_clear(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_credgate_answer_withdraw(ctx);
    ngx_http_credgate_own_withdraw(ctx);

    if (ngx_http_credgate_outcome_keep(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->state = NGX_HTTP_CREDGATE_STATE_START;
    ctx->applied = 0;
    ctx->logged = 0;

    return NGX_OK;
}


/*
 * Ends reading or waiting that nginx has interrupted: the body failed to
 * arrive and an error page follows, or the client closed the connection and a
 * "post_action" follows.  A gate there starts anew, without a body.
 */

ngx_int_t
ngx_http_credgate_ctx_abandon(ngx_http_credgate_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_CREDGATE_STATE_READING
        && ngx_http_credgate_body_drop(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_credgate_wait_stop(ctx);
    ngx_http_credgate_own_withdraw(ctx);

    ctx->state = NGX_HTTP_CREDGATE_STATE_START;

    return NGX_OK;
}


static void
ngx_http_credgate_ctx_cleanup(void *data)
{
    ngx_http_credgate_ctx_t  *ctx = data;

    ngx_http_credgate_wait_stop(ctx);

    if (!ctx->applied) {

        /*
         * Denied, closed by the client, or let in by another module.  The
         * buffers of a subrequest belong to the main request.
         */

        ctx->request = ctx->request->main;

        ngx_http_credgate_memory_overwrite_authorization(ctx);

        if (ctx->headers) {
            ngx_http_credgate_named_remove(ctx);
        }

        if (ctx->body_read && !ctx->body_hidden) {
            ngx_http_credgate_memory_wipe_body(ctx);
        }
    }

    credgate_outcome_release(&ctx->outcome);

    ngx_http_credgate_memory_wipe_preface(ctx->request);

    /* nginx decodes the password to evaluate "$remote_user" */

    if (ctx->request->headers_in.passwd.len) {
        ngx_explicit_memzero(ctx->request->headers_in.passwd.data,
                             ctx->request->headers_in.passwd.len);
    }

    if (ctx->presented.authorization_len) {
        ngx_explicit_memzero((void *) ctx->presented.authorization,
                             ctx->presented.authorization_len);
    }

    if (ctx->headers) {
        ngx_http_credgate_named_wipe(ctx);
    }

    if (ctx->presented.query_len) {
        ngx_explicit_memzero((void *) ctx->presented.query,
                             ctx->presented.query_len);
    }

    if (ctx->presented.body_len) {
        ngx_explicit_memzero((void *) ctx->presented.body,
                             ctx->presented.body_len);
    }
}
