
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/*
 * Each worker publishes its counters, and the states of its providers, in a
 * slot of the zone.  When a worker ends, its slot is free again, and its
 * counters are kept in a common sum.  A page of the zone has two slots.
 */

#define NGX_HTTP_CREDGATE_PROVIDERS  896


typedef struct {
    ngx_queue_t   queue;
    ngx_pid_t     pid;
    uint32_t      providers_len;
    uint32_t      without_engine;
    uint64_t      counters[CREDGATE_COUNTERS];
    u_char        providers[NGX_HTTP_CREDGATE_PROVIDERS];
} ngx_http_credgate_slot_t;


typedef struct {
    ngx_queue_t   slots;
    uint64_t      ended[CREDGATE_COUNTERS];
    ngx_uint_t    full;                        /* it has been logged */
} ngx_http_credgate_counters_t;


static ngx_int_t ngx_http_credgate_counters_read(credgate_engine *engine,
    uint64_t *counters);
static void ngx_http_credgate_counters_take_slot(ngx_log_t *log);
static void ngx_http_credgate_counters_retire_dead(void);
static void ngx_http_credgate_counters_retire(ngx_http_credgate_slot_t *slot);
static void ngx_http_credgate_counters_keep(uint64_t *counters);


static ngx_slab_pool_t               *ngx_http_credgate_shpool;
static ngx_http_credgate_counters_t  *ngx_http_credgate_counters;
static ngx_http_credgate_slot_t      *ngx_http_credgate_slot;


void *
ngx_http_credgate_counters_create(ngx_slab_pool_t *shpool)
{
    ngx_http_credgate_counters_t  *shared;

    shared = ngx_slab_calloc(shpool, sizeof(ngx_http_credgate_counters_t));

    if (shared) {
        ngx_queue_init(&shared->slots);
    }

    return shared;
}


void
ngx_http_credgate_counters_open(ngx_slab_pool_t *shpool, void *shared)
{
    ngx_http_credgate_shpool = shpool;
    ngx_http_credgate_counters = shared;
}


/* the worker's own */

