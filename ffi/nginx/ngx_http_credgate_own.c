
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


#define ngx_http_credgate_own_is(setting, text)                               \
    ((setting)->field->name.len == sizeof(text) - 1                           \
     && ngx_memcmp((setting)->field->name.data, text, sizeof(text) - 1) == 0)


static ngx_http_complex_value_t *ngx_http_credgate_own_value(ngx_pool_t *pool,
    ngx_http_credgate_setting_t *setting);
static ngx_array_t *ngx_http_credgate_own_replace(ngx_pool_t *pool,
    ngx_array_t *settings, ngx_http_credgate_setting_t *id,
    ngx_http_credgate_setting_t *secret);
static void ngx_http_credgate_own_wipe(void *data);


static ngx_http_credgate_field_t  ngx_http_credgate_own_places = {
    NGX_HTTP_CREDGATE_TYPE_LIST,
    ngx_string("client_credentials_param_type")
};


/*
 * With variables, a gate gets id and secret with each request.  "settings" are
 * those for the library, which has the place "host" instead.
 */

ngx_int_t
ngx_http_credgate_own_compile(ngx_conf_t *cf, ngx_http_credgate_gate_t *gate,
    ngx_array_t **settings)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting, *id, *secret, *other;

    *settings = gate->settings;

    setting = gate->settings->elts;
    id = NULL;
    secret = NULL;
    other = NULL;

    for (i = 0; i < gate->settings->nelts; i++) {

        if (ngx_http_credgate_own_is(&setting[i], "client_id")) {
            id = &setting[i];

        } else if (ngx_http_credgate_own_is(&setting[i], "client_secret")) {
            secret = &setting[i];

        } else if (ngx_http_credgate_own_is(&setting[i], "client_secret_file")
                   || ngx_http_credgate_own_is(&setting[i],
                                             "client_credentials_param_type"))
        {
            other = &setting[i];
        }
    }

    if ((id == NULL || id->value == NULL)
        && (secret == NULL || secret->value == NULL))
    {
        return NGX_OK;
    }

    if (id == NULL || secret == NULL) {
        setting = id ? id : secret;

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"%V\" directive with a variable requires "
                      "\"%s\" in %V:%ui", &setting->words[0],
                      id ? "credgate_client_secret" : "credgate_client_id",
                      &setting->file, setting->line);
        return NGX_ERROR;
    }

    if (other) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: \"%V\" in %V:%ui cannot be combined with "
                      "variables in \"%V\" or \"%V\" in %V:%ui",
                      &other->words[0], &other->file, other->line,
                      &id->words[0], &secret->words[0], &id->file, id->line);
        return NGX_ERROR;
    }

    gate->client_id = ngx_http_credgate_own_value(cf->pool, id);
    gate->client_secret = ngx_http_credgate_own_value(cf->pool, secret);

    if (gate->client_id == NULL || gate->client_secret == NULL) {
        return NGX_ERROR;
    }

    /* a request with an unknown id is denied */
    gate->guarded = (id->value != NULL);

    *settings = ngx_http_credgate_own_replace(cf->pool, gate->settings, id,
                                              secret);

    return *settings ? NGX_OK : NGX_ERROR;
}


/* the value of a directive, also if it contains no variables */

static ngx_http_complex_value_t *
ngx_http_credgate_own_value(ngx_pool_t *pool,
    ngx_http_credgate_setting_t *setting)
{
    ngx_http_complex_value_t  *value;

    if (setting->value) {
        return setting->value;
    }

    value = ngx_pcalloc(pool, sizeof(ngx_http_complex_value_t));

    if (value) {
        value->value = setting->words[1];
    }

    return value;
}


static ngx_array_t *
ngx_http_credgate_own_replace(ngx_pool_t *pool, ngx_array_t *settings,
    ngx_http_credgate_setting_t *id, ngx_http_credgate_setting_t *secret)
{
    ngx_uint_t                    i;
    ngx_array_t                  *all;
    ngx_http_credgate_setting_t  *setting, *copy;

    all = ngx_array_create(pool, settings->nelts,
                           sizeof(ngx_http_credgate_setting_t));
    if (all == NULL) {
        return NULL;
    }

    setting = settings->elts;

    for (i = 0; i < settings->nelts; i++) {

        if (&setting[i] == secret) {
            continue;
        }

        copy = ngx_array_push(all);
        if (copy == NULL) {
            return NULL;
        }

        *copy = setting[i];

        if (&setting[i] != id) {
            continue;
        }

        copy->field = &ngx_http_credgate_own_places;
        copy->value = NULL;
        copy->nwords = 2;

        copy->words = ngx_palloc(pool, 2 * sizeof(ngx_str_t));
        if (copy->words == NULL) {
            return NULL;
        }

        copy->words[0] = id->words[0];
        ngx_str_set(&copy->words[1], "host");
    }

    return all;
}


/* evaluates id and secret; an empty one is a denial */

ngx_int_t
ngx_http_credgate_own_present(ngx_http_credgate_ctx_t *ctx)
{
    ngx_str_t            id, secret, *copy;
    ngx_pool_cleanup_t  *cln;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ngx_http_complex_value(r, ctx->gate->client_id, &id) != NGX_OK
        || ngx_http_complex_value(r, ctx->gate->client_secret, &secret)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a constant belongs to the configuration */

    if (ctx->gate->client_secret->lengths) {
        cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_str_t));
        if (cln == NULL) {
            ngx_explicit_memzero(secret.data, secret.len);
            return NGX_ERROR;
        }

        copy = cln->data;
        *copy = secret;
        cln->handler = ngx_http_credgate_own_wipe;
    }

    ctx->presented.client_id = id.len ? (char *) id.data : "";
    ctx->presented.client_id_len = id.len;
    ctx->presented.client_secret = secret.len ? (char *) secret.data : "";
    ctx->presented.client_secret_len = secret.len;

    return NGX_OK;
}


/* another gate may search the request for its credentials */

void
ngx_http_credgate_own_withdraw(ngx_http_credgate_ctx_t *ctx)
{
    ctx->presented.client_id = NULL;
    ctx->presented.client_id_len = 0;
    ctx->presented.client_secret = NULL;
    ctx->presented.client_secret_len = 0;
}


static void
ngx_http_credgate_own_wipe(void *data)
{
    ngx_str_t  *secret = data;

    ngx_explicit_memzero(secret->data, secret->len);
}
