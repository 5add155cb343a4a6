
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


#define NGX_HTTP_CREDGATE_PREFIX  "credgate_"


static char *ngx_http_credgate_provider_setting(ngx_conf_t *cf,
    ngx_command_t *dummy, void *conf);
static char *ngx_http_credgate_provider_unknown_setting(ngx_conf_t *cf,
    ngx_str_t *name);


/* the block in http{}: it records settings, which locations compile */

char *
ngx_http_credgate_provider_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_credgate_main_conf_t  *cgmcf = conf;

    char                          *rv;
    ngx_str_t                     *value;
    ngx_conf_t                     save;
    ngx_http_credgate_provider_t  *provider;

    value = cf->args->elts;

    if (value[1].len == 0 || ngx_strchr(value[1].data, '$')) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid provider name \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    provider = ngx_http_credgate_provider_lookup(cf, &value[1], NULL);

    if (provider) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate provider \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (cgmcf->providers == NULL) {
        cgmcf->providers = ngx_array_create(cf->pool, 4,
                                        sizeof(ngx_http_credgate_provider_t));
        if (cgmcf->providers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    provider = ngx_array_push(cgmcf->providers);
    if (provider == NULL) {
        return NGX_CONF_ERROR;
    }

    provider->name = value[1];
    provider->settings = NULL;
    provider->file = cf->conf_file->file.name;
    provider->line = cf->conf_file->line;
    provider->used = 0;

    save = *cf;

    cf->handler = ngx_http_credgate_provider_setting;
    cf->handler_conf = provider;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    return rv;
}


/* a directive of a block is that of a location, without its prefix */

static char *
ngx_http_credgate_provider_setting(ngx_conf_t *cf, ngx_command_t *dummy,
    void *conf)
{
    ngx_http_credgate_provider_t  *provider = conf;

    char           *rv;
    size_t          n;
    ngx_str_t      *value;
    ngx_uint_t      words;
    ngx_command_t  *cmd;

    value = cf->args->elts;
    n = sizeof(NGX_HTTP_CREDGATE_PREFIX) - 1;

    if (value[0].len == 7 && ngx_strncmp(value[0].data, "include", 7) == 0
        && cf->args->nelts == 2)
    {
        return ngx_conf_include(cf, dummy, conf);
    }

    for (cmd = ngx_http_credgate_module.commands; cmd->name.len; cmd++) {
        if (cmd->set == ngx_http_credgate_conf_set
            && cmd->name.len == n + value[0].len
            && ngx_memcmp(cmd->name.data + n, value[0].data, value[0].len)
               == 0)
        {
            break;
        }
    }

    if (cmd->name.len == 0) {
        return ngx_http_credgate_provider_unknown_setting(cf, &value[0]);
    }

    words = cf->args->nelts - 1;

    if (cmd->conf != NGX_HTTP_LOC_CONF_OFFSET) {
        rv = "is not allowed here";

    } else if ((cmd->type & NGX_CONF_1MORE) ? words >= 1
               : (cmd->type & NGX_CONF_2MORE) ? words >= 2
               : words <= NGX_CONF_MAX_ARGS && (cmd->type & (1 << words)))
    {
        rv = ngx_http_credgate_conf_add(cf, cmd->post, &provider->settings);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           &value[0]);
        return NGX_CONF_ERROR;
    }

    if (rv == NGX_CONF_OK || rv == NGX_CONF_ERROR) {
        return rv;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" directive %s",
                       &value[0], rv);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_credgate_provider_unknown_setting(ngx_conf_t *cf, ngx_str_t *name)
{
    size_t          n;
    ngx_str_t       word, setting, nearest;
    ngx_uint_t      best;
    ngx_command_t  *cmd;

    n = sizeof(NGX_HTTP_CREDGATE_PREFIX) - 1;
    word = *name;

    if (word.len > n
        && ngx_strncmp(word.data, NGX_HTTP_CREDGATE_PREFIX, n) == 0)
    {
        word.data += n;
        word.len -= n;
    }

    ngx_str_null(&nearest);
    best = NGX_MAX_UINT32_VALUE;

    for (cmd = ngx_http_credgate_module.commands; cmd->name.len; cmd++) {

        if (cmd->set == ngx_http_credgate_conf_set
            && cmd->conf == NGX_HTTP_LOC_CONF_OFFSET)
        {
            setting.data = cmd->name.data + n;
            setting.len = cmd->name.len - n;

            ngx_http_credgate_words_nearer(&word, &setting, &nearest, &best);
        }
    }

    if (nearest.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown directive \"%V\" in a "
                           "\"credgate_provider\" block, "
                           "did you mean \"%V\"?", name, &nearest);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown directive \"%V\" in a "
                           "\"credgate_provider\" block", name);
    }

    return NGX_CONF_ERROR;
}


/* the directive of a server or a location: a name, or a variable with one */

char *
ngx_http_credgate_provider_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_credgate_loc_conf_t  *cglcf = conf;

    ngx_str_t  *value, name;

    if (cglcf->provider.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    name = value[1];

    if (name.len && name.data[0] == '$') {
        name.data++;
        name.len--;

        cglcf->variable = ngx_http_get_variable_index(cf, &name);
        if (cglcf->variable == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }
    }

    cglcf->provider = value[1];
    cglcf->provider_file = cf->conf_file->file.name;
    cglcf->provider_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* checks a name also where the gate is off */

char *
ngx_http_credgate_provider_check(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    ngx_str_t                       nearest;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cglcf->variable != NGX_CONF_UNSET) {

        if (cgmcf->providers) {
            return NGX_CONF_OK;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: there is no \"credgate_provider\" block for "
                      "\"%V\" in %V:%ui", &cglcf->provider,
                      &cglcf->provider_file, cglcf->provider_line);
        return NGX_CONF_ERROR;
    }

    ngx_str_null(&nearest);

    if (ngx_http_credgate_provider_lookup(cf, &cglcf->provider, &nearest)) {
        return NGX_CONF_OK;
    }

    if (nearest.len) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: unknown provider \"%V\", did you mean "
                      "\"%V\"? in %V:%ui", &cglcf->provider, &nearest,
                      &cglcf->provider_file, cglcf->provider_line);

    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: unknown provider \"%V\" in %V:%ui",
                      &cglcf->provider, &cglcf->provider_file,
                      cglcf->provider_line);
    }

    return NGX_CONF_ERROR;
}


/* if there is none of that name, sets the nearest name, unless it is NULL */

ngx_http_credgate_provider_t *
ngx_http_credgate_provider_lookup(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *nearest)
{
    ngx_uint_t                      i, best;
    ngx_http_credgate_provider_t   *provider;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->providers == NULL) {
        return NULL;
    }

    provider = cgmcf->providers->elts;
    best = NGX_MAX_UINT32_VALUE;

    for (i = 0; i < cgmcf->providers->nelts; i++) {

        if (provider[i].name.len == name->len
            && ngx_memcmp(provider[i].name.data, name->data, name->len) == 0)
        {
            return &provider[i];
        }

        if (nearest) {
            ngx_http_credgate_words_nearer(name, &provider[i].name, nearest,
                                           &best);
        }
    }

    return NULL;
}