static ngx_int_t
ngx_http_credgate_counters_read(credgate_engine *engine, uint64_t *counters)
{
    if (ngx_http_credgate_counters == NULL
        || credgate_engine_counters(engine, counters, CREDGATE_COUNTERS)
           != CREDGATE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a worker without a slot tries again, because others end */

void
ngx_http_credgate_counters_publish(credgate_engine *engine, ngx_log_t *log)
{
    char       providers[NGX_HTTP_CREDGATE_PROVIDERS];
    uint64_t   counters[CREDGATE_COUNTERS];
    uintptr_t  len;

    if (ngx_http_credgate_counters_read(engine, counters) != NGX_OK) {
        return;
    }

    if (credgate_engine_providers(engine, providers, sizeof(providers), &len)
        != CREDGATE_OK)
    {
        len = 0;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    if (ngx_http_credgate_slot == NULL) {
        ngx_http_credgate_counters_take_slot(log);
    }

    if (ngx_http_credgate_slot) {
        ngx_memcpy(ngx_http_credgate_slot->counters, counters,
                   sizeof(counters));
        ngx_memcpy(ngx_http_credgate_slot->providers, providers, len);
        ngx_http_credgate_slot->providers_len = len;
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


static void
ngx_http_credgate_counters_take_slot(ngx_log_t *log)
{
    ngx_http_credgate_slot_t  *slot;

    ngx_http_credgate_counters_retire_dead();

    slot = ngx_slab_calloc_locked(ngx_http_credgate_shpool,
                                  sizeof(ngx_http_credgate_slot_t));
    if (slot) {
        slot->pid = ngx_pid;
        ngx_queue_insert_tail(&ngx_http_credgate_counters->slots,
                              &slot->queue);
        ngx_http_credgate_slot = slot;
        return;
    }

    if (!ngx_http_credgate_counters->full) {
        ngx_http_credgate_counters->full = 1;
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "credgate: metrics lack workers until they exit, "
                      "because their zone is full: increase "
                      "\"credgate_zone\"");
    }
}


/* a worker without an engine takes a slot that tells so */

void
ngx_http_credgate_counters_note_without_engine(ngx_log_t *log)
{
    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    ngx_http_credgate_counters_take_slot(log);

    if (ngx_http_credgate_slot) {
        ngx_http_credgate_slot->without_engine = 1;
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


/* counts a denial of this module, which the engine does not know */

void
ngx_http_credgate_counters_deny(int32_t code)
{
    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    (void) credgate_counters_deny(ngx_http_credgate_counters->ended,
                                  CREDGATE_COUNTERS, code);

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


void
ngx_http_credgate_counters_leave(credgate_engine *engine)
{
    uint64_t   counters[CREDGATE_COUNTERS];
    ngx_int_t  rc;

    if (ngx_http_credgate_counters == NULL) {
        return;
    }

    rc = ngx_http_credgate_counters_read(engine, counters);

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    if (ngx_http_credgate_slot) {

        if (rc == NGX_OK) {
            ngx_memcpy(ngx_http_credgate_slot->counters, counters,
                       sizeof(counters));
        }

        ngx_http_credgate_counters_retire(ngx_http_credgate_slot);
        ngx_http_credgate_slot = NULL;

    } else if (rc == NGX_OK) {
        ngx_http_credgate_counters_keep(counters);
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


/* sums the counters of all workers, including those that have exited */

ngx_int_t
ngx_http_credgate_counters_sum(uint64_t *counters)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_credgate_slot_t  *slot;

    if (ngx_http_credgate_counters == NULL) {
        return NGX_ERROR;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    ngx_http_credgate_counters_retire_dead();

    ngx_memcpy(counters, ngx_http_credgate_counters->ended,
               CREDGATE_COUNTERS * sizeof(uint64_t));

    for (q = ngx_queue_head(&ngx_http_credgate_counters->slots);
         q != ngx_queue_sentinel(&ngx_http_credgate_counters->slots);
         q = ngx_queue_next(q))
    {
        slot = ngx_queue_data(q, ngx_http_credgate_slot_t, queue);

        for (n = 0; n < CREDGATE_COUNTERS; n++) {
            counters[n] += slot->counters[n];
        }
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

    return NGX_OK;
}


/*
 * Fills in the processes of a page, and the states of providers in all of them:
 * a text for each.
 */

ngx_int_t
ngx_http_credgate_counters_page(ngx_pool_t *pool, credgate_page *page)
{
    size_t                     n;
    u_char                    *text;
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    credgate_string           *copy;
    ngx_http_credgate_slot_t  *slot;

    rc = NGX_ERROR;
    n = 0;

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    for (q = ngx_queue_head(&ngx_http_credgate_counters->slots);
         q != ngx_queue_sentinel(&ngx_http_credgate_counters->slots);
         q = ngx_queue_next(q))
    {
        n++;
    }

    copy = ngx_palloc(pool, n * sizeof(credgate_string));
    text = ngx_pnalloc(pool, n * NGX_HTTP_CREDGATE_PROVIDERS);

    if (copy == NULL || text == NULL) {
        goto done;
    }

    page->processes = n;
    page->providers = copy;
    page->providers_len = n;
    page->string_size = sizeof(credgate_string);

    for (q = ngx_queue_head(&ngx_http_credgate_counters->slots);
         q != ngx_queue_sentinel(&ngx_http_credgate_counters->slots);
         q = ngx_queue_next(q))
    {
        slot = ngx_queue_data(q, ngx_http_credgate_slot_t, queue);

        copy->data = (char *) text;
        copy->len = slot->providers_len;

        text = ngx_cpymem(text, slot->providers, slot->providers_len);
        copy++;

        page->without_engine += slot->without_engine;
    }

    rc = NGX_OK;

done:

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

    return rc;
}


/* retires the slots of workers that were killed */

static void
ngx_http_credgate_counters_retire_dead(void)
{
    ngx_queue_t               *q, *next;
    ngx_http_credgate_slot_t  *slot;

    for (q = ngx_queue_head(&ngx_http_credgate_counters->slots);
         q != ngx_queue_sentinel(&ngx_http_credgate_counters->slots);
         q = next)
    {
        next = ngx_queue_next(q);
        slot = ngx_queue_data(q, ngx_http_credgate_slot_t, queue);

        if (kill(slot->pid, 0) == -1 && ngx_errno == NGX_ESRCH) {
            ngx_http_credgate_counters_retire(slot);
        }
    }
}


static void
ngx_http_credgate_counters_retire(ngx_http_credgate_slot_t *slot)
{
    ngx_http_credgate_counters_keep(slot->counters);
    ngx_queue_remove(&slot->queue);
    ngx_slab_free_locked(ngx_http_credgate_shpool, slot);
}


/* keeps cumulative counters; gauges end with their process */

static void
ngx_http_credgate_counters_keep(uint64_t *counters)
{
    ngx_uint_t  n;

    for (n = CREDGATE_GAUGES; n < CREDGATE_COUNTERS; n++) {
        ngx_http_credgate_counters->ended[n] += counters[n];
    }
}
