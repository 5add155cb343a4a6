
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_bypass_hide(ngx_http_credgate_ctx_t *ctx);


ngx_int_t
ngx_http_credgate_bypass_init(ngx_conf_t *cf)
{
    ngx_str_t                       name = ngx_string("remote_user");
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    cgmcf->remote_user = ngx_http_get_variable_index(cf, &name);

    return cgmcf->remote_user == NGX_ERROR ? NGX_ERROR : NGX_OK;
}


/*
 * Removes credentials and forged headers from a request that goes on without
 * its gate's consent: another module of "satisfy any" has let it in, or an
 * "error_page" has redirected it to a location without a gate.
 */

ngx_int_t
ngx_http_credgate_bypass_handler(ngx_http_request_t *r)
{
    ngx_http_credgate_ctx_t        *ctx;
    ngx_http_credgate_loc_conf_t   *cglcf;
    ngx_http_credgate_main_conf_t  *cgmcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL || ctx->applied || ctx->dry_run) {
        return NGX_DECLINED;
    }

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (cglcf->endpoint) {
        return NGX_DECLINED;
    }

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_READING
        && ngx_http_credgate_ctx_abandon(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (cglcf->enable) {

        /* an error page keeps the headers of the denial */

        ngx_http_credgate_answer_withdraw(ctx);

        /* evaluates "$remote_user" for logs and headers, for the last time */

        cgmcf = ngx_http_get_module_main_conf(r, ngx_http_credgate_module);

        if (r->headers_in.user.len
            && ngx_http_get_indexed_variable(r, cgmcf->remote_user) == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_credgate_bypass_hide(ctx);
}


static ngx_int_t
ngx_http_credgate_bypass_hide(ngx_http_credgate_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->bypassed = 1;
    ctx->phase_handler = ctx->request->phase_handler;

    rc = ngx_http_credgate_read_body(ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx->presented.body_len && !ctx->body_hidden
        && ngx_http_credgate_body_hide(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a redirect may have built arguments from the client's */

    if (ngx_http_credgate_query_hide(ctx) != NGX_OK
        || ngx_http_credgate_headers_strip(ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}
