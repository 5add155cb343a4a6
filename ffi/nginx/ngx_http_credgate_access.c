
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_access_restart(ngx_http_credgate_ctx_t *ctx,
    credgate_gate *gate);
static ngx_int_t ngx_http_credgate_access_abandon(
    ngx_http_credgate_ctx_t *ctx);
static ngx_int_t ngx_http_credgate_access_verdict(
    ngx_http_credgate_ctx_t *ctx);


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

    if (!cglcf->enable) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL) {
        ctx = ngx_http_credgate_ctx_create(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    switch (ctx->state) {

    case NGX_HTTP_CREDGATE_STATE_DONE:

        /* a gate decides once, even after an internal redirect */

        if (ctx->gate == cglcf->gate) {
            return ngx_http_credgate_access_verdict(ctx);
        }

        if (ngx_http_credgate_access_restart(ctx, cglcf->gate) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        break;

    case NGX_HTTP_CREDGATE_STATE_READING:
    case NGX_HTTP_CREDGATE_STATE_WAITING:

        /* a suspended request runs no phases, so this is a redirect */

        if (ngx_http_credgate_access_abandon(ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* fall through */

    default: /* NGX_HTTP_CREDGATE_STATE_START */
        ctx->gate = cglcf->gate;
    }

    /* hide the query first, because any later path may forward or log it */

    if (ngx_http_credgate_query_hide(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
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


/* after a redirect to a location with another gate, that gate decides too */

static ngx_int_t
ngx_http_credgate_access_restart(ngx_http_credgate_ctx_t *ctx,
    credgate_gate *gate)
{
    if (ctx->applied && ngx_http_credgate_headers_clear(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_credgate_answer_withdraw(ctx);

    if (ngx_http_credgate_outcome_keep(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->gate = gate;
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

static ngx_int_t
ngx_http_credgate_access_abandon(ngx_http_credgate_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_CREDGATE_STATE_READING
        && ngx_http_credgate_body_drop(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_credgate_wait_stop(ctx);

    ctx->state = NGX_HTTP_CREDGATE_STATE_START;

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_access_verdict(ngx_http_credgate_ctx_t *ctx)
{
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

    if (ctx->applied) {
        return NGX_OK;
    }

    /* fail closed: the library has not filled in the outcome */

    if (ctx->outcome.cache_status == CREDGATE_CACHE_STATUS_NONE) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_credgate_headers_set(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->applied = 1;

    return NGX_OK;
}


/*
 * Removes Basic credentials from a request that reaches the upstream without
 * this module's consent: another module of "satisfy any" has let it in, or an
 * error page has redirected it to a location without a gate.
 */

ngx_int_t
ngx_http_credgate_access_precontent_handler(ngx_http_request_t *r)
{
    ngx_table_elt_t          *h;
    ngx_http_credgate_ctx_t  *ctx;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL || ctx->applied) {
        return NGX_DECLINED;
    }

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_READING
        && ngx_http_credgate_access_abandon(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h = r->headers_in.authorization;

    if (h && h->value.len >= sizeof("Basic") - 1
        && ngx_strncasecmp(h->value.data, (u_char *) "Basic",
                           sizeof("Basic") - 1)
           == 0)
    {
        ngx_http_credgate_headers_remove_authorization(ctx);
    }

    return NGX_DECLINED;
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

    ctx = ngx_http_credgate_ctx_get(r);
    engine = ngx_http_credgate_engine_get();

    if (ctx == NULL || !ctx->applied || engine == NULL) {
        return NGX_OK;
    }

    state = r->upstream_states->elts;
    state += r->upstream_states->nelts - 1;

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
