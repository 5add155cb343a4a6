
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/*
 * The workers share their counters, so that each can report those of all, and
 * purges, which each carries out in its own cache.
 */

#define NGX_HTTP_CREDGATE_SLOTS      128
#define NGX_HTTP_CREDGATE_PURGES     64
#define NGX_HTTP_CREDGATE_MAX_ID     255
#define NGX_HTTP_CREDGATE_ZONE_SIZE  (256 * 1024)


typedef struct {
    ngx_pid_t   pid;                           /* 0: unused */
    uint64_t    counters[CREDGATE_COUNTERS];
} ngx_http_credgate_slot_t;


typedef struct {
    size_t      len;                           /* 0: all clients */
    u_char      client_id[NGX_HTTP_CREDGATE_MAX_ID];
} ngx_http_credgate_purge_t;


typedef struct {
    uint64_t                   ended[CREDGATE_COUNTERS];
    ngx_http_credgate_slot_t   slots[NGX_HTTP_CREDGATE_SLOTS];
    ngx_atomic_t               purges;         /* their total number */
    ngx_http_credgate_purge_t  purge[NGX_HTTP_CREDGATE_PURGES];
} ngx_http_credgate_shared_t;


static ngx_int_t ngx_http_credgate_zone_init(ngx_shm_zone_t *zone,
    void *data);
static void ngx_http_credgate_zone_retire(ngx_http_credgate_slot_t *slot);
static ngx_uint_t ngx_http_credgate_zone_is_alive(ngx_pid_t pid);


static ngx_slab_pool_t             *ngx_http_credgate_shpool;
static ngx_http_credgate_shared_t  *ngx_http_credgate_shared;
static ngx_http_credgate_slot_t    *ngx_http_credgate_slot;
static ngx_atomic_uint_t            ngx_http_credgate_purges_seen;


