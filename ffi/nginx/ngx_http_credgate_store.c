
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_store_default_path(ngx_cycle_t *cycle,
    ngx_str_t *url);
static ngx_int_t ngx_http_credgate_store_check_dir(ngx_cycle_t *cycle,
    u_char *path);
static char *ngx_http_credgate_store_create_dir(ngx_cycle_t *cycle,
    u_char *path);
static u_char *ngx_http_credgate_store_dir(ngx_pool_t *pool, ngx_str_t *url);
static uid_t ngx_http_credgate_store_user(ngx_cycle_t *cycle);


static ngx_http_credgate_field_t  ngx_http_credgate_store_field = {
    NGX_HTTP_CREDGATE_TYPE_STORE, ngx_string("store")
};


/*
 * Without "credgate_store", the workers share their tokens in a file beside
 * the directory of "client_body_temp_path".  A default must not keep nginx
 * from starting: if it cannot be used, each worker has its own tokens only.
 */

ngx_int_t
ngx_http_credgate_store_add_default(ngx_cycle_t *cycle)
{
    int32_t                         status;
    ngx_int_t                       rc;
    ngx_str_t                      *words, options;
    credgate_error                 *error;
    ngx_http_credgate_setting_t    *setting;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_credgate_module);

    words = ngx_palloc(cycle->pool, 2 * sizeof(ngx_str_t));
    if (words == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&words[0], "credgate_store");

    rc = ngx_http_credgate_store_default_path(cycle, &words[1]);
    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    if (cgmcf->settings == NULL) {
        cgmcf->settings = ngx_array_create(cycle->pool, 1,
                                         sizeof(ngx_http_credgate_setting_t));
        if (cgmcf->settings == NULL) {
            return NGX_ERROR;
        }
    }

    setting = ngx_array_push(cgmcf->settings);
    if (setting == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(setting, sizeof(ngx_http_credgate_setting_t));

    setting->field = &ngx_http_credgate_store_field;
    setting->words = words;
    setting->nwords = 2;

    if (ngx_http_credgate_json_write(cycle->pool, cgmcf->settings, 0, &options)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a library built without SQLite refuses the option */

    error = NULL;
    status = credgate_engine_check((char *) options.data, options.len, &error);
    credgate_error_free(error);

    if (status == CREDGATE_OK) {
        cgmcf->options = options;
    }

    return NGX_OK;
}


/* NGX_DECLINED: its directory cannot be used */

static ngx_int_t
ngx_http_credgate_store_default_path(ngx_cycle_t *cycle, ngx_str_t *url)
{
    u_char                     *p, *dir;
    size_t                      len;
    ngx_str_t                  *temp;
    ngx_http_core_srv_conf_t  **cscfp;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module);

    cscfp = cmcf->servers.elts;
    clcf = cscfp[0]->ctx->loc_conf[ngx_http_core_module.ctx_index];
    temp = &clcf->client_body_temp_path->name;

    for (len = temp->len; len && temp->data[len - 1] != '/'; len--) {
        /* void */
    }

    p = ngx_pnalloc(cycle->pool,
                    len + sizeof("sqlite:credgate/tokens.db"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    url->data = p;
    url->len = ngx_sprintf(p, "sqlite:%*scredgate/tokens.db%Z", len,
                           temp->data)
               - p - 1;

    dir = ngx_http_credgate_store_dir(cycle->pool, url);
    if (dir == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_credgate_store_check_dir(cycle, dir);
}


static ngx_int_t
ngx_http_credgate_store_check_dir(ngx_cycle_t *cycle, u_char *path)
{
    char             *failed;
    uid_t             user;
    ngx_file_info_t   info;

    failed = ngx_http_credgate_store_create_dir(cycle, path);

    if (failed == NULL && ngx_file_info(path, &info) == NGX_FILE_ERROR) {
        failed = ngx_file_info_n;
    }

    /* a file system may be read-only */

    if (failed == NULL && access((char *) path, R_OK|W_OK|X_OK) == -1) {
        failed = "access()";
    }

    if (failed) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "credgate: workers do not share tokens: %s \"%s\" "
                      "failed; set \"credgate_store\" to a path, or to "
                      "\"off\"", failed, path);
        return NGX_DECLINED;
    }

    user = ngx_http_credgate_store_user(cycle);

    if (!ngx_is_dir(&info) || info.st_uid != user
        || (info.st_mode & (S_IWGRP|S_IWOTH)))
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "credgate: workers do not share tokens: \"%s\" must be "
                      "a directory that belongs to their user %d and is not "
                      "writable by others; set \"credgate_store\" to another "
                      "path, or to \"off\"", path, user);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Makes the directory of an SQLite file, with the workers' user as its owner.
 * An existing directory keeps its owner, because others may use it.
 */

ngx_int_t
ngx_http_credgate_store_prepare(ngx_cycle_t *cycle,
    ngx_http_credgate_setting_t *setting)
{
    char             *failed;
    uid_t             user;
    u_char           *path;
    ngx_file_info_t   info;

    if (ngx_strncmp(setting->words[1].data, "sqlite:/", 8) != 0) {
        return NGX_OK;
    }

    path = ngx_http_credgate_store_dir(cycle->pool, &setting->words[1]);
    if (path == NULL) {
        return NGX_ERROR;
    }

    if (*path == '\0') {
        return NGX_OK;
    }

    failed = ngx_http_credgate_store_create_dir(cycle, path);

    if (failed) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "credgate: %s \"%s\" failed in %V:%ui",
                      failed, path, &setting->file, setting->line);
        return NGX_ERROR;
    }

    user = ngx_http_credgate_store_user(cycle);

    if (geteuid() == 0
        && ngx_file_info(path, &info) != NGX_FILE_ERROR
        && info.st_uid != user)
    {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "credgate: \"%s\" is owned by user %d, but workers run "
                      "as user %d and need write permission to share tokens "
                      "in %V:%ui",
                      path, info.st_uid, user, &setting->file, setting->line);
    }

    return NGX_OK;
}


/* returns the name of the call that failed, or NULL */

static char *
ngx_http_credgate_store_create_dir(ngx_cycle_t *cycle, u_char *path)
{
    ngx_core_conf_t  *ccf;

    if (ngx_create_dir(path, 0700) == NGX_FILE_ERROR) {
        return (ngx_errno == NGX_EEXIST) ? NULL : ngx_create_dir_n;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    /* not chown(): the owner of the parent directory could place a link */

    if (geteuid() == 0 && lchown((char *) path, ccf->user, ccf->group) == -1) {
        return "lchown()";
    }

    return NULL;
}


/* the directory of the file in "sqlite:/path", empty for the root */

static u_char *
ngx_http_credgate_store_dir(ngx_pool_t *pool, ngx_str_t *url)
{
    u_char  *path;

    path = ngx_pnalloc(pool, url->len);
    if (path == NULL) {
        return NULL;
    }

    (void) ngx_cpystrn(path, url->data + 7, url->len - 7 + 1);

    *(u_char *) strrchr((char *) path, '/') = '\0';

    return path;
}


static uid_t
ngx_http_credgate_store_user(ngx_cycle_t *cycle)
{
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    return geteuid() == 0 ? ccf->user : geteuid();
}
