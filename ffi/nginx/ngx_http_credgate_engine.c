
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static credgate_engine  *ngx_http_credgate_engine;
static credgate_queue   *ngx_http_credgate_queue;


/* sets *fd to a descriptor that is readable when an outcome is ready */

ngx_int_t
ngx_http_credgate_engine_open(ngx_cycle_t *cycle, int *fd)
{
    size_t                          len;
    int32_t                         status;
    const char                     *text;
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
                                    &ngx_http_credgate_queue, &error);
    }

    if (status == CREDGATE_OK) {
        status = credgate_queue_fd(ngx_http_credgate_queue, fd);
    }

    if (status != CREDGATE_OK) {

        text = ngx_http_credgate_error_text(error, status, &len);

        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "credgate: this worker has no engine and returns 503: "
                      "%*s", len, text);

        credgate_error_free(error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_credgate_engine_close(void)
{
    credgate_queue_free(ngx_http_credgate_queue);
    ngx_http_credgate_queue = NULL;

    credgate_engine_free(ngx_http_credgate_engine);
    ngx_http_credgate_engine = NULL;
}


/* NULL: this process has no engine */

credgate_engine *
ngx_http_credgate_engine_get(void)
{
    return ngx_http_credgate_engine;
}


/* NULL: this process has no engine */

credgate_queue *
ngx_http_credgate_engine_queue(void)
{
    return ngx_http_credgate_queue;
}


/* writes the records of the library to nginx's log, and keeps the latest */

void
ngx_http_credgate_engine_log(ngx_log_t *log)
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

        ngx_http_credgate_records_add(level, text, len);
    }
}
