
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void ngx_http_credgate_options_set_clients(
    ngx_http_credgate_main_conf_t *cgmcf);
static void ngx_http_credgate_options_take_off(
    ngx_http_credgate_main_conf_t *cgmcf);
static ngx_int_t ngx_http_credgate_options_check_readable(ngx_cycle_t *cycle,
    ngx_http_credgate_setting_t *setting);
static ngx_err_t ngx_http_credgate_options_open_as_worker(
    ngx_core_conf_t *ccf, ngx_str_t *name);


void *
ngx_http_credgate_options_create_main(ngx_conf_t *cf)
{
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_credgate_main_conf_t));
    if (cgmcf == NULL) {
        return NULL;
    }

    cgmcf->zone_size = NGX_CONF_UNSET_SIZE;

    return cgmcf;
}


/*
 * Checks the options and their files early, because in a worker a mistake
 * fails requests.
 */

char *
ngx_http_credgate_options_init_main(ngx_conf_t *cf, void *conf)
{
    ngx_http_credgate_main_conf_t  *cgmcf = conf;

    int32_t                       status;
    credgate_error               *error;
    ngx_http_credgate_setting_t  *setting;

    if (cgmcf->settings == NULL) {
        return NGX_CONF_OK;
    }

    ngx_http_credgate_options_take_off(cgmcf);

    if (cgmcf->settings->nelts == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_http_credgate_json_write(cf->pool, cgmcf->settings, 0,
                                     &cgmcf->options)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    error = NULL;

    status = credgate_engine_check((char *) cgmcf->options.data,
                                   cgmcf->options.len, &error);

    if (status != CREDGATE_OK) {
        setting = cgmcf->settings->elts;

        ngx_http_credgate_error_log(cf, error, status, cgmcf->settings,
                                    &setting->file, setting->line);
        credgate_error_free(error);
        return NGX_CONF_ERROR;
    }

    ngx_http_credgate_options_set_clients(cgmcf);

    return NGX_CONF_OK;
}


/* the zone has a maximum number of clients too */

static void
ngx_http_credgate_options_set_clients(ngx_http_credgate_main_conf_t *cgmcf)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    setting = cgmcf->settings->elts;

    for (i = 0; i < cgmcf->settings->nelts; i++) {

        if (ngx_http_credgate_words_is(&setting[i].field->name,
                                       "metrics_clients"))
        {
            /* the library has checked the number */

            cgmcf->metrics_clients = ngx_atoi(setting[i].words[1].data,
                                              setting[i].words[1].len);
        }
    }
}


/* "credgate_store off" is no option of the engine: the default is no store */

static void
ngx_http_credgate_options_take_off(ngx_http_credgate_main_conf_t *cgmcf)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    setting = cgmcf->settings->elts;

    for (i = 0; i < cgmcf->settings->nelts; i++) {

        if (setting[i].field->type != NGX_HTTP_CREDGATE_TYPE_STORE) {
            continue;
        }

        cgmcf->store_set = 1;

        if (ngx_strcmp(setting[i].words[1].data, "off") == 0) {
            cgmcf->settings->nelts--;
            ngx_memmove(&setting[i], &setting[i + 1],
                        (cgmcf->settings->nelts - i)
                        * sizeof(ngx_http_credgate_setting_t));
        }

        return;
    }
}


/*
 * Runs in the master: workers may lack the permission to make a directory.
 * After an error here, the workers of the previous configuration go on.
 */

ngx_int_t
ngx_http_credgate_options_prepare(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_credgate_setting_t    *setting;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                                ngx_http_credgate_module);

    setting = cgmcf->settings ? cgmcf->settings->elts : NULL;

    for (i = 0; setting && i < cgmcf->settings->nelts; i++) {

        switch (setting[i].field->type) {

        case NGX_HTTP_CREDGATE_TYPE_STORE:
            if (!ngx_test_config
                && ngx_http_credgate_store_prepare(cycle, &setting[i])
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;

        case NGX_HTTP_CREDGATE_TYPE_PATH:
        case NGX_HTTP_CREDGATE_TYPE_PATHS:
            if (ngx_http_credgate_options_check_readable(cycle, &setting[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;

        default:
            break;
        }
    }

    if (cgmcf->store_set || ngx_test_config
        || !ngx_http_credgate_worker_is_used(cycle))
    {
        return NGX_OK;
    }

    return ngx_http_credgate_store_add_default(cycle);
}


/* a worker that cannot read these files gets no engine */

static ngx_int_t
ngx_http_credgate_options_check_readable(ngx_cycle_t *cycle,
    ngx_http_credgate_setting_t *setting)
{
    ngx_err_t         err;
    ngx_uint_t        i;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    /* workers run as the user of the master, which has read the files */

    if (geteuid() != 0 || ccf->user == 0 || !ccf->master) {
        return NGX_OK;
    }

    for (i = 1; i < setting->nwords; i++) {

        err = ngx_http_credgate_options_open_as_worker(ccf,
                                                       &setting->words[i]);

        if (err) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, err,
                          "credgate: workers cannot read \"%V\" as user %d "
                          "and group %d in %V:%ui",
                          &setting->words[i], ccf->user, ccf->group,
                          &setting->file, setting->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Only the kernel knows about all directories, links, groups and access lists
 * on the way to a file, so a child asks it with the rights of a worker.
 */

static ngx_err_t
ngx_http_credgate_options_open_as_worker(ngx_core_conf_t *ccf, ngx_str_t *name)
{
    int    status;
    pid_t  pid;

    pid = fork();

    if (pid == -1) {
        return ngx_errno;
    }

    if (pid == 0) {
        if (setgid(ccf->group) == -1
            || initgroups(ccf->username, ccf->group) == -1
            || setuid(ccf->user) == -1
            || open((char *) name->data, O_RDONLY|O_NONBLOCK) == -1)
        {
            _exit(ngx_errno);
        }

        _exit(0);
    }

    while (waitpid(pid, &status, 0) == -1) {
        if (ngx_errno != NGX_EINTR) {
            return ngx_errno;
        }
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : NGX_EINVAL;
}
