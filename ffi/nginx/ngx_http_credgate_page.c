
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_page_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_page_is_preferred(ngx_http_request_t *r,
    bool *preferred);
static ngx_int_t ngx_http_credgate_page_accept(ngx_http_request_t *r,
    ngx_str_t *accept);
static ngx_int_t ngx_http_credgate_page_protect(ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_page_add_header(ngx_http_request_t *r,
    const char *name, const char *value, size_t len);


#define ngx_http_credgate_page_header(r, name, value)                         \
    ngx_http_credgate_page_add_header(r, name, value, sizeof(value) - 1)


static ngx_str_t  ngx_http_credgate_html_type =
    ngx_string("text/html; charset=utf-8");


char *
ngx_http_credgate_page_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_credgate_page_handler;

    return NGX_CONF_OK;
}


/* returns the page to browsers, and the report to programs */

static ngx_int_t
ngx_http_credgate_page_handler(ngx_http_request_t *r)
{
    bool       preferred;
    ngx_int_t  rc;
    ngx_str_t  body;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_credgate_page_header(r, "Vary", "Accept") != NGX_OK
        || ngx_http_credgate_page_header(r, "Cache-Control", "no-store")
           != NGX_OK
        || ngx_http_credgate_page_is_preferred(r, &preferred) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!preferred) {
        return ngx_http_credgate_operate_report_handler(r);
    }

    rc = ngx_http_credgate_operate_write(r, credgate_page_html, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_credgate_page_protect(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_credgate_operate_send(r, NGX_HTTP_OK,
                                          &ngx_http_credgate_html_type, &body);
}


static ngx_int_t
ngx_http_credgate_page_is_preferred(ngx_http_request_t *r, bool *preferred)
{
    ngx_str_t  accept;

    if (ngx_http_credgate_page_accept(r, &accept) != NGX_OK) {
        return NGX_ERROR;
    }

    return (credgate_page_is_preferred((char *) accept.data, accept.len,
                                       preferred)
            == CREDGATE_OK) ? NGX_OK : NGX_ERROR;
}


/* joins the values of all headers "Accept" */

static ngx_int_t
ngx_http_credgate_page_accept(ngx_http_request_t *r, ngx_str_t *accept)
{
    ngx_str_t         name = ngx_string("Accept");

    u_char           *p;
    size_t            len;
    ngx_uint_t        i, pass;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = 0;
    p = NULL;
    ngx_str_null(accept);

    /* the first pass adds up their lengths */

    for (pass = 0; pass < 2; pass++) {

        for (part = &r->headers_in.headers.part; part; part = part->next) {
            h = part->elts;

            for (i = 0; i < part->nelts; i++) {

                if (h[i].hash == 0
                    || !ngx_http_credgate_headers_same_name(&h[i].key, &name))
                {
                    continue;
                }

                if (pass == 0) {
                    len += h[i].value.len + 1;

                } else {
                    p = ngx_cpymem(p, h[i].value.data, h[i].value.len);
                    *p++ = ',';
                }
            }
        }

        if (len == 0) {
            return NGX_OK;
        }

        if (pass == 0) {
            p = ngx_pnalloc(r->pool, len);
            if (p == NULL) {
                return NGX_ERROR;
            }

            accept->data = p;
            accept->len = len;
        }
    }

    return NGX_OK;
}


/* the page has no script, needs no other file, and belongs in no frame */

static ngx_int_t
ngx_http_credgate_page_protect(ngx_http_request_t *r)
{
    size_t       len;
    const char  *policy;

    if (credgate_page_policy(&policy, &len) != CREDGATE_OK
        || ngx_http_credgate_page_add_header(r, "Content-Security-Policy",
                                             policy, len)
           != NGX_OK
        || ngx_http_credgate_page_header(r, "X-Content-Type-Options",
                                         "nosniff")
           != NGX_OK
        || ngx_http_credgate_page_header(r, "X-Frame-Options", "DENY")
           != NGX_OK
        || ngx_http_credgate_page_header(r, "Referrer-Policy", "no-referrer")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* name and value must be static */

static ngx_int_t
ngx_http_credgate_page_add_header(ngx_http_request_t *r, const char *name,
    const char *value, size_t len)
{
    ngx_str_t  key, text;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);
    text.data = (u_char *) value;
    text.len = len;

    return ngx_http_credgate_answer_add_header(r, &key, &text) ? NGX_OK
                                                               : NGX_ERROR;
}
