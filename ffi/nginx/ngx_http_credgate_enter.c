
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_enter_subrequest(ngx_http_request_t *r,
    ngx_http_credgate_loc_conf_t *cglcf);


/*
 * Runs before all modules that may refuse the request, because an "error_page"
 * of theirs may lead it to a location without a gate.
 */

ngx_int_t
ngx_http_credgate_enter_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_uint_t                     dry_run;
    ngx_http_credgate_gate_t      *gate;
    ngx_http_credgate_ctx_t       *ctx;
    ngx_http_credgate_loc_conf_t  *cglcf;

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (!cglcf->enable) {
        return NGX_DECLINED;
    }

    if (r != r->main && cglcf->endpoint != NGX_HTTP_CREDGATE_CHECK) {
        return ngx_http_credgate_enter_subrequest(r, cglcf);
    }

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL) {
        ctx = ngx_http_credgate_ctx_create(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    gate = ngx_http_credgate_gates_find(r);
    dry_run = (cglcf->enable == NGX_HTTP_CREDGATE_DRY_RUN);

    switch (ctx->state) {

    case NGX_HTTP_CREDGATE_STATE_DONE:

        if (ctx->gate == gate && ctx->dry_run == dry_run) {
            return NGX_DECLINED;
        }

        rc = ngx_http_credgate_ctx_restart(ctx);
        break;

    case NGX_HTTP_CREDGATE_STATE_READING:
    case NGX_HTTP_CREDGATE_STATE_WAITING:

        /* a suspended request runs no phases, so this is a redirect */

        rc = ngx_http_credgate_ctx_abandon(ctx);
        break;

    default: /* NGX_HTTP_CREDGATE_STATE_START */
        rc = NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->gate = gate;
    ctx->dry_run = dry_run;
    ctx->bypassed = 0;

    if (gate->headers && ngx_http_credgate_named_present(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (dry_run) {
        return NGX_DECLINED;
    }

    /* hide the query first, because any later handler may forward or log it */

    if (ngx_http_credgate_query_hide(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/*
 * nginx runs no access phase for a subrequest, so only the decision on its
 * main request can allow it.
 */

static ngx_int_t
ngx_http_credgate_enter_subrequest(ngx_http_request_t *r,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_ctx_get(r->main);

    if (cglcf->enable == NGX_HTTP_CREDGATE_DRY_RUN
        || (ctx && ctx->applied
            && ctx->gate == ngx_http_credgate_gates_find(r)))
    {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "credgate: denied a subrequest, because its main request "
                  "has not passed the gate of its location; set \"credgate "
                  "off\" in the location of the subrequest if other requests "
                  "cannot reach it");

    return NGX_HTTP_FORBIDDEN;
}
