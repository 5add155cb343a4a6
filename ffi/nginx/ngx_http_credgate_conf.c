
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_full_store(ngx_conf_t *cf,
    ngx_str_t *store);
static ngx_uint_t ngx_http_credgate_has_variables(ngx_array_t *words);
static ngx_int_t ngx_http_credgate_compile_value(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *value);
static ngx_uint_t ngx_http_credgate_are_numbers(ngx_array_t *words);
static ngx_uint_t ngx_http_credgate_has(ngx_array_t *settings,
    ngx_http_credgate_field_t *field);
static char *ngx_http_credgate_merge_settings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf);


void *
ngx_http_credgate_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_credgate_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_credgate_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->settings = NULL;
     *     conf->file = { 0, NULL };
     *     conf->line = 0;
     *     conf->gate = NULL;
     *     conf->args = NULL;
     */

    conf->enable = NGX_CONF_UNSET_UINT;

    return conf;
}


char *
ngx_http_credgate_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_credgate_loc_conf_t  *clcf = conf;

    static ngx_conf_enum_t  modes[] = {
        { ngx_string("off"), 0 },
        { ngx_string("on"), 1 },
        { ngx_string("optional"), NGX_HTTP_CREDGATE_OPTIONAL },
        { ngx_null_string, 0 }
    };

    ngx_str_t   *value;
    ngx_uint_t   i;

    if (clcf->enable != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; modes[i].name.len; i++) {
        if (modes[i].name.len == value[1].len
            && ngx_strcasecmp(modes[i].name.data, value[1].data) == 0)
        {
            clcf->enable = modes[i].value;
            clcf->file = cf->conf_file->file.name;
            clcf->line = cf->conf_file->line;

            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, it must be "
                       "\"on\", \"off\" or \"optional\"",
                       &value[1], &value[0]);

    return NGX_CONF_ERROR;
}


/* records a setting: its directive's words, and where they stand */

