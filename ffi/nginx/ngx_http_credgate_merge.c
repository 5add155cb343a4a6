
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_merge_settings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf);


char *
ngx_http_credgate_merge_loc(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_credgate_loc_conf_t  *prev = parent;
    ngx_http_credgate_loc_conf_t  *conf = child;

    ngx_uint_t                     inherited;
    ngx_http_credgate_srv_conf_t  *cgscf;

    if (conf->endpoint) {

        if (ngx_http_credgate_endpoints_merge(cf, prev, conf) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (conf->enable == NGX_CONF_UNSET_UINT) {
        conf->file = prev->file;
        conf->line = prev->line;
    }

    ngx_conf_merge_uint_value(conf->enable, prev->enable, 0);

    conf->access = (conf->enable && !conf->endpoint);

    inherited = (conf->settings == NULL && conf->provider.data == NULL
                 && conf->enable == prev->enable
                 && conf->endpoint == prev->endpoint);

    if (ngx_http_credgate_merge_settings(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    cgscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_credgate_module);
    cgscf->used = 1;

    if (inherited && prev->gates) {
        conf->gates = prev->gates;

    } else if (ngx_http_credgate_gates_compile(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_guard_add(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * A provider stands between the levels: the settings of its own level and of
 * inner ones override it, and it overrides those of outer ones.
 */

static ngx_int_t
ngx_http_credgate_merge_settings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf)
{
    if (conf->provider.data) {

        if (ngx_http_credgate_provider_check(cf, conf) != NGX_CONF_OK) {
            return NGX_ERROR;
        }

        return ngx_http_credgate_conf_override(cf, prev->settings, prev->outer,
                                               &conf->outer);
    }

    conf->outer = prev->outer;
    conf->provider = prev->provider;
    conf->variable = prev->variable;
    conf->provider_file = prev->provider_file;
    conf->provider_line = prev->provider_line;

    return ngx_http_credgate_conf_override(cf, conf->settings, prev->settings,
                                           &conf->settings);
}
