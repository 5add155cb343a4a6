
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_client_id_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_credgate_variable(ngx_http_variable_value_t *v,
    const char *value, size_t len);


static ngx_http_variable_t  ngx_http_credgate_vars[] = {

    { ngx_string("credgate_status"), NULL,
      ngx_http_credgate_status_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("credgate_client_id"), NULL,
      ngx_http_credgate_client_id_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_credgate_add_variables(ngx_conf_t *cf)
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
ngx_http_credgate_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char               *name;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_get_ctx(r->main);

    if (ctx == NULL || ctx->state != NGX_HTTP_CREDGATE_DONE) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = credgate_how_name(ctx->outcome.how);

    return ngx_http_credgate_variable(v, name, ngx_strlen(name));
}


static ngx_int_t
ngx_http_credgate_client_id_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_get_ctx(r->main);

    if (ctx == NULL || ctx->state != NGX_HTTP_CREDGATE_DONE
        || ctx->outcome.client_id_len == 0)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_credgate_variable(v, ctx->outcome.client_id,
                                      ctx->outcome.client_id_len);
}


static ngx_int_t
ngx_http_credgate_variable(ngx_http_variable_value_t *v, const char *value,
    size_t len)
{
    v->data = (u_char *) value;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
