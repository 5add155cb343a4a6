
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_file_read(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *text);


/* outputs the gate's configuration, from the settings or from their file */

char *
ngx_http_credgate_file_json(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_array_t *settings,
    ngx_str_t *json)
{
    ngx_uint_t                    optional;
    ngx_http_credgate_setting_t  *file, *other;

    file = ngx_http_credgate_file_setting(settings);
    optional = (cglcf->enable == NGX_HTTP_CREDGATE_OPTIONAL);

    if (file == NULL) {
        if (ngx_http_credgate_json_write(cf->pool, settings, optional, json)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (settings->nelts > 1) {
        other = settings->elts;

        if (other == file) {
            other++;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"%V\" in %V:%ui cannot be combined with "
                      "\"credgate_config\" in %V:%ui; set it in the file",
                      &other->words[0], &other->file, other->line,
                      &file->file, file->line);
        return NGX_CONF_ERROR;
    }

    if (optional) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"credgate optional\" in %V:%ui cannot be "
                      "combined with \"credgate_config\" in %V:%ui; set "
                      "\"anonymous\" to true in the file",
                      &cglcf->file, cglcf->line, &file->file, file->line);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_file_read(cf, file, json) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* NULL: the settings are directives */

ngx_http_credgate_setting_t *
ngx_http_credgate_file_setting(ngx_array_t *settings)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;

    for (i = 0; i < settings->nelts; i++) {
        if (setting[i].field->type == NGX_HTTP_CREDGATE_TYPE_FILE) {
            return &setting[i];
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_credgate_file_read(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *text)
{
    size_t       size;
    ssize_t      n;
    ngx_int_t    rc;
    ngx_file_t   file;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = setting->words[1];
    file.log = cf->log;

    file.fd = ngx_open_file(file.name.data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, ngx_errno,
                      "credgate: " ngx_open_file_n " \"%V\" failed in %V:%ui",
                      &file.name, &setting->file, setting->line);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(file.fd, &file.info) == NGX_FILE_ERROR
        || !ngx_is_file(&file.info))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"%V\" is not a file in %V:%ui",
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
