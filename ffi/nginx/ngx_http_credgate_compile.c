
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_compile_host_args(ngx_conf_t *cf,
    ngx_http_credgate_gate_t *gate);
static ngx_int_t ngx_http_credgate_compile_log_warnings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate);
static void ngx_http_credgate_compile_free_gate(void *data);


char *
ngx_http_credgate_compile_gate(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate)
{
    int32_t              status;
    ngx_str_t            json;
    ngx_array_t         *settings;
    credgate_error      *error;
    ngx_pool_cleanup_t  *cln;

    if (gate->settings == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: no \"credgate_issuer\" or "
                      "\"credgate_config\" is defined for the \"credgate\" "
                      "directive in %V:%ui",
                      &cglcf->file, cglcf->line);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_own_compile(cf, gate, &settings) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_file_json(cf, cglcf, settings, &json)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    error = NULL;

    status = credgate_gate_new((char *) json.data, json.len, &gate->handle,
                               &error);

    if (status == CREDGATE_OK) {
        status = ngx_http_credgate_endpoints_derive(cglcf, &gate->handle,
                                                    &error);

        cln->handler = ngx_http_credgate_compile_free_gate;
        cln->data = gate->handle;
    }

    if (status != CREDGATE_OK) {
        ngx_http_credgate_error_log(cf, error, status, gate->settings,
                                    &cglcf->file, cglcf->line);
        credgate_error_free(error);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_names_compile(cf, cglcf, gate) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_compile_host_args(cf, gate) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (credgate_gate_wants_traceparent(gate->handle, &gate->traceparent)
        != CREDGATE_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_compile_log_warnings(cf, cglcf, gate) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    gate->plain = (gate->host_args == NULL && gate->client_id == NULL
                   && !gate->traceparent);

    return NGX_CONF_OK;
}


/* collects the values for the gate's token_post_args_host, in its order */

static ngx_int_t
ngx_http_credgate_compile_host_args(ngx_conf_t *cf,
    ngx_http_credgate_gate_t *gate)
{
    size_t                         n, len;
    ngx_uint_t                     i;
    const char                    *name;
    ngx_array_t                  **args;
    ngx_http_complex_value_t     **value;
    ngx_http_credgate_setting_t   *setting;

    args = &gate->host_args;
    setting = gate->settings->elts;

    for (n = 0;
         credgate_gate_arg(gate->handle, n, &name, &len) == CREDGATE_OK;
         n++)
    {
        for (i = 0; i < gate->settings->nelts; i++) {

            if (setting[i].field->type == NGX_HTTP_CREDGATE_TYPE_ARGS
                && setting[i].value && setting[i].words[1].len == len
                && ngx_memcmp(setting[i].words[1].data, name, len) == 0)
            {
                break;
            }
        }

        if (i == gate->settings->nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credgate: token_post_args_host: no value for "
                          "\"%*s\"; replace \"credgate_config\" in %V:%ui "
                          "with directives, including a "
                          "\"credgate_token_post_arg\" with a variable",
                          len, name, &setting[0].file, setting[0].line);
            return NGX_ERROR;
        }

        if (*args == NULL) {
            *args = ngx_array_create(cf->pool, 1,
                                     sizeof(ngx_http_complex_value_t *));
            if (*args == NULL) {
                return NGX_ERROR;
            }
        }

        value = ngx_array_push(*args);
        if (value == NULL) {
            return NGX_ERROR;
        }

        *value = setting[i].value;
    }

    return NGX_OK;
}


/* the first warning of a gate that asks for nothing waits for guard.c */

static ngx_int_t
ngx_http_credgate_compile_log_warnings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate)
{
    bool         searches;
    size_t       n, len;
    const char  *text;

    if (credgate_gate_searches_requests(gate->handle, &searches)
        != CREDGATE_OK)
    {
        return NGX_ERROR;
    }

    gate->guarded |= searches;

    for (n = searches ? 0 : 1;
         credgate_gate_warning(gate->handle, n, &text, &len) == CREDGATE_OK;
         n++)
    {
        if (ngx_http_credgate_compile_log_warning(cf, cglcf, gate, text, len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* logs each warning once, with the first location that causes it */

ngx_int_t
ngx_http_credgate_compile_log_warning(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate,
    const char *text, size_t len)
{
    ngx_str_t                      *warning;
    ngx_uint_t                      i;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->warnings == NULL) {
        cgmcf->warnings = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (cgmcf->warnings == NULL) {
            return NGX_ERROR;
        }
    }

    warning = cgmcf->warnings->elts;

    for (i = 0; i < cgmcf->warnings->nelts; i++) {
        if (warning[i].len == len
            && ngx_memcmp(warning[i].data, text, len) == 0)
        {
            return NGX_OK;
        }
    }

    warning = ngx_array_push(cgmcf->warnings);
    if (warning == NULL) {
        return NGX_ERROR;
    }

    /* the gate owns the text, and lives as long as the pool */
    warning->len = len;
    warning->data = (u_char *) text;

    ngx_http_credgate_error_warn(cf, warning, gate->settings, &cglcf->file,
                                 cglcf->line);

    return NGX_OK;
}


static void
ngx_http_credgate_compile_free_gate(void *data)
{
    credgate_gate_free(data);
}
