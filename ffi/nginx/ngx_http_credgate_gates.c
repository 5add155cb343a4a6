
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static char *ngx_http_credgate_gates_add(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf,
    ngx_http_credgate_provider_t *provider);
static ngx_http_credgate_gate_t *ngx_http_credgate_gates_select(
    ngx_http_request_t *r, ngx_http_credgate_loc_conf_t *cglcf);


/*
 * Compiles the gate of a location.  With a variable there is one for each
 * provider, after one that denies: a redirect must not take a request that
 * another gate has allowed past it.
 */

char *
ngx_http_credgate_gates_compile(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    ngx_uint_t                      i;
    ngx_http_credgate_gate_t       *gate;
    ngx_http_credgate_provider_t   *provider;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cglcf->gates = ngx_array_create(cf->pool, 1,
                                    sizeof(ngx_http_credgate_gate_t));
    if (cglcf->gates == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cglcf->variable == NGX_CONF_UNSET) {
        provider = NULL;

        if (cglcf->provider.data) {
            provider = ngx_http_credgate_provider_lookup(cf, &cglcf->provider,
                                                         NULL);
        }

        return ngx_http_credgate_gates_add(cf, cglcf, provider);
    }

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);
    provider = cgmcf->providers->elts;

    if (ngx_http_credgate_gates_add(cf, cglcf, &provider[0]) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    gate = cglcf->gates->elts;
    gate->denies = 1;
    gate->plain = 0;

    for (i = 0; i < cgmcf->providers->nelts; i++) {
        if (ngx_http_credgate_gates_add(cf, cglcf, &provider[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_credgate_gates_add(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf,
    ngx_http_credgate_provider_t *provider)
{
    ngx_http_credgate_gate_t  *gate;

    gate = ngx_array_push(cglcf->gates);
    if (gate == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(gate, sizeof(ngx_http_credgate_gate_t));

    gate->settings = cglcf->settings;

    if (provider) {
        provider->used = 1;
        gate->provider = provider->name;

        if (ngx_http_credgate_conf_override(cf, gate->settings,
                                            provider->settings,
                                            &gate->settings)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_credgate_conf_override(cf, gate->settings, cglcf->outer,
                                        &gate->settings)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_credgate_compile_gate(cf, cglcf, gate);
}


/* finds mistakes in blocks that no location uses */

ngx_int_t
ngx_http_credgate_gates_check_unused(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_http_credgate_loc_conf_t   *http, unused;
    ngx_http_credgate_provider_t   *provider;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->providers == NULL) {
        return NGX_OK;
    }

    http = ngx_http_conf_get_module_loc_conf(cf, ngx_http_credgate_module);
    provider = cgmcf->providers->elts;

    for (i = 0; i < cgmcf->providers->nelts; i++) {

        if (provider[i].used) {
            continue;
        }

        ngx_memzero(&unused, sizeof(ngx_http_credgate_loc_conf_t));

        unused.enable = 1;
        unused.file = provider[i].file;
        unused.line = provider[i].line;
        unused.outer = http->settings;
        unused.provider = provider[i].name;
        unused.variable = NGX_CONF_UNSET;

        if (ngx_http_credgate_gates_compile(cf, &unused) != NGX_CONF_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_http_credgate_gate_t *
ngx_http_credgate_gates_find(ngx_http_request_t *r)
{
    ngx_http_credgate_loc_conf_t  *cglcf;

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (cglcf->variable == NGX_CONF_UNSET) {
        return cglcf->gates->elts;
    }

    return ngx_http_credgate_gates_select(r, cglcf);
}


/* the first gate denies, if the variable names no provider */

static ngx_http_credgate_gate_t *
ngx_http_credgate_gates_select(ngx_http_request_t *r,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    size_t                      len;
    u_char                      escaped[3 * 64];
    ngx_uint_t                  i;
    ngx_http_credgate_gate_t   *gate;
    ngx_http_variable_value_t  *v;

    gate = cglcf->gates->elts;
    v = ngx_http_get_indexed_variable(r, cglcf->variable);
    len = 0;

    if (v && !v->not_found) {

        for (i = 1; i < cglcf->gates->nelts; i++) {

            if (gate[i].provider.len == v->len
                && ngx_memcmp(gate[i].provider.data, v->data, v->len) == 0)
            {
                ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                               "credgate provider: \"%V\"",
                               &gate[i].provider);

                /*
                 * The value may be a part of the query.  It must outlast the
                 * removal of credentials, which makes nginx forget such
                 * values.
                 */

                v->data = gate[i].provider.data;

                return &gate[i];
            }
        }

        len = (u_char *) ngx_escape_uri(escaped, v->data,
                                        ngx_min(v->len, 64),
                                        NGX_ESCAPE_URI_COMPONENT)
              - escaped;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "credgate: \"%V\" names no provider: \"%*s\"",
                  &cglcf->provider, len, escaped);

    return &gate[0];
}
