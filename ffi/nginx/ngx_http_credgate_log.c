
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static u_char *ngx_http_credgate_log_error_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);


/* nginx's own, which has no name outside its file */

static ngx_http_log_handler_pt  ngx_http_credgate_log_next_error_handler;


/*
 * Once a location of any server has a gate, all servers redact: a client may
 * send its credentials to the wrong one.
 */

ngx_int_t
ngx_http_credgate_log_init(ngx_conf_t *cf)
{
    ngx_str_t                       authorization = ngx_string(
                                                        "http_authorization");
    ngx_str_t                       token = ngx_string(
                                                    "credgate_authorization");
    ngx_str_t                       body = ngx_string("request_body");

    ngx_uint_t                      i;
    ngx_array_t                    *handlers;
    ngx_http_handler_pt            *h;
    ngx_http_variable_t            *v;
    ngx_http_core_srv_conf_t      **cscfp;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_credgate_srv_conf_t   *cgscf;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    cscfp = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        cgscf = cscfp[i]->ctx->srv_conf[ngx_http_credgate_module.ctx_index];

        if (cgscf->used) {
            break;
        }
    }

    if (i == cmcf->servers.nelts) {
        return NGX_OK;
    }

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    cgmcf->body_index = NGX_ERROR;

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {
        if (v[i].name.len == body.len
            && ngx_strncmp(v[i].name.data, body.data, body.len) == 0)
        {
            cgmcf->body_index = i;
        }
    }

    cgmcf->authorization_index = ngx_http_get_variable_index(cf,
                                                             &authorization);
    cgmcf->token_index = ngx_http_get_variable_index(cf, &token);

    if (cgmcf->authorization_index == NGX_ERROR
        || cgmcf->token_index == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_POST_READ_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_log_post_read_handler;

    /* nginx runs the log handlers in their order, and its own is the first */

    handlers = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;
    ngx_memmove(&h[1], h, (handlers->nelts - 1) * sizeof(ngx_http_handler_pt));

    *h = ngx_http_credgate_conceal_handler;

    return NGX_OK;
}


/* overwrites secrets in the request line before any other handler runs */

ngx_int_t
ngx_http_credgate_log_post_read_handler(ngx_http_request_t *r)
{
    if (r->log_handler != ngx_http_credgate_log_error_handler) {
        ngx_http_credgate_log_next_error_handler = r->log_handler;
        r->log_handler = ngx_http_credgate_log_error_handler;
    }

    if (r->args.len && ngx_http_credgate_query_redact(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* redacts the end of an error message: request, upstream and referrer */

static u_char *
ngx_http_credgate_log_error_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len)
{
    u_char  *p;

    p = ngx_http_credgate_log_next_error_handler(r, sr, buf, len);

    ngx_http_credgate_redact_text(buf, p - buf);

    return p;
}
