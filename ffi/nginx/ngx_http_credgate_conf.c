
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_uint_t ngx_http_credgate_are_numbers(ngx_array_t *words);
static ngx_uint_t ngx_http_credgate_blame(ngx_array_t *settings,
    const char *message, size_t len);
static ngx_uint_t ngx_http_credgate_has(ngx_array_t *settings,
    ngx_http_credgate_field_t *field);
static char *ngx_http_credgate_merge_settings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf);
static char *ngx_http_credgate_compile(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *conf);
static ngx_int_t ngx_http_credgate_read_file(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *text);
static void ngx_http_credgate_free_gate(void *data);


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
    ngx_http_credgate_loc_conf_t  *clcf = conf;
    ngx_http_credgate_field_t     *field = cmd->post;

    ngx_str_t                    *value;
    ngx_http_credgate_setting_t  *setting;

    value = cf->args->elts;

    if (clcf->settings == NULL) {
        clcf->settings = ngx_array_create(cf->pool, 4,
                                          sizeof(ngx_http_credgate_setting_t));
        if (clcf->settings == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (field->type != NGX_HTTP_CREDGATE_PAIRS
        && field->type != NGX_HTTP_CREDGATE_HEADERS
        && ngx_http_credgate_has(clcf->settings, field))
    {
        return "is duplicate";
    }

    switch (field->type) {

    case NGX_HTTP_CREDGATE_PATH:
    case NGX_HTTP_CREDGATE_FILE:
        if (ngx_conf_full_name(cf->cycle, &value[1], 1) != NGX_OK) {
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

    default:
        break;
    }

    setting = ngx_array_push(clcf->settings);
    if (setting == NULL) {
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


/* the setting that an error is about: messages begin with the field's name */

static ngx_uint_t
ngx_http_credgate_blame(ngx_array_t *settings, const char *message, size_t len)
{
    size_t                        best;
    ngx_str_t                    *name;
    ngx_uint_t                    i, found;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;
    best = 0;
    found = 0;

    for (i = 0; i < settings->nelts; i++) {
        name = &setting[i].field->name;

        if (name->len > best && name->len <= len
            && ngx_memcmp(message, name->data, name->len) == 0)
        {
            best = name->len;
            found = i;
        }
    }

    return found;
}


static char *
ngx_http_credgate_compile(ngx_conf_t *cf, ngx_http_credgate_loc_conf_t *conf)
{
    size_t                        n, len;
    int32_t                       status;
    ngx_str_t                     json;
    ngx_uint_t                    i;
    const char                   *message;
    credgate_error               *error;
    ngx_pool_cleanup_t           *cln;
    ngx_http_credgate_setting_t  *setting;

    if (conf->settings == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: no \"credgate_issuer\" and no "
                      "\"credgate_config\" for \"credgate on\" in %V:%ui",
                      &conf->file, conf->line);
        return NGX_CONF_ERROR;
    }

    setting = conf->settings->elts;

    for (i = 0; i < conf->settings->nelts; i++) {
        if (setting[i].field->type == NGX_HTTP_CREDGATE_FILE) {
            break;
        }
    }

    if (i == conf->settings->nelts) {
        i = 0;

        if (ngx_http_credgate_json(cf->pool, conf->settings,
                                   conf->enable == NGX_HTTP_CREDGATE_OPTIONAL,
                                   &json)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

    } else if (conf->settings->nelts > 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"credgate_config\" in %V:%ui cannot be used "
                      "together with \"%V\" in %V:%ui; move that into the "
                      "file",
                      &setting[i].file, setting[i].line,
                      &setting[!i].args[0], &setting[!i].file,
                      setting[!i].line);
        return NGX_CONF_ERROR;

    } else if (conf->enable == NGX_HTTP_CREDGATE_OPTIONAL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"credgate optional\" in %V:%ui cannot be "
                      "used together with \"credgate_config\" in %V:%ui; set "
                      "\"anonymous\" to true in the file",
                      &conf->file, conf->line, &setting[i].file,
                      setting[i].line);
        return NGX_CONF_ERROR;

    } else if (ngx_http_credgate_read_file(cf, &setting[i], &json) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    error = NULL;

    status = credgate_gate_new((char *) json.data, json.len, &conf->gate,
                               &error);
    if (status != CREDGATE_OK) {

        if (credgate_error_message(error, &message, &len) != CREDGATE_OK) {
            message = credgate_status_name(status);
            len = ngx_strlen(message);
        }

        if (setting[i].field->type == NGX_HTTP_CREDGATE_FILE) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credgate: %V: %*s, in %V:%ui",
                          &setting[i].args[1], len, message,
                          &setting[i].file, setting[i].line);

        } else {
            i = ngx_http_credgate_blame(conf->settings, message, len);

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credgate: %*s, in %V:%ui", len, message,
                          &setting[i].file, setting[i].line);
        }

        credgate_error_free(error);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_credgate_free_gate;
    cln->data = conf->gate;

    for (n = 0;
         credgate_gate_warning(conf->gate, n, &message, &len) == CREDGATE_OK;
         n++)
    {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "credgate: %*s, in %V:%ui", len, message, &conf->file,
                      conf->line);
    }

    return NGX_CONF_OK;
}


static void
ngx_http_credgate_free_gate(void *data)
{
    credgate_gate_free(data);
}


static ngx_int_t
ngx_http_credgate_read_file(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *text)
{
    size_t       size;
    ssize_t      n;
    ngx_file_t   file;
    ngx_int_t    rc;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = setting->args[1];
    file.log = cf->log;

    file.fd = ngx_open_file(file.name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                      "credgate: " ngx_open_file_n " \"%V\" failed, in %V:%ui",
                      &file.name, &setting->file, setting->line);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(file.fd, &file.info) == NGX_FILE_ERROR
        || !ngx_is_file(&file.info))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"%V\" is not a file, in %V:%ui",
                      &file.name, &setting->file, setting->line);
        goto done;
    }

    size = (size_t) ngx_file_size(&file.info);

    text->data = ngx_pnalloc(cf->pool, size + 1);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, text->data, size, 0);
    if (n == NGX_ERROR) {
        goto done;
    }

    text->len = n;
    rc = NGX_OK;

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", &file.name);
    }

    return rc;
}
