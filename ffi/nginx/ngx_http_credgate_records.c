
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/*
 * The workers share their latest log records, for the status page.  New
 * records overwrite old ones.  All of them take two pages of the zone.
 */

#define NGX_HTTP_CREDGATE_RECORDS      24
#define NGX_HTTP_CREDGATE_RECORD_SIZE  320


typedef struct {
    time_t                      time;
    uint32_t                    level;
    uint32_t                    len;
    u_char                      text[NGX_HTTP_CREDGATE_RECORD_SIZE];
} ngx_http_credgate_record_t;


typedef struct {
    ngx_uint_t                  n;             /* their total number */
    ngx_http_credgate_record_t  record[NGX_HTTP_CREDGATE_RECORDS];
} ngx_http_credgate_records_t;


static ngx_slab_pool_t              *ngx_http_credgate_shpool;
static ngx_http_credgate_records_t  *ngx_http_credgate_records;


void *
ngx_http_credgate_records_create(ngx_slab_pool_t *shpool)
{
    return ngx_slab_calloc(shpool, sizeof(ngx_http_credgate_records_t));
}


void
ngx_http_credgate_records_open(ngx_slab_pool_t *shpool, void *shared)
{
    ngx_http_credgate_shpool = shpool;
    ngx_http_credgate_records = shared;
}


/* the same record of several workers, or of one of them, is kept once */

void
ngx_http_credgate_records_add(uint32_t level, const char *text, size_t len)
{
    ngx_uint_t                    n;
    ngx_http_credgate_record_t   *record;
    ngx_http_credgate_records_t  *records;

    records = ngx_http_credgate_records;

    if (records == NULL) {
        return;
    }

    len = ngx_min(len, NGX_HTTP_CREDGATE_RECORD_SIZE);

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    n = records->n;
    record = &records->record[(n + NGX_HTTP_CREDGATE_RECORDS - 1)
                              % NGX_HTTP_CREDGATE_RECORDS];

    if (n == 0 || record->level != level || record->len != len
        || ngx_memcmp(record->text, text, len) != 0)
    {
        record = &records->record[n % NGX_HTTP_CREDGATE_RECORDS];
        record->level = level;
        record->len = len;
        ngx_memcpy(record->text, text, len);
        records->n++;
    }

    record->time = ngx_time();

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);
}


/* copies the records, the oldest first */

ngx_int_t
ngx_http_credgate_records_list(ngx_pool_t *pool, credgate_record **list,
    size_t *count)
{
    u_char                       *text;
    ngx_uint_t                    i, first, last;
    credgate_record              *copy;
    ngx_http_credgate_record_t   *record;
    ngx_http_credgate_records_t  *records;

    records = ngx_http_credgate_records;

    *count = 0;

    if (records == NULL) {
        return NGX_OK;
    }

    copy = ngx_pcalloc(pool, sizeof(credgate_record)
                             * NGX_HTTP_CREDGATE_RECORDS);
    text = ngx_pnalloc(pool, NGX_HTTP_CREDGATE_RECORD_SIZE
                             * NGX_HTTP_CREDGATE_RECORDS);

    if (copy == NULL || text == NULL) {
        return NGX_ERROR;
    }

    *list = copy;

    ngx_shmtx_lock(&ngx_http_credgate_shpool->mutex);

    last = records->n;
    first = last - ngx_min(last, NGX_HTTP_CREDGATE_RECORDS);

    for (i = first; i < last; i++) {
        record = &records->record[i % NGX_HTTP_CREDGATE_RECORDS];

        copy->time = record->time;
        copy->level = record->level;
        copy->text = (char *) text;
        copy->text_len = record->len;

        text = ngx_cpymem(text, record->text, record->len);
        copy++;
    }

    ngx_shmtx_unlock(&ngx_http_credgate_shpool->mutex);

    *count = last - first;

    return NGX_OK;
}
