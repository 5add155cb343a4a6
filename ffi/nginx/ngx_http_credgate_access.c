
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/* the library keeps the gate's deadline; this is for the case that it fails */
#define NGX_HTTP_CREDGATE_GRACE  2000


static ngx_int_t ngx_http_credgate_restart(ngx_http_credgate_ctx_t *ctx,
    credgate_gate *gate);
static void ngx_http_credgate_timeout_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_credgate_verdict(ngx_http_credgate_ctx_t *ctx);


/*
 *              no body                            OK
 *     START ------------------> authenticate --------------------> DONE
 *       |                         ^      |                           ^
 *       | body may hold           |      | PENDING                   |
 *       | credentials             |      v                           |
 *       +-------> READING --------+   WAITING ----- wake, timer -----+
 */

ngx_int_t
ngx_http_credgate_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_credgate_ctx_t       *ctx;
    ngx_http_credgate_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (!clcf->enable) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_credgate_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_credgate_create_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    switch (ctx->state) {

    case NGX_HTTP_CREDGATE_DONE:

        /* an internal redirect comes here again: the verdict stands */

        if (ctx->gate == clcf->gate) {
            return ngx_http_credgate_verdict(ctx);
        }

        if (ngx_http_credgate_restart(ctx, clcf->gate) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        break;

    case NGX_HTTP_CREDGATE_READING:
    case NGX_HTTP_CREDGATE_WAITING:

        /* no phase runs meanwhile: nginx has led the request elsewhere */

        if (ngx_http_credgate_abandon(ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* fall through */

    default: /* NGX_HTTP_CREDGATE_START */
        ctx->gate = clcf->gate;
    }

    /*
     * Whatever becomes of the request: what was copied neither goes upstream
     * nor into a log.
     */

    if (ngx_http_credgate_hide_query(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->phase_handler = r->phase_handler;

    ctx->timer.data = ctx;
    ctx->timer.handler = ngx_http_credgate_timeout_handler;
    ctx->timer.log = r->connection->log;

    rc = ngx_http_credgate_read_body(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_credgate_authenticate(ctx);

    if (ctx->state == NGX_HTTP_CREDGATE_WAITING) {
        ngx_http_credgate_suspend(ctx);
        return NGX_AGAIN;
    }

    return ngx_http_credgate_verdict(ctx);
}


/*
 * What was begun for the request will not end: its body could not be read, for
 * which there is an error page, or its client has left, for which there is a
 * "post_action".  Where these are guarded, it is judged anew, without a body.
 */

ngx_int_t
ngx_http_credgate_abandon(ngx_http_credgate_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_CREDGATE_READING
        && ngx_http_credgate_drop_body(ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_credgate_stop_waiting(ctx);

    ctx->state = NGX_HTTP_CREDGATE_START;

    return NGX_OK;
}


void
ngx_http_credgate_stop_waiting(ngx_http_credgate_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_CREDGATE_WAITING) {
        credgate_ticket_cancel(ngx_http_credgate_queue(), ctx->ticket);
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }
}


/* a redirect has led from one gate to another, which judges for itself */

static ngx_int_t
ngx_http_credgate_restart(ngx_http_credgate_ctx_t *ctx, credgate_gate *gate)
{
    if (ctx->applied && ngx_http_credgate_empty_headers(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_credgate_take_back(ctx);

    if (ngx_http_credgate_keep_outcome(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->gate = gate;
    ctx->state = NGX_HTTP_CREDGATE_START;
    ctx->applied = 0;
    ctx->logged = 0;

    return NGX_OK;
}


void
ngx_http_credgate_authenticate(ngx_http_credgate_ctx_t *ctx)
{
    int32_t          status;
    credgate_queue  *queue;

    ctx->state = NGX_HTTP_CREDGATE_DONE;

    queue = ngx_http_credgate_queue();

    if (queue == NULL) {
        ngx_http_credgate_deny(ctx, CREDGATE_ENGINE_UNAVAILABLE);
        return;
    }

    if (ngx_http_credgate_present_args(ctx) != NGX_OK) {
        ngx_http_credgate_deny(ctx, CREDGATE_INTERNAL);
        return;
    }

    ngx_http_credgate_follow_purges(ngx_http_credgate_get_engine());

    status = credgate_authenticate(ctx->gate, queue, &ctx->presented, ctx,
                                   &ctx->outcome, &ctx->ticket);

    switch (status) {

    case CREDGATE_OK:
        return;

    case CREDGATE_PENDING:
        ctx->state = NGX_HTTP_CREDGATE_WAITING;
        ctx->started = ngx_current_msec;
        return;

    default:
        ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, 0,
                      "credgate: credgate_authenticate() failed: %s",
                      credgate_status_name(status));
        ngx_http_credgate_deny(ctx, CREDGATE_INTERNAL);
    }
}


void
ngx_http_credgate_suspend(ngx_http_credgate_ctx_t *ctx)
{
    uint32_t             timeout;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (credgate_gate_timeout(ctx->gate, &timeout) != CREDGATE_OK) {
        timeout = 0;
    }

    /* a worker that quits waits for timers, and for nothing else */

    ngx_add_timer(&ctx->timer, (ngx_msec_t) timeout + NGX_HTTP_CREDGATE_GRACE);

    r->read_event_handler = r->post_action ? ngx_http_block_reading
                                           : ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


void
ngx_http_credgate_resume(ngx_http_credgate_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ctx->state = NGX_HTTP_CREDGATE_DONE;
    ctx->waited = ngx_current_msec - ctx->started;

    if (r->phase_handler != ctx->phase_handler) {
        /* it has been led elsewhere, where there is no gate */
        return;
    }

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    /* the request may be gone after this */

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_credgate_timeout_handler(ngx_event_t *ev)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ev->data;

    ngx_http_credgate_stop_waiting(ctx);
    ngx_http_credgate_deny(ctx, CREDGATE_PROVIDER_TIMEOUT);
    ngx_http_credgate_resume(ctx);
}


static ngx_int_t
ngx_http_credgate_verdict(ngx_http_credgate_ctx_t *ctx)
{
    /* a body of which another place has made a pair holds none of its own */

    if (ctx->presented.body_len && !ctx->body_hidden
        && (ctx->outcome.http_status
            || ctx->outcome.source == CREDGATE_SOURCE_BODY
            || ctx->outcome.cache_status == CREDGATE_CACHE_STATUS_ANONYMOUS)
        && ngx_http_credgate_hide_body(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->outcome.http_status) {
        return ngx_http_credgate_answer(ctx);
    }

    if (ctx->applied) {
        return NGX_OK;
    }

    /* fail closed: an outcome that was never filled allows nothing */

    if (ctx->outcome.cache_status == CREDGATE_CACHE_STATUS_NONE) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_credgate_set_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->applied = 1;

    return NGX_OK;
}


/* the upstream has the last word on a token */

ngx_int_t
ngx_http_credgate_log_handler(ngx_http_request_t *r)
{
    bool                         dropped;
    ngx_http_credgate_ctx_t     *ctx;
    ngx_http_upstream_state_t   *state;

    if (r != r->main || r->upstream_states == NULL
        || r->upstream_states->nelts == 0)
    {
        return NGX_OK;
    }

    ctx = ngx_http_credgate_get_ctx(r);

    if (ctx == NULL || !ctx->applied || ngx_http_credgate_queue() == NULL) {
        return NGX_OK;
    }

    state = r->upstream_states->elts;
    state += r->upstream_states->nelts - 1;

    if (credgate_outcome_upstream_status(&ctx->outcome,
                                         ngx_http_credgate_get_engine(),
                                         (uint32_t) state->status, &dropped)
        == CREDGATE_OK && dropped)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "credgate: the token was dropped, as the upstream "
                      "answered %ui", state->status);
    }

    return NGX_OK;
}
