
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_names_check(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_str_t *name);
static ngx_int_t ngx_http_credgate_names_add_variable(ngx_conf_t *cf,
    ngx_str_t *name);


/* collects the names of the headers with the client's id and secret */

ngx_int_t
ngx_http_credgate_names_compile(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate)
{
    size_t       len;
    ngx_str_t   *names;
    ngx_uint_t   i;
    const char  *name;

    names = NULL;

    for (i = 0;
         credgate_gate_credential_header(gate->handle, i, &name, &len)
         == CREDGATE_OK;
         i++)
    {
        if (names == NULL) {
            names = ngx_palloc(cf->pool, 2 * sizeof(ngx_str_t));
            if (names == NULL) {
                return NGX_ERROR;
            }
        }

        /* the gate owns the name, and lives as long as the pool */
        names[i].data = (u_char *) name;
        names[i].len = len;

        if (ngx_http_credgate_names_check(cf, cglcf, &names[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    gate->headers = names;

    return names ? ngx_http_credgate_names_add_variable(cf, &names[1])
                 : NGX_OK;
}


/* nginx ignores a header whose name it finds invalid, but logs its value */

static ngx_int_t
ngx_http_credgate_names_check(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_str_t *name)
{
    u_char                     ch;
    ngx_uint_t                 i;
    const char                *remedy;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (cscf->ignore_invalid_headers == 0) {
        return NGX_OK;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-'
            || (ch == '_' && cscf->underscores_in_headers))
        {
            continue;
        }

        remedy = (ch == '_') ? "underscores_in_headers on"
                             : "ignore_invalid_headers off";

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "credgate: nginx ignores the header \"%V\" and logs its "
                      "value; set \"%s\", or name another header in %V:%ui",
                      name, remedy, &cglcf->file, cglcf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* the variable of a secret, which logs must not show */

static ngx_int_t
ngx_http_credgate_names_add_variable(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char                         *p;
    ngx_str_t                       variable;
    ngx_int_t                       index, *known;
    ngx_uint_t                      i;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    variable.len = sizeof("http_") - 1 + name->len;
    variable.data = ngx_pnalloc(cf->pool, variable.len);
    if (variable.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(variable.data, "http_", sizeof("http_") - 1);

    for (i = 0; i < name->len; i++) {
        *p++ = (name->data[i] == '-') ? '_' : name->data[i];
    }

    index = ngx_http_get_variable_index(cf, &variable);
    if (index == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (cgmcf->secret_headers == NULL) {
        cgmcf->secret_headers = ngx_array_create(cf->pool, 1,
                                                 sizeof(ngx_int_t));
        if (cgmcf->secret_headers == NULL) {
            return NGX_ERROR;
        }
    }

    known = cgmcf->secret_headers->elts;

    for (i = 0; i < cgmcf->secret_headers->nelts; i++) {
        if (known[i] == index) {
            return NGX_OK;
        }
    }

    known = ngx_array_push(cgmcf->secret_headers);
    if (known == NULL) {
        return NGX_ERROR;
    }

    *known = index;

    return NGX_OK;
}
