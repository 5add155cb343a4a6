
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"
#include <ngx_channel.h>


/* interval of wiping, publishing counters, following purges and logging */

#define NGX_HTTP_CREDGATE_TICK  1000


static ngx_int_t ngx_http_credgate_worker_start(ngx_cycle_t *cycle);
static void ngx_http_credgate_worker_wake_handler(ngx_event_t *ev);
static void ngx_http_credgate_worker_tick_handler(ngx_event_t *ev);


static ngx_event_t       ngx_http_credgate_tick;
static ngx_connection_t  ngx_http_credgate_tick_connection;


ngx_int_t
ngx_http_credgate_worker_init_process(ngx_cycle_t *cycle)
{
    /* cache managers and cache loaders handle no requests */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    ngx_http_credgate_zone_open(cycle);

    if (!ngx_http_credgate_worker_is_used(cycle)) {
        return NGX_OK;
    }

    /*
     * The master does not restart a worker that fails here, but keeps its
     * listening sockets open, so clients would hang.  They get 503 instead.
     */

    if (ngx_http_credgate_worker_start(cycle) != NGX_OK) {
        ngx_http_credgate_worker_exit_process(cycle);
        ngx_http_credgate_counters_note_without_engine(cycle->log);
        return NGX_OK;
    }

    /* debug logs take a descriptor from the connection of an event */

    ngx_http_credgate_tick_connection.fd = (ngx_socket_t) -1;

    ngx_http_credgate_tick.handler = ngx_http_credgate_worker_tick_handler;
    ngx_http_credgate_tick.log = cycle->log;
    ngx_http_credgate_tick.data = &ngx_http_credgate_tick_connection;

    /* a worker that shuts down gracefully must not wait for this timer */

    ngx_http_credgate_tick.cancelable = 1;

    ngx_add_timer(&ngx_http_credgate_tick, NGX_HTTP_CREDGATE_TICK);

    return NGX_OK;
}


void
ngx_http_credgate_worker_exit_process(ngx_cycle_t *cycle)
{
    credgate_engine  *engine;

    if (ngx_http_credgate_tick.timer_set) {
        ngx_del_timer(&ngx_http_credgate_tick);
    }

    engine = ngx_http_credgate_engine_get();

    if (engine) {
        ngx_http_credgate_engine_log(cycle->log);
        ngx_http_credgate_clients_publish(engine);
    }

    ngx_http_credgate_counters_leave(engine);

    /* on SIGTERM nginx destroys no pools, and requests may still wait */

    ngx_http_credgate_engine_close();
}


/* tests for a gate in any server */

ngx_uint_t
ngx_http_credgate_worker_is_used(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_core_srv_conf_t      **cscfp;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_credgate_srv_conf_t   *cgscf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);
    if (cmcf == NULL) {
        return 0;
    }

    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        cgscf = cscfp[i]->ctx->srv_conf[ngx_http_credgate_module.ctx_index];

        if (cgscf->used) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_credgate_worker_start(ngx_cycle_t *cycle)
{
    int  fd;

    if (ngx_http_credgate_engine_open(cycle, &fd) != NGX_OK) {
        return NGX_ERROR;
    }

    /* at exit, nginx does not report a channel as a socket left open */

    return ngx_add_channel_event(cycle, fd, NGX_READ_EVENT,
                                 ngx_http_credgate_worker_wake_handler);
}


static void
ngx_http_credgate_worker_wake_handler(ngx_event_t *ev)
{
    credgate_queue           *queue;
    credgate_outcome          outcome;
    credgate_completion       completion;
    ngx_http_credgate_ctx_t  *ctx;

    /*
     * Takes one outcome at a time: resuming a request may destroy others, and
     * they can cancel only outcomes that are still in the queue.
     */

    for ( ;; ) {

        queue = ngx_http_credgate_engine_queue();

        if (queue == NULL) {
            return;
        }

        ngx_memzero(&completion, sizeof(credgate_completion));
        completion.struct_size = sizeof(credgate_completion);

        ngx_memzero(&outcome, sizeof(credgate_outcome));
        outcome.struct_size = sizeof(credgate_outcome);
        completion.outcome = &outcome;

        if (credgate_queue_next(queue, &completion) != CREDGATE_OK) {
            return;
        }

        ctx = completion.user_data;
        ctx->outcome = outcome;

        ngx_http_credgate_wait_resume(ctx);
    }
}


static void
ngx_http_credgate_worker_tick_handler(ngx_event_t *ev)
{
    credgate_engine  *engine;

    engine = ngx_http_credgate_engine_get();

    if (engine == NULL) {
        return;
    }

    ngx_http_credgate_memory_wipe_received();
    ngx_http_credgate_counters_publish(engine, ev->log);
    ngx_http_credgate_clients_publish(engine);
    ngx_http_credgate_zone_follow_purges(engine);
    ngx_http_credgate_engine_log(ev->log);

    ngx_add_timer(ev, NGX_HTTP_CREDGATE_TICK);
}
