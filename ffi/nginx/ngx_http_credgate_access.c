
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_access_verdict(
    ngx_http_credgate_ctx_t *ctx);
static void ngx_http_credgate_access_log_dry_run(ngx_http_credgate_ctx_t *ctx);


/*
 *              no body                            OK
 *     START ------------------> authenticate --------------------> DONE
 *       |                         ^      |                           ^
 *       | body may contain        |      | PENDING                   |
 *       | credentials             |      v                           |
 *       +-------> READING --------+   WAITING --- outcome, timer ----+
 */

ngx_int_t
ngx_http_credgate_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_credgate_ctx_t       *ctx;
    ngx_http_credgate_loc_conf_t  *cglcf;

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (!cglcf->access) {
        return NGX_DECLINED;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "credgate access handler");

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL) {
        /* fail closed: the preaccess handler has not run */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a gate decides once, even after an internal redirect */

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_DONE) {
        return ngx_http_credgate_access_verdict(ctx);
    }

    ctx->phase_handler = r->phase_handler;

    rc = ngx_http_credgate_read_body(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_credgate_wait_authenticate(ctx);

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_WAITING) {
        ngx_http_credgate_wait_suspend(ctx);
        return NGX_AGAIN;
    }

    return ngx_http_credgate_access_verdict(ctx);
}


static ngx_int_t
ngx_http_credgate_access_verdict(ngx_http_credgate_ctx_t *ctx)
{
    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "credgate verdict: %ui, cache status: %s, cause: %s",
                   (ngx_uint_t) ctx->outcome.http_status,
                   credgate_cache_status_name(ctx->outcome.cache_status),
                   ctx->outcome.http_status
                   ? credgate_cause_name(ctx->outcome.code) : "none");

    if (ctx->dry_run) {
        ngx_http_credgate_access_log_dry_run(ctx);
        return NGX_DECLINED;
    }

    /*
     * A request that is allowed by credentials from another source has none
     * in its body.
     */

    if (ctx->presented.body_len && !ctx->body_hidden
        && (ctx->outcome.http_status
            || ctx->outcome.source == CREDGATE_SOURCE_BODY
            || ctx->outcome.cache_status == CREDGATE_CACHE_STATUS_ANONYMOUS)
        && ngx_http_credgate_body_hide(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->outcome.http_status) {
        return ngx_http_credgate_answer_send(ctx);
    }

    /* fail closed: the library has not filled in the outcome */

    if (ctx->outcome.cache_status == CREDGATE_CACHE_STATUS_NONE) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->applied) {

        if (ngx_http_credgate_headers_set(ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->applied = 1;
    }

    /* without a token, "satisfy any" leaves the decision to other modules */

    return ctx->outcome.authorization_len ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_credgate_access_log_dry_run(ngx_http_credgate_ctx_t *ctx)
{
    ngx_log_t         *log;
    credgate_outcome  *outcome;

    if (ctx->logged) {
        return;
    }

    ctx->logged = 1;

    log = ctx->request->connection->log;
    outcome = &ctx->outcome;

    if (outcome->http_status) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "credgate: dry run: would deny with %uD, cause: %s%s%*s",
                      outcome->http_status,
                      credgate_cause_name(outcome->code),
                      outcome->detail_len ? ", " : "",
                      outcome->detail_len, outcome->detail);
        return;
    }

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "credgate: dry run: would allow, cache status: %s",
                  credgate_cache_status_name(outcome->cache_status));
}


/* drops the token from the cache if the upstream has rejected it */

ngx_int_t
ngx_http_credgate_access_log_handler(ngx_http_request_t *r)
{
    bool                        dropped;
    credgate_engine            *engine;
    ngx_http_credgate_ctx_t    *ctx;
    ngx_http_upstream_state_t  *state;

    if (r != r->main || r->upstream_states == NULL
        || r->upstream_states->nelts == 0)
    {
        return NGX_OK;
    }

    state = r->upstream_states->elts;
    state += r->upstream_states->nelts - 1;

    /* no gate drops tokens on another status, so most requests end here */

    if (state->status < NGX_HTTP_BAD_REQUEST) {
        return NGX_OK;
    }

    ctx = ngx_http_credgate_ctx_get(r);
    engine = ngx_http_credgate_engine_get();

    if (ctx == NULL || !ctx->applied || engine == NULL) {
        return NGX_OK;
    }

    if (credgate_outcome_upstream_status(&ctx->outcome, engine,
                                         (uint32_t) state->status, &dropped)
        == CREDGATE_OK && dropped)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "credgate: dropped the token, because the upstream "
                      "returned %ui", state->status);
    }

    return NGX_OK;
}