ngx_int_t
ngx_http_credgate_zone_add(ngx_conf_t *cf)
{
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    ngx_str_set(&name, "credgate");

    zone = ngx_shared_memory_add(cf, &name, NGX_HTTP_CREDGATE_ZONE_SIZE,
                                 &ngx_http_credgate_module);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_http_credgate_zone_init;

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_credgate_shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data) {
        /* counters survive a reload */
        zone->data = data;

    } else {
        zone->data = ngx_slab_calloc(ngx_http_credgate_shpool,
                                     sizeof(ngx_http_credgate_shared_t));
        if (zone->data == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_http_credgate_shared = zone->data;

    return NGX_OK;
}


/* takes a slot, after retiring those of workers that were killed */

void
ngx_http_credgate_zone_enter(void)
{
    ngx_uint_t                 i;
    ngx_http_credgate_slot_t  *slot;

    if (ngx_http_credgate_shared == NULL) {
        return;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    for (i = 0; i < NGX_HTTP_CREDGATE_SLOTS; i++) {
        slot = &ngx_http_credgate_shared->slots[i];

        if (slot->pid && !ngx_http_credgate_zone_is_alive(slot->pid)) {
            ngx_http_credgate_zone_retire(slot);
        }

        if (slot->pid == 0 && ngx_http_credgate_slot == NULL) {
            slot->pid = ngx_pid;
            ngx_http_credgate_slot = slot;
        }
    }

    ngx_http_credgate_purges_seen = ngx_http_credgate_shared->purges;

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


void
ngx_http_credgate_zone_leave(credgate_engine *engine)
{
    if (ngx_http_credgate_slot == NULL) {
        return;
    }

    ngx_http_credgate_zone_publish(engine);

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);
    ngx_http_credgate_zone_retire(ngx_http_credgate_slot);
    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

    ngx_http_credgate_slot = NULL;
}


void
ngx_http_credgate_zone_publish(credgate_engine *engine)
{
    uint64_t  counters[CREDGATE_COUNTERS];

    if (ngx_http_credgate_slot == NULL
        || credgate_engine_counters(engine, counters, CREDGATE_COUNTERS)
           != CREDGATE_OK)
    {
        return;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);
    ngx_memcpy(ngx_http_credgate_slot->counters, counters, sizeof(counters));
    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


/* sums the counters of all workers, including those that have exited */

ngx_int_t
ngx_http_credgate_zone_sum(uint64_t *counters)
{
    ngx_uint_t                 i, n;
    ngx_http_credgate_slot_t  *slot;

    if (ngx_http_credgate_shared == NULL) {
        return NGX_ERROR;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    ngx_memcpy(counters, ngx_http_credgate_shared->ended,
               CREDGATE_COUNTERS * sizeof(uint64_t));

    for (i = 0; i < NGX_HTTP_CREDGATE_SLOTS; i++) {
        slot = &ngx_http_credgate_shared->slots[i];

        if (slot->pid && !ngx_http_credgate_zone_is_alive(slot->pid)) {
            ngx_http_credgate_zone_retire(slot);
            /* the base of the sum has changed: start again */
            ngx_memcpy(counters, ngx_http_credgate_shared->ended,
                       CREDGATE_COUNTERS * sizeof(uint64_t));
            i = (ngx_uint_t) -1;
            continue;
        }

        for (n = 0; slot->pid && n < CREDGATE_COUNTERS; n++) {
            counters[n] += slot->counters[n];
        }
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

    return NGX_OK;
}


/* keeps cumulative counters; gauges end with their process */

static void
ngx_http_credgate_zone_retire(ngx_http_credgate_slot_t *slot)
{
    ngx_uint_t  n;

    for (n = CREDGATE_GAUGES; n < CREDGATE_COUNTERS; n++) {
        ngx_http_credgate_shared->ended[n] += slot->counters[n];
    }

    ngx_memzero(slot, sizeof(ngx_http_credgate_slot_t));
}


static ngx_uint_t
ngx_http_credgate_zone_is_alive(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


/* tells the other workers to purge */

void
ngx_http_credgate_zone_announce_purge(ngx_str_t *client_id)
{
    ngx_http_credgate_purge_t  *purge;

    if (ngx_http_credgate_shared == NULL) {
        return;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    purge = &ngx_http_credgate_shared->purge[ngx_http_credgate_shared->purges
                                             % NGX_HTTP_CREDGATE_PURGES];

    /* a client id that is too long becomes a purge of all clients */

    purge->len = (client_id->len <= NGX_HTTP_CREDGATE_MAX_ID) ? client_id->len
                                                              : 0;

    if (purge->len) {
        ngx_memcpy(purge->client_id, client_id->data, purge->len);
    }

    ngx_http_credgate_shared->purges++;

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


/*
 * Carries out the purges of other workers.  This runs before each request, and
 * costs one comparison if there are none.
 */

void
ngx_http_credgate_zone_follow_purges(credgate_engine *engine)
{
    ngx_uint_t                  all;
    ngx_http_credgate_purge_t   purge;

    if (ngx_http_credgate_shared == NULL
        || ngx_http_credgate_purges_seen == ngx_http_credgate_shared->purges)
    {
        return;
    }

    for ( ;; ) {

        ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

        if (ngx_http_credgate_shared->purges == ngx_http_credgate_purges_seen)
        {
            ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
            return;
        }

        /* the ring has overwritten a purge: purge all clients instead */

        all = ngx_http_credgate_shared->purges - ngx_http_credgate_purges_seen
              > NGX_HTTP_CREDGATE_PURGES;

        purge = ngx_http_credgate_shared->purge[ngx_http_credgate_purges_seen
                                                % NGX_HTTP_CREDGATE_PURGES];

        if (all) {
            ngx_http_credgate_purges_seen = ngx_http_credgate_shared->purges;

        } else {
            ngx_http_credgate_purges_seen++;
        }

        ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

        if (all || purge.len == 0) {
            (void) credgate_engine_follow_purge(engine, NULL, 0);

        } else {
            (void) credgate_engine_follow_purge(engine,
                                                (char *) purge.client_id,
                                                purge.len);
        }
    }
}
