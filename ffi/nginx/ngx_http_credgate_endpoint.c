
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_endpoint_verdict(
    ngx_http_credgate_ctx_t *ctx, ngx_uint_t endpoint);
static ngx_int_t ngx_http_credgate_endpoint_send_token(
    ngx_http_credgate_ctx_t *ctx);
static ngx_int_t ngx_http_credgate_endpoint_send_headers(
    ngx_http_credgate_ctx_t *ctx);
static ngx_int_t ngx_http_credgate_endpoint_add_header(ngx_http_request_t *r,
    credgate_header *header, ngx_str_t *removed);


/*
 * Decides in the precontent phase: unlike the access phase, nginx runs it for
 * the subrequest of "auth_request" too, and in spite of "satisfy any".
 */

ngx_int_t
ngx_http_credgate_endpoint_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_credgate_ctx_t       *ctx;
    ngx_http_credgate_loc_conf_t  *cglcf;

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (!cglcf->endpoint) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL) {
        /* fail closed: the preaccess handler has not run */
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_DONE) {
        return ngx_http_credgate_endpoint_verdict(ctx, cglcf->endpoint);
    }

    ctx->phase_handler = r->phase_handler;

    if (cglcf->endpoint == NGX_HTTP_CREDGATE_TOKEN) {

        rc = ngx_http_credgate_read_body(ctx);

        if (rc != NGX_OK) {
            return rc;
        }

    } else {

        /* a subrequest is always a GET */

        ctx->presented.method = (char *) r->main->method_name.data;
        ctx->presented.method_len = r->main->method_name.len;
    }

    ngx_http_credgate_wait_authenticate(ctx);

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_WAITING) {
        ngx_http_credgate_wait_suspend(ctx);
        return NGX_AGAIN;
    }

    return ngx_http_credgate_endpoint_verdict(ctx, cglcf->endpoint);
}


static ngx_int_t
ngx_http_credgate_endpoint_verdict(ngx_http_credgate_ctx_t *ctx,
    ngx_uint_t endpoint)
{
    credgate_outcome    *outcome;
    ngx_http_request_t  *r;

    r = ctx->request;
    outcome = &ctx->outcome;

    /* a mirror runs later; a subrequest shares its headers with the main one */

    if (r == r->main) {
        ngx_http_credgate_headers_remove_authorization(ctx);

        if (ctx->headers) {
            ngx_http_credgate_named_remove(ctx);
        }

        if (ctx->presented.body_len && !ctx->body_hidden
            && ngx_http_credgate_body_hide(ctx) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ngx_http_credgate_answer_add_no_store(ctx, endpoint) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (outcome->http_status == 0) {
        return NGX_DECLINED;
    }

    if (r != r->main && outcome->http_status < NGX_HTTP_INTERNAL_SERVER_ERROR
        && outcome->http_status != NGX_HTTP_UNAUTHORIZED)
    {
        /* "auth_request" turns any other status into 500 */
        outcome->http_status = NGX_HTTP_FORBIDDEN;
    }

    return ngx_http_credgate_answer_send(ctx);
}


/* the content of a location that has allowed the request */

ngx_int_t
ngx_http_credgate_endpoint_content_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_credgate_ctx_t       *ctx;
    ngx_http_credgate_loc_conf_t  *cglcf;

    ctx = ngx_http_credgate_ctx_get(r);

    /* fail closed: nothing has decided, or not in favour of the request */

    if (ctx == NULL || ctx->state != NGX_HTTP_CREDGATE_STATE_DONE
        || ctx->outcome.http_status
        || ctx->outcome.cache_status == CREDGATE_CACHE_STATUS_NONE)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    return (cglcf->endpoint == NGX_HTTP_CREDGATE_TOKEN)
           ? ngx_http_credgate_endpoint_send_token(ctx)
           : ngx_http_credgate_endpoint_send_headers(ctx);
}


static ngx_int_t
ngx_http_credgate_endpoint_send_token(ngx_http_credgate_ctx_t *ctx)
{
    size_t       len;
    ngx_str_t    body;
    const char  *json;

    if (credgate_outcome_token_response(&ctx->outcome, &json, &len)
        != CREDGATE_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the outcome lives as long as the request, so this needs no copy */

    body.data = (u_char *) json;
    body.len = len;

    return ngx_http_credgate_operate_send(ctx->request, NGX_HTTP_OK,
                                          &ngx_http_credgate_json_type, &body);
}


/* an empty response with the headers that the gate would send upstream */

static ngx_int_t
ngx_http_credgate_endpoint_send_headers(ngx_http_credgate_ctx_t *ctx)
{
    size_t               n, first;
    ngx_str_t            removed, name;
    credgate_header      header;
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_str_null(&removed);

    for (first = 0; /* void */ ; first++) {

        if (credgate_outcome_headers(&ctx->outcome, first, &header, 1,
                                     sizeof(credgate_header), &n)
            != CREDGATE_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (n == 0) {
            break;
        }

        if (ngx_http_credgate_endpoint_add_header(r, &header, &removed)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (removed.len) {
        ngx_str_set(&name, "x-envoy-auth-headers-to-remove");

        if (ngx_http_credgate_answer_add_header(r, &name, &removed) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


/* adds a header to the response, or its name to those that must vanish */

static ngx_int_t
ngx_http_credgate_endpoint_add_header(ngx_http_request_t *r,
    credgate_header *header, ngx_str_t *removed)
{
    u_char     *p;
    ngx_str_t   name, value;

    name.data = (u_char *) header->name;
    name.len = header->name_len;

    if (header->value) {
        value.data = (u_char *) header->value;
        value.len = header->value_len;

        return ngx_http_credgate_answer_add_header(r, &name, &value)
               ? NGX_OK : NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, removed->len + 1 + name.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;

    if (removed->len) {
        p = ngx_cpymem(p, removed->data, removed->len);
        *p++ = ',';
    }

    p = ngx_cpymem(p, name.data, name.len);

    removed->data = value.data;
    removed->len = p - value.data;

    return NGX_OK;
}
