
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_operate_metrics_handler(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_operate_counters(ngx_http_request_t *r,
    ngx_uint_t clients, ngx_str_t *type, int32_t (*write)(const uint64_t *,
    uintptr_t, char *, uintptr_t, uintptr_t *));


static ngx_str_t  ngx_http_credgate_text_type =
    ngx_string("text/plain; version=0.0.4; charset=utf-8");
ngx_str_t  ngx_http_credgate_json_type =
    ngx_string("application/json; charset=utf-8");


char *
ngx_http_credgate_operate_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_credgate_operate_metrics_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_credgate_operate_report(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_credgate_operate_report_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_credgate_operate_metrics_handler(ngx_http_request_t *r)
{
    return ngx_http_credgate_operate_counters(r, 1,
                                              &ngx_http_credgate_text_type,
                                              credgate_counters_text);
}


ngx_int_t
ngx_http_credgate_operate_report_handler(ngx_http_request_t *r)
{
    return ngx_http_credgate_operate_counters(r, 0,
                                              &ngx_http_credgate_json_type,
                                              credgate_counters_report);
}


/*
 * returns the counters of all workers, in the format of "write", and as text
 * those of clients
 */

static ngx_int_t
ngx_http_credgate_operate_counters(ngx_http_request_t *r, ngx_uint_t clients,
    ngx_str_t *type, int32_t (*write)(const uint64_t *, uintptr_t, char *,
    uintptr_t, uintptr_t *))
{
    uint64_t   counters[CREDGATE_COUNTERS];
    int32_t    status;
    uintptr_t  len;
    ngx_int_t  rc;
    ngx_str_t  body, more;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_credgate_counters_publish(ngx_http_credgate_engine_get(),
                                       r->connection->log);

    ngx_str_null(&more);

    if (clients) {
        ngx_http_credgate_clients_publish(ngx_http_credgate_engine_get());

        if (ngx_http_credgate_clients_text(r->pool, &more) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ngx_http_credgate_counters_sum(counters) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    len = 0;
    status = write(counters, CREDGATE_COUNTERS, NULL, 0, &len);

    if (status != CREDGATE_BUFFER_TOO_SMALL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = ngx_pcalloc(r->pool, len + more.len);
    if (body.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (write(counters, CREDGATE_COUNTERS, (char *) body.data, len, &len)
        != CREDGATE_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (more.len) {
        ngx_memcpy(body.data + len, more.data, more.len);
    }

    body.len = len + more.len;

    return ngx_http_credgate_operate_send(r, NGX_HTTP_OK, type, &body);
}


ngx_int_t
ngx_http_credgate_operate_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *body)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = status;
    r->headers_out.content_length_n = body->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
