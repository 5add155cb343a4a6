
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"
#include <ngx_channel.h>

#if (NGX_HTTP_V2)

#include <ngx_http_v2_module.h>

/* the nginx that loads this may have been built without it */

#pragma weak ngx_http_v2_module

#endif


static ngx_uint_t ngx_http_credgate_is_used(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_credgate_start(ngx_cycle_t *cycle);
static void ngx_http_credgate_wake_handler(ngx_event_t *ev);
static void ngx_http_credgate_tick_handler(ngx_event_t *ev);
static void ngx_http_credgate_wipe(void);
static void ngx_http_credgate_log_records(ngx_log_t *log);


/* how often the worker tells its numbers, and what the library has to say */

#define NGX_HTTP_CREDGATE_TICK  1000


static credgate_engine  *ngx_http_credgate_engine;
static credgate_queue   *ngx_http_credgate_worker_queue;
static ngx_event_t       ngx_http_credgate_tick;
static ngx_connection_t  ngx_http_credgate_nobody;    /* for debug logs */
static ngx_uint_t        ngx_http_credgate_to_wipe;


/* NULL: there is no engine in this process */

credgate_queue *
ngx_http_credgate_queue(void)
{
    return ngx_http_credgate_worker_queue;
}


credgate_engine *
ngx_http_credgate_get_engine(void)
{
    return ngx_http_credgate_engine;
}


ngx_int_t
ngx_http_credgate_init_process(ngx_cycle_t *cycle)
{
    /* cache managers and loaders serve nobody */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    if (!ngx_http_credgate_is_used(cycle)) {
        return NGX_OK;
    }

    /*
     * A worker that fails here is not started again, while its listening
     * sockets stay open: clients would hang.  They are answered 503 instead.
     */

    if (ngx_http_credgate_start(cycle) != NGX_OK) {
        ngx_http_credgate_exit_process(cycle);
        return NGX_OK;
    }

    ngx_http_credgate_enter();

    /* no reason for a worker to stay that has been told to quit */

    ngx_http_credgate_tick.handler = ngx_http_credgate_tick_handler;
    ngx_http_credgate_tick.log = cycle->log;
    ngx_http_credgate_nobody.fd = (ngx_socket_t) -1;
    ngx_http_credgate_tick.data = &ngx_http_credgate_nobody;
    ngx_http_credgate_tick.cancelable = 1;
    ngx_add_timer(&ngx_http_credgate_tick, NGX_HTTP_CREDGATE_TICK);

    return NGX_OK;
}


void
ngx_http_credgate_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_credgate_tick.timer_set) {
        ngx_del_timer(&ngx_http_credgate_tick);
    }

    if (ngx_http_credgate_engine) {
        ngx_http_credgate_log_records(cycle->log);
        ngx_http_credgate_leave(ngx_http_credgate_engine);
    }

    /* on SIGTERM no pool is destroyed, and requests may still wait */

    credgate_queue_free(ngx_http_credgate_worker_queue);
    ngx_http_credgate_worker_queue = NULL;

    credgate_engine_free(ngx_http_credgate_engine);
    ngx_http_credgate_engine = NULL;
}


