
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_variable_cache_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_client_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_presented(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_authorization(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_cause(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_exchange_time(
    ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_expires_in(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_scope(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_request(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable_token_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *name, size_t len);
static ngx_http_credgate_ctx_t *ngx_http_credgate_variable_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_variable_set(ngx_http_variable_value_t *v,
    const char *value, size_t len);


static ngx_http_variable_t  ngx_http_credgate_vars[] = {

    { ngx_string("credgate_cache_status"), NULL,
      ngx_http_credgate_variable_cache_status, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_client_id"), NULL,
      ngx_http_credgate_variable_client_id, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_presented_client_id"), NULL,
      ngx_http_credgate_variable_presented, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_authorization"), NULL,
      ngx_http_credgate_variable_authorization, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_cause"), NULL,
      ngx_http_credgate_variable_cause, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_exchange_time"), NULL,
      ngx_http_credgate_variable_exchange_time, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_token_expires_in"), NULL,
      ngx_http_credgate_variable_expires_in, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_scope"), NULL,
      ngx_http_credgate_variable_scope, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_claim_"), NULL,
      ngx_http_credgate_variable_claim, 0,
      NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

    { ngx_string("credgate_request"), NULL,
      ngx_http_credgate_variable_request, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_credgate_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_credgate_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_credgate_variable_cache_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char               *name;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = credgate_cache_status_name(ctx->outcome.cache_status);

    return ngx_http_credgate_variable_set(v, name, ngx_strlen(name));
}


static ngx_int_t
ngx_http_credgate_variable_client_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL || ctx->outcome.client_id_len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_credgate_variable_set(v, ctx->outcome.client_id,
                                          ctx->outcome.client_id_len);
}


/* the id of a denied client too, escaped for logs */

static ngx_int_t
ngx_http_credgate_variable_presented(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                 rc;
    ngx_str_t                 id;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    rc = ctx ? ngx_http_credgate_denial_client_id(ctx, &id) : NGX_DECLINED;

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_credgate_variable_client_id(r, v, data);
    }

    return ngx_http_credgate_variable_set(v, (char *) id.data, id.len);
}


/* the forwarded token, for upstreams; not for logs */

static ngx_int_t
ngx_http_credgate_variable_authorization(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL || !ctx->applied || ctx->outcome.authorization_len == 0
        || r->logged)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_credgate_variable_set(v, ctx->outcome.authorization,
                                          ctx->outcome.authorization_len);
}


/* the cause of a denial, such as "credentials_refused" */

static ngx_int_t
ngx_http_credgate_variable_cause(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char               *name;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL || ctx->outcome.code == CREDGATE_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = credgate_cause_name(ctx->outcome.code);

    return ngx_http_credgate_variable_set(v, name, ngx_strlen(name));
}


/* the seconds of the wait for an exchange; 0.000 if there was none */

static ngx_int_t
ngx_http_credgate_variable_exchange_time(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                   *p, *last;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(p, "%T.%03M", (time_t) ctx->waited / 1000,
                       ctx->waited % 1000);

    return ngx_http_credgate_variable_set(v, (char *) p, last - p);
}


static ngx_int_t
ngx_http_credgate_variable_expires_in(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                   *p, *last;
    uint64_t                  seconds;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL
        || credgate_outcome_expires_in(&ctx->outcome, &seconds) != CREDGATE_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = ngx_sprintf(p, "%uL", seconds);

    return ngx_http_credgate_variable_set(v, (char *) p, last - p);
}


static ngx_int_t
ngx_http_credgate_variable_scope(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    return ngx_http_credgate_variable_token_claim(r, v, (u_char *) "scope",
                                                  sizeof("scope") - 1);
}


static ngx_int_t
ngx_http_credgate_variable_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *name = (ngx_str_t *) data;

    size_t  prefix;

    prefix = sizeof("credgate_claim_") - 1;

    return ngx_http_credgate_variable_token_claim(r, v, name->data + prefix,
                                                  name->len - prefix);
}


static ngx_int_t
ngx_http_credgate_variable_token_claim(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, u_char *name, size_t len)
{
    const char               *value;
    uintptr_t                 value_len;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_variable_ctx(r);

    if (ctx == NULL
        || credgate_outcome_claim(&ctx->outcome, (char *) name, len, &value,
                                  &value_len)
           != CREDGATE_OK)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_credgate_variable_set(v, value, value_len);
}


/* the request line, with secrets overwritten */

static ngx_int_t
ngx_http_credgate_variable_request(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  *line;

    line = &r->main->request_line;

    return ngx_http_credgate_variable_set(v, (char *) line->data, line->len);
}


/* NULL: the gate has not decided yet, or there is no gate */

static ngx_http_credgate_ctx_t *
ngx_http_credgate_variable_ctx(ngx_http_request_t *r)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_ctx_get(r);

    if (ctx == NULL && r != r->main) {
        ctx = ngx_http_credgate_ctx_get(r->main);
    }

    return (ctx && ctx->state == NGX_HTTP_CREDGATE_STATE_DONE) ? ctx : NULL;
}


static ngx_int_t
ngx_http_credgate_variable_set(ngx_http_variable_value_t *v, const char *value,
    size_t len)
{
    v->data = (u_char *) value;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
