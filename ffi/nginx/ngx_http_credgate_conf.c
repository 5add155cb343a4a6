
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_uint_t ngx_http_credgate_conf_has(ngx_array_t *settings,
    ngx_http_credgate_field_t *field);


void *
ngx_http_credgate_conf_create_srv(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_credgate_srv_conf_t));
}


void *
ngx_http_credgate_conf_create_loc(ngx_conf_t *cf)
{
    ngx_http_credgate_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_credgate_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->endpoint = 0;
     *     conf->access = 0;
     *     conf->file = { 0, NULL };
     *     conf->line = 0;
     *     conf->settings = NULL;
     *     conf->outer = NULL;
     *     conf->provider = { 0, NULL };
     *     conf->provider_file = { 0, NULL };
     *     conf->provider_line = 0;
     *     conf->gates = NULL;
     *     conf->purge_remote = 0;
     */

    conf->enable = NGX_CONF_UNSET_UINT;
    conf->variable = NGX_CONF_UNSET;

    return conf;
}


char *
ngx_http_credgate_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_credgate_loc_conf_t  *cglcf = conf;

    static ngx_conf_enum_t  modes[] = {
        { ngx_string("off"), 0 },
        { ngx_string("on"), 1 },
        { ngx_string("optional"), NGX_HTTP_CREDGATE_OPTIONAL },
        { ngx_string("dry_run"), NGX_HTTP_CREDGATE_DRY_RUN },
        { ngx_null_string, 0 }
    };

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (cglcf->enable != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; modes[i].name.len; i++) {
        if (modes[i].name.len == value[1].len
            && ngx_strcasecmp(modes[i].name.data, value[1].data) == 0)
        {
            cglcf->enable = modes[i].value;
            cglcf->file = cf->conf_file->file.name;
            cglcf->line = cf->conf_file->line;

            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "\"on\", \"off\", \"optional\" or \"dry_run\"",
                       &value[1], &value[0]);

    return NGX_CONF_ERROR;
}


char *
ngx_http_credgate_conf_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    return ngx_http_credgate_conf_add(cf, cmd->post,
                                      (ngx_array_t **) (p + cmd->offset));
}


/* records the words of a directive with their file and line */

char *
ngx_http_credgate_conf_add(ngx_conf_t *cf, ngx_http_credgate_field_t *field,
    ngx_array_t **settings)
{
    char                         *rv;
    ngx_http_credgate_setting_t  *setting;

    if (*settings == NULL) {
        *settings = ngx_array_create(cf->pool, 4,
                                     sizeof(ngx_http_credgate_setting_t));
        if (*settings == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (field->type != NGX_HTTP_CREDGATE_TYPE_PAIRS
        && field->type != NGX_HTTP_CREDGATE_TYPE_FILES
        && field->type != NGX_HTTP_CREDGATE_TYPE_ARGS
        && field->type != NGX_HTTP_CREDGATE_TYPE_HEADERS
        && ngx_http_credgate_conf_has(*settings, field))
    {
        return "is duplicate";
    }

    rv = ngx_http_credgate_value_check(cf, field->type);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    setting = ngx_array_push(*settings);
    if (setting == NULL) {
        return NGX_CONF_ERROR;
    }

    setting->words = ngx_palloc(cf->pool,
                                cf->args->nelts * sizeof(ngx_str_t));
    if (setting->words == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(setting->words, cf->args->elts,
               cf->args->nelts * sizeof(ngx_str_t));

    setting->field = field;
    setting->nwords = cf->args->nelts;
    setting->value = NULL;
    setting->file = cf->conf_file->file.name;
    setting->line = cf->conf_file->line;

    if ((field->type == NGX_HTTP_CREDGATE_TYPE_ARGS
         || field->type == NGX_HTTP_CREDGATE_TYPE_VALUE)
        && ngx_http_credgate_value_compile(cf, setting) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* the inner settings, and the outer ones of fields that those lack */

ngx_int_t
ngx_http_credgate_conf_override(ngx_conf_t *cf, ngx_array_t *inner,
    ngx_array_t *outer, ngx_array_t **merged)
{
    ngx_uint_t                    i;
    ngx_array_t                  *all;
    ngx_http_credgate_setting_t  *setting, *copy;

    if (inner == NULL || outer == NULL) {
        *merged = inner ? inner : outer;
        return NGX_OK;
    }

    all = ngx_array_create(cf->pool, inner->nelts + outer->nelts,
                           sizeof(ngx_http_credgate_setting_t));
    if (all == NULL) {
        return NGX_ERROR;
    }

    copy = ngx_array_push_n(all, inner->nelts);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy, inner->elts,
               inner->nelts * sizeof(ngx_http_credgate_setting_t));

    setting = outer->elts;

    for (i = 0; i < outer->nelts; i++) {

        if (ngx_http_credgate_conf_has(inner, setting[i].field)) {
            continue;
        }

        copy = ngx_array_push(all);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = setting[i];
    }

    *merged = all;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_credgate_conf_has(ngx_array_t *settings,
    ngx_http_credgate_field_t *field)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;

    for (i = 0; i < settings->nelts; i++) {
        if (setting[i].field == field) {
            return 1;
        }
    }

    return 0;
}
