
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_operate_metrics_handler(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_operate_answer(ngx_http_request_t *r,
    ngx_str_t *type, ngx_http_credgate_write_pt write);


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
    return ngx_http_credgate_operate_answer(r, &ngx_http_credgate_text_type,
                                            credgate_page_metrics);
}


ngx_int_t
ngx_http_credgate_operate_report_handler(ngx_http_request_t *r)
{
    return ngx_http_credgate_operate_answer(r, &ngx_http_credgate_json_type,
                                            credgate_page_report);
}


static ngx_int_t
ngx_http_credgate_operate_answer(ngx_http_request_t *r, ngx_str_t *type,
    ngx_http_credgate_write_pt write)
{
    ngx_int_t  rc;
    ngx_str_t  body;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_credgate_operate_write(r, write, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_credgate_operate_send(r, NGX_HTTP_OK, type, &body);
}


/* writes what all workers have counted, in the format of "write" */

ngx_int_t
ngx_http_credgate_operate_write(ngx_http_request_t *r,
    ngx_http_credgate_write_pt write, ngx_str_t *body)
{
    uint64_t       counters[CREDGATE_COUNTERS];
    size_t         len;
    credgate_page  page;

    ngx_memzero(&page, sizeof(credgate_page));
    page.struct_size = sizeof(credgate_page);

    ngx_http_credgate_counters_publish(ngx_http_credgate_engine_get(),
                                       r->connection->log);
    ngx_http_credgate_clients_publish(ngx_http_credgate_engine_get());
    ngx_http_credgate_engine_log(ngx_cycle->log);

    if (ngx_http_credgate_counters_sum(counters) != NGX_OK) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    page.since = ngx_http_credgate_zone_created();
    page.counters = counters;
    page.counters_len = CREDGATE_COUNTERS;
    page.client_size = sizeof(credgate_client);
    page.record_size = sizeof(credgate_record);

    if (ngx_http_credgate_counters_page(r->pool, &page) != NGX_OK
        || ngx_http_credgate_clients_list(r->pool,
                                       (credgate_client **) &page.clients,
                                       &page.clients_len)
           != NGX_OK
        || ngx_http_credgate_records_list(r->pool,
                                       (credgate_record **) &page.records,
                                       &page.records_len)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = 0;

    if (write(&page, NULL, 0, &len) != CREDGATE_BUFFER_TOO_SMALL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = ngx_pcalloc(r->pool, len);
    if (body->data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (write(&page, (char *) body->data, len, &body->len) != CREDGATE_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
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