static ngx_uint_t
ngx_http_credgate_is_used(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_core_srv_conf_t      **cscfp;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_credgate_srv_conf_t   *cscf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);
    if (cmcf == NULL) {
        return 0;
    }

    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        cscf = cscfp[i]->ctx->srv_conf[ngx_http_credgate_module.ctx_index];

        if (cscf->used) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_credgate_start(ngx_cycle_t *cycle)
{
    int                             fd;
    size_t                          len;
    int32_t                         status;
    const char                     *message;
    credgate_error                 *error;
    ngx_http_credgate_main_conf_t  *cgmcf;

    error = NULL;

    cgmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_credgate_module);

    status = credgate_engine_new((char *) cgmcf->options.data,
                                 cgmcf->options.len,
                                 &ngx_http_credgate_engine, &error);

    if (status == CREDGATE_OK) {
        status = credgate_queue_new(ngx_http_credgate_engine,
                                    &ngx_http_credgate_worker_queue, &error);
    }

    if (status == CREDGATE_OK) {
        status = credgate_queue_fd(ngx_http_credgate_worker_queue, &fd);
    }

    if (status != CREDGATE_OK) {

        message = ngx_http_credgate_message(error, status, &len);

        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "credgate: no engine in this worker, requests are "
                      "answered 503: %*s", len, message);

        credgate_error_free(error);
        return NGX_ERROR;
    }

    /* a channel is not taken for a client's connection when a worker quits */

    return ngx_add_channel_event(cycle, fd, NGX_READ_EVENT,
                                 ngx_http_credgate_wake_handler);
}


static void
ngx_http_credgate_wake_handler(ngx_event_t *ev)
{
    credgate_completion       completion;
    ngx_http_credgate_ctx_t  *ctx;

    /*
     * One at a time: what an outcome sets off may destroy other requests, and
     * these must not surface then.
     */

    for ( ;; ) {

        if (ngx_http_credgate_worker_queue == NULL) {
            return;
        }

        ngx_memzero(&completion, sizeof(credgate_completion));
        completion.struct_size = sizeof(credgate_completion);
        completion.outcome.struct_size = sizeof(credgate_outcome);

        if (credgate_queue_next(ngx_http_credgate_worker_queue, &completion)
            != CREDGATE_OK)
        {
            return;
        }

        ctx = completion.user_data;
        ctx->outcome = completion.outcome;

        ngx_http_credgate_resume(ctx);
    }
}


static void
ngx_http_credgate_tick_handler(ngx_event_t *ev)
{
    if (ngx_http_credgate_engine == NULL) {
        return;
    }

    if (ngx_http_credgate_to_wipe) {
        ngx_http_credgate_to_wipe = 0;
        ngx_http_credgate_wipe();
    }

    ngx_http_credgate_publish(ngx_http_credgate_engine);
    ngx_http_credgate_follow_purges(ngx_http_credgate_engine);
    ngx_http_credgate_log_records(ev->log);

    ngx_add_timer(ev, NGX_HTTP_CREDGATE_TICK);
}


/* a request has come over HTTP/2 that may have brought credentials */

void
ngx_http_credgate_wipe_later(void)
{
    ngx_http_credgate_to_wipe = 1;
}


/*
 * The worker's buffer for HTTP/2 holds what came last, bodies as they are and
 * headers in an encoding that hides nothing.  Between events nobody needs it.
 */

static void
ngx_http_credgate_wipe(void)
{
#if (NGX_HTTP_V2)
    ngx_http_v2_main_conf_t  *h2mcf;

    if (&ngx_http_v2_module == NULL) {
        return;
    }

    h2mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_v2_module);

    if (h2mcf && h2mcf->recv_buffer) {
        ngx_explicit_memzero(h2mcf->recv_buffer, h2mcf->recv_buffer_size);
    }
#endif
}


static void
ngx_http_credgate_log_records(ngx_log_t *log)
{
    char        text[NGX_MAX_ERROR_STR / 2];
    uint32_t    level;
    uintptr_t   len;
    ngx_uint_t  severity;

    while (credgate_engine_record(ngx_http_credgate_engine, &level, text,
                                  sizeof(text), &len)
           == CREDGATE_OK)
    {
        switch (level) {

        case CREDGATE_LEVEL_NOTICE:
            severity = NGX_LOG_NOTICE;
            break;

        case CREDGATE_LEVEL_WARNING:
            severity = NGX_LOG_WARN;
            break;

        default:
            severity = NGX_LOG_ERR;
        }

        ngx_log_error(severity, log, 0, "credgate: %*s", (size_t) len, text);
    }
}