char *
ngx_http_credgate_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_array_t                  **settings;
    ngx_http_credgate_field_t     *field;
    ngx_http_credgate_setting_t   *setting;

    field = cmd->post;
    value = cf->args->elts;
    settings = (ngx_array_t **) (p + cmd->offset);

    if (*settings == NULL) {
        *settings = ngx_array_create(cf->pool, 4,
                                     sizeof(ngx_http_credgate_setting_t));
        if (*settings == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (field->type != NGX_HTTP_CREDGATE_PAIRS
        && field->type != NGX_HTTP_CREDGATE_ARGS
        && field->type != NGX_HTTP_CREDGATE_HEADERS
        && ngx_http_credgate_has(*settings, field))
    {
        return "is duplicate";
    }

    switch (field->type) {

    case NGX_HTTP_CREDGATE_PATH:
    case NGX_HTTP_CREDGATE_PATHS:
    case NGX_HTTP_CREDGATE_FILE:
        for (i = 1; i < cf->args->nelts; i++) {
            if (ngx_conf_full_name(cf->cycle, &value[i], 1) != NGX_OK) {
                return NGX_CONF_ERROR;
            }
        }

        break;

    case NGX_HTTP_CREDGATE_STORE:
        if (ngx_http_credgate_full_store(cf, &value[1]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        break;

    case NGX_HTTP_CREDGATE_FLAG:
        if (ngx_strcasecmp(value[1].data, (u_char *) "on") != 0
            && ngx_strcasecmp(value[1].data, (u_char *) "off") != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"%V\" directive, "
                               "it must be \"on\" or \"off\"",
                               &value[1], &value[0]);
            return NGX_CONF_ERROR;
        }

        break;

    case NGX_HTTP_CREDGATE_MSEC:
        if (ngx_parse_time(&value[1], 0) == NGX_ERROR) {
            return "invalid value";
        }

        break;

    case NGX_HTTP_CREDGATE_SEC:
        if (ngx_parse_time(&value[1], 1) == NGX_ERROR) {
            return "invalid value";
        }

        break;

    case NGX_HTTP_CREDGATE_SIZE:
        if (ngx_parse_size(&value[1]) == NGX_ERROR) {
            return "invalid value";
        }

        break;

    case NGX_HTTP_CREDGATE_NUMBER:
    case NGX_HTTP_CREDGATE_NUMBERS:
        if (!ngx_http_credgate_are_numbers(cf->args)) {
            return "invalid number";
        }

        break;

    case NGX_HTTP_CREDGATE_STRING:
    case NGX_HTTP_CREDGATE_LIST:
        if (ngx_http_credgate_has_variables(cf->args)) {
            return "takes no variables; only the value of "
                   "\"credgate_token_post_arg\" may have them";
        }

        break;

    default:
        break;
    }

    setting = ngx_array_push(*settings);
    if (setting == NULL) {
        return NGX_CONF_ERROR;
    }

    setting->value = NULL;

    if (field->type == NGX_HTTP_CREDGATE_ARGS
        && ngx_http_credgate_compile_value(cf, setting, &value[2]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    setting->args = ngx_palloc(cf->pool, cf->args->nelts * sizeof(ngx_str_t));
    if (setting->args == NULL) {
        return NGX_CONF_ERROR;
    }

    setting->field = field;
    ngx_memcpy(setting->args, value, cf->args->nelts * sizeof(ngx_str_t));
    setting->nargs = cf->args->nelts;
    setting->file = cf->conf_file->file.name;
    setting->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* the path of a file is one from nginx's prefix */

static ngx_int_t
ngx_http_credgate_full_store(ngx_conf_t *cf, ngx_str_t *store)
{
    u_char     *p;
    ngx_str_t   path;

    if (ngx_strncmp(store->data, "sqlite:", 7) != 0) {
        return NGX_OK;
    }

    path.data = store->data + 7;
    path.len = store->len - 7;

    if (path.len == 0 || ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return path.len ? NGX_ERROR : NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, path.len + sizeof("sqlite:"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    store->data = p;
    store->len = ngx_sprintf(p, "sqlite:%V%Z", &path) - p - 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_credgate_has_variables(ngx_array_t *words)
{
    ngx_str_t   *word;
    ngx_uint_t   i;

    word = words->elts;

    for (i = 1; i < words->nelts; i++) {
        if (ngx_http_script_variables_count(&word[i])) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_credgate_compile_value(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    if (ngx_http_script_variables_count(value) == 0) {
        return NGX_OK;
    }

    setting->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (setting->value == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = setting->value;

    return ngx_http_compile_complex_value(&ccv);
}


/* digits, and one dot between them: they stand in JSON as they are */

static ngx_uint_t
ngx_http_credgate_are_numbers(ngx_array_t *words)
{
    size_t       j;
    ngx_str_t   *word;
    ngx_uint_t   i, dots;

    word = words->elts;

    for (i = 1; i < words->nelts; i++) {
        dots = 0;

        for (j = 0; j < word[i].len; j++) {

            if (word[i].data[j] == '.' && j && j + 1 < word[i].len) {
                dots++;
                continue;
            }

            if (word[i].data[j] < '0' || word[i].data[j] > '9') {
                return 0;
            }
        }

        if (word[i].len == 0 || word[i].len > 15 || dots > 1
            || (word[i].len > 1 && word[i].data[0] == '0'
                && word[i].data[1] != '.'))
        {
            return 0;
        }
    }

    return 1;
}


char *
ngx_http_credgate_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_credgate_loc_conf_t  *prev = parent;
    ngx_http_credgate_loc_conf_t  *conf = child;

    ngx_uint_t                     inherited;
    ngx_http_credgate_srv_conf_t  *cscf;

    if (conf->enable == NGX_CONF_UNSET_UINT) {
        conf->file = prev->file;
        conf->line = prev->line;
    }

    ngx_conf_merge_uint_value(conf->enable, prev->enable, 0);

    inherited = (conf->settings == NULL && conf->enable == prev->enable);

    if (ngx_http_credgate_merge_settings(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_credgate_module);
    cscf->used = 1;

    if (inherited && prev->gate) {
        conf->gate = prev->gate;
        conf->args = prev->args;
        return NGX_CONF_OK;
    }

    return ngx_http_credgate_compile(cf, conf);
}


static ngx_uint_t
ngx_http_credgate_has(ngx_array_t *settings, ngx_http_credgate_field_t *field)
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


/* a field that is set here replaces all that was set of it outside */

static char *
ngx_http_credgate_merge_settings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf)
{
    ngx_uint_t                    i;
    ngx_array_t                  *own;
    ngx_http_credgate_setting_t  *setting, *merged;

    if (prev->settings == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->settings == NULL) {
        conf->settings = prev->settings;
        return NGX_CONF_OK;
    }

    own = conf->settings;

    conf->settings = ngx_array_create(cf->pool,
                                      own->nelts + prev->settings->nelts,
                                      sizeof(ngx_http_credgate_setting_t));
    if (conf->settings == NULL) {
        return NGX_CONF_ERROR;
    }

    merged = ngx_array_push_n(conf->settings, own->nelts);
    if (merged == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(merged, own->elts,
               own->nelts * sizeof(ngx_http_credgate_setting_t));

    setting = prev->settings->elts;

    for (i = 0; i < prev->settings->nelts; i++) {

        if (ngx_http_credgate_has(own, setting[i].field)) {
            continue;
        }

        merged = ngx_array_push(conf->settings);
        if (merged == NULL) {
            return NGX_CONF_ERROR;
        }

        *merged = setting[i];
    }

    return NGX_CONF_OK;
}
