
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/*
 * The zone has the requests of each client in all workers.  The first clients
 * of any worker, up to "credgate_metrics_clients", keep their place until
 * nginx stops; the others count as "other".  A worker adds the growth of its
 * own numbers, so that those of a worker that has ended remain.
 */

#define NGX_HTTP_CREDGATE_CLIENTS_AT_ONCE  64
#define NGX_HTTP_CREDGATE_CLIENT_SIZE      512


typedef struct {
    ngx_str_node_t               node;
    ngx_queue_t                  queue;        /* by their first token */
    uint64_t                     allowed;
    uint64_t                     denied;
    u_char                       id[1];
} ngx_http_credgate_client_t;


typedef struct {
    ngx_rbtree_t                 rbtree;
    ngx_rbtree_node_t            sentinel;
    ngx_queue_t                  queue;        /* "other" is the first */
    ngx_uint_t                   n;
} ngx_http_credgate_clients_t;


/* a client in the list of this worker's engine */

typedef struct {
    ngx_http_credgate_client_t  *shared;
    uint64_t                     allowed;      /* in the zone already */
    uint64_t                     denied;
} ngx_http_credgate_published_t;


static void ngx_http_credgate_clients_add(
    ngx_http_credgate_published_t *published, credgate_client *client);
static ngx_http_credgate_client_t *ngx_http_credgate_clients_find(
    ngx_str_t *id);
static ngx_http_credgate_client_t *ngx_http_credgate_clients_first(void);
static ngx_http_credgate_client_t *ngx_http_credgate_clients_insert(
    ngx_slab_pool_t *shpool, ngx_http_credgate_clients_t *clients,
    ngx_str_t *id);
static ngx_uint_t ngx_http_credgate_clients_copy(credgate_client *list,
    ngx_uint_t n);


static ngx_str_t  ngx_http_credgate_clients_other = ngx_string("other");

static ngx_slab_pool_t                *ngx_http_credgate_shpool;
static ngx_http_credgate_clients_t    *ngx_http_credgate_clients;
static ngx_http_credgate_published_t  *ngx_http_credgate_published;
static ngx_uint_t                      ngx_http_credgate_clients_max;


/* the part of the zone that clients may fill */

size_t
ngx_http_credgate_clients_size(ngx_uint_t max)
{
    return max * NGX_HTTP_CREDGATE_CLIENT_SIZE;
}


void *
ngx_http_credgate_clients_create(ngx_slab_pool_t *shpool)
{
    ngx_http_credgate_clients_t  *clients;

    clients = ngx_slab_calloc(shpool, sizeof(ngx_http_credgate_clients_t));
    if (clients == NULL) {
        return NULL;
    }

    ngx_rbtree_init(&clients->rbtree, &clients->sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&clients->queue);

    /* the master has the lock of a new zone for itself */

    if (ngx_http_credgate_clients_insert(shpool, clients,
                                         &ngx_http_credgate_clients_other)
        == NULL)
    {
        return NULL;
    }

    return clients;
}


/* without memory, this worker counts no clients */

void
ngx_http_credgate_clients_open(ngx_slab_pool_t *shpool, void *shared,
    ngx_uint_t max, ngx_log_t *log)
{
    if (max == 0) {
        return;
    }

    ngx_http_credgate_published = ngx_calloc(
                      (max + 1) * sizeof(ngx_http_credgate_published_t), log);
    if (ngx_http_credgate_published == NULL) {
        return;
    }

    ngx_http_credgate_shpool = shpool;
    ngx_http_credgate_clients = shared;
    ngx_http_credgate_clients_max = max;
}


void
ngx_http_credgate_clients_publish(credgate_engine *engine)
{
    size_t           i, n, first;
    credgate_client  list[NGX_HTTP_CREDGATE_CLIENTS_AT_ONCE];

    if (ngx_http_credgate_clients == NULL) {
        return;
    }

    /* the engine has as many clients as the option allows, and "other" */

    for (first = 0; first <= ngx_http_credgate_clients_max; first += n) {

        n = ngx_min(ngx_http_credgate_clients_max + 1 - first,
                    NGX_HTTP_CREDGATE_CLIENTS_AT_ONCE);

        if (credgate_engine_clients(engine, first, list, n,
                                    sizeof(credgate_client), &n)
            != CREDGATE_OK
            || n == 0)
        {
            return;
        }

        ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

        for (i = 0; i < n; i++) {
            ngx_http_credgate_clients_add(
                                   &ngx_http_credgate_published[first + i],
                                   &list[i]);
        }

        ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
    }
}


