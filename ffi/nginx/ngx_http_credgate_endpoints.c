
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static char *ngx_http_credgate_endpoints_set(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_uint_t endpoint);
static char *ngx_http_credgate_endpoints_name(ngx_uint_t endpoint);


char *
ngx_http_credgate_endpoints_token(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    return ngx_http_credgate_endpoints_set(cf, conf, NGX_HTTP_CREDGATE_TOKEN);
}


char *
ngx_http_credgate_endpoints_check(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    return ngx_http_credgate_endpoints_set(cf, conf, NGX_HTTP_CREDGATE_CHECK);
}


static char *
ngx_http_credgate_endpoints_set(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_uint_t endpoint)
{
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_credgate_main_conf_t  *cgmcf;

    if (cglcf->endpoint) {
        return "is duplicate, or beside the other one";
    }

    cglcf->endpoint = endpoint;

    if (cglcf->enable == NGX_CONF_UNSET_UINT) {
        cglcf->file = cf->conf_file->file.name;
        cglcf->line = cf->conf_file->line;
    }

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);
    cgmcf->endpoints = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_credgate_endpoint_content_handler;

    return NGX_CONF_OK;
}


/* sets "credgate on" unless the location says "optional" */

ngx_int_t
ngx_http_credgate_endpoints_merge(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != ngx_http_credgate_endpoint_content_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"%s\" cannot be combined with another "
                      "directive that provides the content, such as "
                      "\"proxy_pass\", in %V:%ui",
                      ngx_http_credgate_endpoints_name(conf->endpoint),
                      &conf->file, conf->line);
        return NGX_ERROR;
    }

    if (conf->enable == NGX_CONF_UNSET_UINT) {
        conf->enable = (conf->endpoint == NGX_HTTP_CREDGATE_CHECK
                        && prev->enable == NGX_HTTP_CREDGATE_OPTIONAL)
                       ? NGX_HTTP_CREDGATE_OPTIONAL : 1;

        return NGX_OK;
    }

    if (conf->enable == 1
        || (conf->enable == NGX_HTTP_CREDGATE_OPTIONAL
            && conf->endpoint == NGX_HTTP_CREDGATE_CHECK))
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "credgate: \"%s\" needs \"credgate on\", which is its "
                  "default, in %V:%ui",
                  ngx_http_credgate_endpoints_name(conf->endpoint),
                  &conf->file, conf->line);

    return NGX_ERROR;
}


int32_t
ngx_http_credgate_endpoints_derive(ngx_http_credgate_loc_conf_t *cglcf,
    credgate_gate **gate, credgate_error **error)
{
    int32_t         status;
    credgate_gate  *derived;

    if (!cglcf->endpoint) {
        return CREDGATE_OK;
    }

    status = (cglcf->endpoint == NGX_HTTP_CREDGATE_TOKEN)
             ? credgate_gate_token_endpoint(*gate, &derived, error)
             : credgate_gate_external(*gate, &derived, error);

    if (status == CREDGATE_OK) {
        credgate_gate_free(*gate);
        *gate = derived;
    }

    return status;
}


static char *
ngx_http_credgate_endpoints_name(ngx_uint_t endpoint)
{
    return (endpoint == NGX_HTTP_CREDGATE_TOKEN) ? "credgate_token"
                                                 : "credgate_check";
}
