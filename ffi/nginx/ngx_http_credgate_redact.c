
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


void
ngx_http_credgate_redact_query(u_char *query, size_t len)
{
    if (credgate_query_redact((char *) query, len) != CREDGATE_OK) {
        ngx_memset(query, '*', len);
    }
}


void
ngx_http_credgate_redact_text(u_char *text, size_t len)
{
    if (credgate_text_redact((char *) text, len) != CREDGATE_OK) {
        ngx_memset(text, '*', len);
    }
}


/* the value may be a constant of the configuration, so it is not changed */

void
ngx_http_credgate_redact_copy(ngx_pool_t *pool, ngx_str_t *value)
{
    u_char  *copy;

    copy = ngx_pstrdup(pool, value);

    if (copy == NULL) {
        ngx_str_null(value);
        return;
    }

    ngx_http_credgate_redact_text(copy, value->len);

    value->data = copy;
}


ngx_uint_t
ngx_http_credgate_redact_is_needed(u_char *text, size_t len)
{
    bool  contains;

    if (credgate_text_contains_secret((char *) text, len, &contains)
        != CREDGATE_OK)
    {
        /* fail closed */
        return 1;
    }

    return contains;
}


/* nginx evaluates variables again that point into replaced memory */

void
ngx_http_credgate_redact_forget(ngx_http_request_t *r, ngx_str_t *replaced)
{
    u_char                     *start, *end;
    ngx_uint_t                  i;
    ngx_http_variable_value_t  *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    start = replaced->data;
    end = start + replaced->len;
    v = r->variables;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].valid && v[i].data < end && v[i].data + v[i].len > start) {
            v[i].valid = 0;
            v[i].not_found = 0;
        }
    }
}


/*
 * Variables such as those of "map" and "set" are copies.  With "again", nginx
 * evaluates them once more, from the new values.  The value of a "set" would be
 * lost, so it is redacted instead; its variable has its index as data.
 */

void
ngx_http_credgate_redact_variables(ngx_http_request_t *r, ngx_uint_t again)
{
    ngx_str_t                   value;
    ngx_uint_t                  i;
    ngx_http_variable_t        *var;
    ngx_http_variable_value_t  *v;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    var = cmcf->variables.elts;
    v = r->variables;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (!v[i].valid
            || !ngx_http_credgate_redact_is_needed(v[i].data, v[i].len))
        {
            continue;
        }

        if (again && var[i].data != i) {
            v[i].valid = 0;
            v[i].not_found = 0;
            continue;
        }

        value.data = v[i].data;
        value.len = v[i].len;

        ngx_http_credgate_redact_copy(r->pool, &value);

        v[i].data = value.data;
        v[i].len = value.len;
    }
}


/* the same for "$http_authorization", whose header has been replaced */

void
ngx_http_credgate_redact_authorization(ngx_http_request_t *r,
    ngx_table_elt_t *h)
{
    ngx_http_variable_value_t      *v;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_get_module_main_conf(r, ngx_http_credgate_module);

    v = &r->variables[cgmcf->authorization_index];

    /* other variables get the value from this one */

    if (v->valid && h) {
        ngx_http_credgate_redact_forget(r, &h->value);
    }

    v->valid = 0;
    v->not_found = 0;
}
