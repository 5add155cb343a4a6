
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static char *ngx_http_credgate_compile_json(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_setting_t *file,
    ngx_str_t *json);
static ngx_http_credgate_setting_t *ngx_http_credgate_compile_find_file(
    ngx_array_t *settings);
static ngx_int_t ngx_http_credgate_compile_read_file(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting, ngx_str_t *text);
static void ngx_http_credgate_compile_log_error(ngx_conf_t *cf,
    ngx_array_t *settings, ngx_http_credgate_setting_t *file,
    credgate_error *error, int32_t status);
static ngx_int_t ngx_http_credgate_compile_host_args(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf);
static ngx_int_t ngx_http_credgate_compile_log_warnings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf);
static void ngx_http_credgate_compile_free_gate(void *data);


char *
ngx_http_credgate_compile_gate(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    int32_t                       status;
    ngx_str_t                     json;
    credgate_error               *error;
    ngx_pool_cleanup_t           *cln;
    ngx_http_credgate_setting_t  *file;

    if (cglcf->settings == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: no \"credgate_issuer\" or "
                      "\"credgate_config\" is defined for the \"credgate\" "
                      "directive in %V:%ui",
                      &cglcf->file, cglcf->line);
        return NGX_CONF_ERROR;
    }

    file = ngx_http_credgate_compile_find_file(cglcf->settings);

    if (ngx_http_credgate_compile_json(cf, cglcf, file, &json)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    error = NULL;

    status = credgate_gate_new((char *) json.data, json.len, &cglcf->gate,
                               &error);
    if (status != CREDGATE_OK) {
        ngx_http_credgate_compile_log_error(cf, cglcf->settings, file, error,
                                            status);
        credgate_error_free(error);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_credgate_compile_free_gate;
    cln->data = cglcf->gate;

    if (ngx_http_credgate_compile_host_args(cf, cglcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_credgate_compile_log_warnings(cf, cglcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* outputs the gate's configuration, from the settings or from their file */

static char *
ngx_http_credgate_compile_json(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_setting_t *file,
    ngx_str_t *json)
{
    ngx_uint_t                    optional;
    ngx_http_credgate_setting_t  *other;

    optional = (cglcf->enable == NGX_HTTP_CREDGATE_OPTIONAL);

    if (file == NULL) {
        if (ngx_http_credgate_json_write(cf->pool, cglcf->settings, optional,
                                         json)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        return NGX_CONF_OK;
    }

    if (cglcf->settings->nelts > 1) {
        other = cglcf->settings->elts;

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

    if (ngx_http_credgate_compile_read_file(cf, file, json) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_http_credgate_setting_t *
ngx_http_credgate_compile_find_file(ngx_array_t *settings)
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
ngx_http_credgate_compile_read_file(ngx_conf_t *cf,
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


static void
ngx_http_credgate_compile_log_error(ngx_conf_t *cf, ngx_array_t *settings,
    ngx_http_credgate_setting_t *file, credgate_error *error, int32_t status)
{
    size_t                        len;
    ngx_str_t                     line;
    const char                   *text;
    ngx_http_credgate_setting_t  *setting;

    text = ngx_http_credgate_error_text(error, status, &len);

    while (ngx_http_credgate_error_next(&text, &len, &line)) {

        if (file) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credgate: %V: %V in %V:%ui", &file->words[1],
                          &line, &file->file, file->line);
            continue;
        }

        setting = settings->elts;
        setting += ngx_http_credgate_error_setting(settings, &line);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "credgate: %V in %V:%ui",
                      &line, &setting->file, setting->line);
    }
}


/* collects the values for the gate's token_post_args_host, in its order */

static ngx_int_t
ngx_http_credgate_compile_host_args(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    size_t                         n, len;
    ngx_uint_t                     i;
    const char                    *name;
    ngx_array_t                  **args;
    ngx_http_complex_value_t     **value;
    ngx_http_credgate_setting_t   *setting;

    args = &cglcf->host_args;
    setting = cglcf->settings->elts;

    for (n = 0;
         credgate_gate_arg(cglcf->gate, n, &name, &len) == CREDGATE_OK;
         n++)
    {
        for (i = 0; i < cglcf->settings->nelts; i++) {

            if (setting[i].value && setting[i].words[1].len == len
                && ngx_memcmp(setting[i].words[1].data, name, len) == 0)
            {
                break;
            }
        }

        if (i == cglcf->settings->nelts) {
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


/* logs each warning once, with the first location that causes it */

static ngx_int_t
ngx_http_credgate_compile_log_warnings(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    size_t                          n, len;
    ngx_str_t                      *warning;
    ngx_uint_t                      i;
    const char                     *text;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->warnings == NULL) {
        cgmcf->warnings = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (cgmcf->warnings == NULL) {
            return NGX_ERROR;
        }
    }

    for (n = 0;
         credgate_gate_warning(cglcf->gate, n, &text, &len) == CREDGATE_OK;
         n++)
    {
        warning = cgmcf->warnings->elts;

        for (i = 0; i < cgmcf->warnings->nelts; i++) {
            if (warning[i].len == len
                && ngx_memcmp(warning[i].data, text, len) == 0)
            {
                break;
            }
        }

        if (i < cgmcf->warnings->nelts) {
            continue;
        }

        warning = ngx_array_push(cgmcf->warnings);
        if (warning == NULL) {
            return NGX_ERROR;
        }

        /* the gate owns the text, and lives as long as the pool */
        warning->len = len;
        warning->data = (u_char *) text;

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "credgate: %V in %V:%ui", warning, &cglcf->file,
                      cglcf->line);
    }

    return NGX_OK;
}


static void
ngx_http_credgate_compile_free_gate(void *data)
{
    credgate_gate_free(data);
}
