
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/*
 * The workers share their counters and log records, so that each can report
 * those of all, and purges, which each carries out in its own cache.
 */

#define NGX_HTTP_CREDGATE_PURGES     64
#define NGX_HTTP_CREDGATE_MAX_ID     255
#define NGX_HTTP_CREDGATE_ZONE_SIZE  (1024 * 1024)
#define NGX_HTTP_CREDGATE_ZONE_MIN   (64 * 1024)


typedef struct {
    size_t                     len;            /* 0: all clients */
    u_char                     client_id[NGX_HTTP_CREDGATE_MAX_ID];
} ngx_http_credgate_purge_t;


typedef struct {
    void                      *counters;
    void                      *clients;
    void                      *records;
    time_t                     created;
    ngx_atomic_t               purges;         /* their total number */
    ngx_http_credgate_purge_t  purge[NGX_HTTP_CREDGATE_PURGES];
} ngx_http_credgate_shared_t;


static ngx_int_t ngx_http_credgate_zone_init(ngx_shm_zone_t *zone,
    void *data);


static ngx_slab_pool_t             *ngx_http_credgate_shpool;
static ngx_http_credgate_shared_t  *ngx_http_credgate_shared;
static ngx_atomic_uint_t            ngx_http_credgate_purges_seen;


char *
ngx_http_credgate_zone_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_credgate_main_conf_t  *cgmcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_conf_set_size_slot(cf, cmd, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (cgmcf->zone_size < NGX_HTTP_CREDGATE_ZONE_MIN) {
        value = cf->args->elts;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "size \"%V\" in \"%V\" directive is too small, "
                           "it must be at least 64k", &value[1], &value[0]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_credgate_zone_add(ngx_conf_t *cf)
{
    size_t                          clients;
    ngx_str_t                       name;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    clients = ngx_http_credgate_clients_size(cgmcf->metrics_clients);

    ngx_conf_init_size_value(cgmcf->zone_size,
                             NGX_HTTP_CREDGATE_ZONE_SIZE + clients);

    /* clients must leave room for the counters of workers */

    if (cgmcf->zone_size < NGX_HTTP_CREDGATE_ZONE_MIN + clients) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: the size in the \"credgate_zone\" directive "
                      "is too small for \"credgate_metrics_clients\" %ui, it "
                      "must be at least %uzk", cgmcf->metrics_clients,
                      (NGX_HTTP_CREDGATE_ZONE_MIN + clients + 1023) / 1024);
        return NGX_ERROR;
    }

    ngx_str_set(&name, "credgate");

    cgmcf->zone = ngx_shared_memory_add(cf, &name, cgmcf->zone_size,
                                        &ngx_http_credgate_module);
    if (cgmcf->zone == NULL) {
        return NGX_ERROR;
    }

    cgmcf->zone->init = ngx_http_credgate_zone_init;
    cgmcf->zone->data = cf->cycle;

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t             *shpool;
    ngx_http_credgate_shared_t  *shared;

    /*
     * An error of "init module" would end the master during a reload, and the
     * user of the workers is not known before.
     */

    if (ngx_http_credgate_options_prepare(zone->data) != NGX_OK) {
        return NGX_ERROR;
    }

    if (data) {
        /* counters survive a reload */
        zone->data = data;
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    shared = ngx_slab_calloc(shpool, sizeof(ngx_http_credgate_shared_t));
    if (shared == NULL) {
        return NGX_ERROR;
    }

    shared->counters = ngx_http_credgate_counters_create(shpool);
    if (shared->counters == NULL) {
        return NGX_ERROR;
    }

    shared->clients = ngx_http_credgate_clients_create(shpool);
    if (shared->clients == NULL) {
        return NGX_ERROR;
    }

    shared->records = ngx_http_credgate_records_create(shpool);
    if (shared->records == NULL) {
        return NGX_ERROR;
    }

    shared->created = ngx_time();

    /* a worker without room for its counters logs one warning itself */
    shpool->log_nomem = 0;

    zone->data = shared;

    return NGX_OK;
}


/* a failed reload must not change the zone of workers that start later */

void
ngx_http_credgate_zone_open(ngx_cycle_t *cycle)
{
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_credgate_module);
    if (cgmcf == NULL) {
        return;
    }

    ngx_http_credgate_shpool = (ngx_slab_pool_t *) cgmcf->zone->shm.addr;
    ngx_http_credgate_shared = cgmcf->zone->data;
    ngx_http_credgate_purges_seen = ngx_http_credgate_shared->purges;

    ngx_http_credgate_counters_open(ngx_http_credgate_shpool,
                                    ngx_http_credgate_shared->counters);
    ngx_http_credgate_clients_open(ngx_http_credgate_shpool,
                                   ngx_http_credgate_shared->clients,
                                   cgmcf->metrics_clients, cycle->log);
    ngx_http_credgate_records_open(ngx_http_credgate_shpool,
                                   ngx_http_credgate_shared->records);
}


/* the time at which the counters began at zero */

time_t
ngx_http_credgate_zone_created(void)
{
    return ngx_http_credgate_shared ? ngx_http_credgate_shared->created : 0;
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
