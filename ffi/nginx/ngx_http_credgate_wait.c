
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/*
 * The library enforces the gate's timeout.  The timer fires later, and only if
 * the library has failed to.
 */

#define NGX_HTTP_CREDGATE_GRACE  2000


static void ngx_http_credgate_wait_timeout_handler(ngx_event_t *ev);


/* sets the state to DONE, or to WAITING if the outcome takes an exchange */

void
ngx_http_credgate_wait_authenticate(ngx_http_credgate_ctx_t *ctx)
{
    int32_t          status;
    credgate_queue  *queue;

    ctx->state = NGX_HTTP_CREDGATE_STATE_DONE;

    queue = ngx_http_credgate_engine_queue();

    if (queue == NULL) {
        ngx_http_credgate_outcome_deny(ctx, CREDGATE_ENGINE_UNAVAILABLE);
        return;
    }

    if (ngx_http_credgate_present_args(ctx) != NGX_OK) {
        ngx_http_credgate_outcome_deny(ctx, CREDGATE_INTERNAL);
        return;
    }

    ngx_http_credgate_zone_follow_purges(ngx_http_credgate_engine_get());

    status = credgate_authenticate(ctx->gate->handle, queue, &ctx->presented,
                                   ctx, &ctx->outcome, &ctx->ticket);

    switch (status) {

    case CREDGATE_OK:
        return;

    case CREDGATE_PENDING:
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                       "credgate waits for a token");

        ctx->state = NGX_HTTP_CREDGATE_STATE_WAITING;
        ctx->started = ngx_current_msec;
        return;

    default:
        ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, 0,
                      "credgate: credgate_authenticate() failed: %s",
                      credgate_status_name(status));
        ngx_http_credgate_outcome_deny(ctx, CREDGATE_INTERNAL);
    }
}


void
ngx_http_credgate_wait_suspend(ngx_http_credgate_ctx_t *ctx)
{
    uint32_t             timeout;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (credgate_gate_timeout(ctx->gate->handle, &timeout) != CREDGATE_OK) {
        timeout = 0;
    }

    ctx->timer.data = ctx;
    ctx->timer.handler = ngx_http_credgate_wait_timeout_handler;
    ctx->timer.log = r->connection->log;

    /* a worker that shuts down gracefully waits only for timers */

    ngx_add_timer(&ctx->timer, (ngx_msec_t) timeout + NGX_HTTP_CREDGATE_GRACE);

    r->read_event_handler = r->post_action ? ngx_http_block_reading
                                           : ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


/* runs the phases again, from the handler that has suspended the request */

void
ngx_http_credgate_wait_resume(ngx_http_credgate_ctx_t *ctx)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ctx->state = NGX_HTTP_CREDGATE_STATE_DONE;
    ctx->waited = ngx_current_msec - ctx->started;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "credgate resumes after %M ms", ctx->waited);

    if (r->phase_handler != ctx->phase_handler) {
        /* nginx has redirected the request to a location without a gate */
        return;
    }

    ngx_http_set_log_request(c->log, r);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    /* this may free the request */

    ngx_http_core_run_phases(r);
    ngx_http_run_posted_requests(c);
}


void
ngx_http_credgate_wait_stop(ngx_http_credgate_ctx_t *ctx)
{
    if (ctx->state == NGX_HTTP_CREDGATE_STATE_WAITING) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                       "credgate stops waiting");

        credgate_ticket_cancel(ngx_http_credgate_engine_queue(), ctx->ticket);
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }
}


static void
ngx_http_credgate_wait_timeout_handler(ngx_event_t *ev)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ev->data;

    ngx_http_credgate_wait_stop(ctx);
    ngx_http_credgate_outcome_deny(ctx, CREDGATE_PROVIDER_TIMEOUT);
    ngx_http_credgate_wait_resume(ctx);
}
