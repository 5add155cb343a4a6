
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_read_file(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *text);
static ngx_int_t ngx_http_credgate_collect_args(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *conf);
static void ngx_http_credgate_free_gate(void *data);


/* the setting that an error is about: messages begin with the field's name */

ngx_uint_t
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


char *
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

        message = ngx_http_credgate_message(error, status, &len);

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

    if (ngx_http_credgate_collect_args(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

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


/* what gives the values of the gate's token_post_args_host, in their order */

static ngx_int_t
ngx_http_credgate_collect_args(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *conf)
{
    size_t                         n, len;
    ngx_uint_t                     i;
    const char                    *name;
    ngx_http_complex_value_t     **value;
    ngx_http_credgate_setting_t   *setting;

    setting = conf->settings->elts;

    for (n = 0;
         credgate_gate_arg(conf->gate, n, &name, &len) == CREDGATE_OK;
         n++)
    {
        for (i = 0; i < conf->settings->nelts; i++) {

            if (setting[i].value && setting[i].args[1].len == len
                && ngx_memcmp(setting[i].args[1].data, name, len) == 0)
            {
                break;
            }
        }

        if (i == conf->settings->nelts) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credgate: token_post_args_host: nothing gives a "
                          "value for \"%*s\"; use directives instead of "
                          "\"credgate_config\" in %V:%ui, and among them "
                          "\"credgate_token_post_arg\" with a variable",
                          len, name, &setting[0].file, setting[0].line);
            return NGX_ERROR;
        }

        if (conf->args == NULL) {
            conf->args = ngx_array_create(cf->pool, 1,
                                          sizeof(ngx_http_complex_value_t *));
            if (conf->args == NULL) {
                return NGX_ERROR;
            }
        }

        value = ngx_array_push(conf->args);
        if (value == NULL) {
            return NGX_ERROR;
        }

        *value = setting[i].value;
    }

    return NGX_OK;
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


/* what an error says, or what its status is called where it says nothing */

const char *
ngx_http_credgate_message(credgate_error *error, int32_t status, size_t *len)
{
    const char  *message;

    if (credgate_error_message(error, &message, len) != CREDGATE_OK) {
        message = credgate_status_name(status);
        *len = ngx_strlen(message);
    }

    return message;
}