/* counts a denial of this module, which the engine does not know */

void
ngx_http_credgate_clients_deny(void)
{
    if (ngx_http_credgate_clients == NULL) {
        return;
    }

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    ngx_http_credgate_clients_first()->denied++;

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


static void
ngx_http_credgate_clients_add(ngx_http_credgate_published_t *published,
    credgate_client *client)
{
    ngx_str_t  id;

    if (published->shared == NULL) {
        id.data = (u_char *) client->client_id;
        id.len = client->client_id_len;

        published->shared = ngx_http_credgate_clients_find(&id);
    }

    published->shared->allowed += client->allowed - published->allowed;
    published->shared->denied += client->denied - published->denied;

    published->allowed = client->allowed;
    published->denied = client->denied;
}


/* finds the client in the zone, or gives it a place there, or "other" */

static ngx_http_credgate_client_t *
ngx_http_credgate_clients_find(ngx_str_t *id)
{
    ngx_str_node_t               *node;
    ngx_http_credgate_client_t   *client;
    ngx_http_credgate_clients_t  *clients;

    clients = ngx_http_credgate_clients;

    node = ngx_str_rbtree_lookup(&clients->rbtree, id,
                                 ngx_crc32_long(id->data, id->len));
    if (node) {
        return (ngx_http_credgate_client_t *) node;
    }

    if (clients->n <= ngx_http_credgate_clients_max) {
        client = ngx_http_credgate_clients_insert(ngx_http_credgate_shpool,
                                                  clients, id);
        if (client) {
            return client;
        }
    }

    return ngx_http_credgate_clients_first();
}


/* "other" */

static ngx_http_credgate_client_t *
ngx_http_credgate_clients_first(void)
{
    ngx_queue_t  *q;

    q = ngx_queue_head(&ngx_http_credgate_clients->queue);

    return ngx_queue_data(q, ngx_http_credgate_client_t, queue);
}


static ngx_http_credgate_client_t *
ngx_http_credgate_clients_insert(ngx_slab_pool_t *shpool,
    ngx_http_credgate_clients_t *clients, ngx_str_t *id)
{
    ngx_http_credgate_client_t  *client;

    client = ngx_slab_calloc_locked(shpool,
                                    offsetof(ngx_http_credgate_client_t, id)
                                    + id->len);
    if (client == NULL) {
        return NULL;
    }

    ngx_memcpy(client->id, id->data, id->len);

    client->node.str.data = client->id;
    client->node.str.len = id->len;
    client->node.node.key = ngx_crc32_long(id->data, id->len);

    ngx_rbtree_insert(&clients->rbtree, &client->node.node);
    ngx_queue_insert_tail(&clients->queue, &client->queue);

    clients->n++;

    return client;
}


/* none without "credgate_metrics_clients" */

ngx_int_t
ngx_http_credgate_clients_list(ngx_pool_t *pool, credgate_client **list,
    size_t *count)
{
    ngx_uint_t  n;

    *count = 0;

    if (ngx_http_credgate_clients == NULL) {
        return NGX_OK;
    }

    n = ngx_http_credgate_clients->n;

    *list = ngx_palloc(pool, n * sizeof(credgate_client));
    if (*list == NULL) {
        return NGX_ERROR;
    }

    *count = ngx_http_credgate_clients_copy(*list, n);

    return NGX_OK;
}


/* no client leaves the zone, so that the ids outlast the lock */

static ngx_uint_t
ngx_http_credgate_clients_copy(credgate_client *list, ngx_uint_t n)
{
    ngx_uint_t                   i;
    ngx_queue_t                 *q;
    ngx_http_credgate_client_t  *client;

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    q = ngx_queue_head(&ngx_http_credgate_clients->queue);

    for (i = 0;
         i < n && q != ngx_queue_sentinel(&ngx_http_credgate_clients->queue);
         i++)
    {
        client = ngx_queue_data(q, ngx_http_credgate_client_t, queue);

        list[i].client_id = (char *) client->node.str.data;
        list[i].client_id_len = client->node.str.len;
        list[i].allowed = client->allowed;
        list[i].denied = client->denied;

        q = ngx_queue_next(q);
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

    return i;
}
