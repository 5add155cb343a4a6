
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_uint_t ngx_http_credgate_conceal_uri(ngx_http_request_t *r);
static void ngx_http_credgate_conceal_line(ngx_http_request_t *r);
static void ngx_http_credgate_conceal_body(ngx_http_request_t *r,
    ngx_http_credgate_ctx_t *ctx, ngx_http_credgate_main_conf_t *cgmcf);
static void ngx_http_credgate_conceal_authorization(ngx_http_request_t *r,
    ngx_http_credgate_ctx_t *ctx, ngx_http_credgate_main_conf_t *cgmcf);


/*
 * Redacts everything that a log format may contain, before the logs are
 * written: now nothing is sent any more, so the true values are not needed.
 */

ngx_int_t
ngx_http_credgate_conceal_handler(ngx_http_request_t *r)
{
    size_t                          size;
    ngx_uint_t                      found;
    ngx_http_credgate_ctx_t        *ctx;
    ngx_http_variable_value_t      *variables;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_get_module_main_conf(r, ngx_http_credgate_module);

    /* nginx sets it after logging; $credgate_authorization tests it */

    r->logged = 1;

    ctx = (r == r->main) ? ngx_http_credgate_ctx_get(r) : NULL;

    if (r != r->main) {

        /* the main request continues with its own variables */

        cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

        size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

        variables = ngx_palloc(r->pool, size);
        if (variables == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(variables, r->variables, size);
        r->variables = variables;
    }

    found = 0;

    if (r->main->args_start || r->unparsed_uri.len == 0) {
        found = ngx_http_credgate_conceal_uri(r);
    }

    /* a gate has cut the URI, but not its copies in other variables */

    if (found
        || (ctx && ctx->presented.query_len
            && ngx_http_credgate_redact_is_needed((u_char *)
                                                  ctx->presented.query,
                                                  ctx->presented.query_len)))
    {
        ngx_http_credgate_redact_variables(r, 0);
    }

    ngx_http_credgate_conceal_body(r, ctx, cgmcf);
    ngx_http_credgate_conceal_authorization(r, ctx, cgmcf);

    if (cgmcf->secret_headers) {
        ngx_http_credgate_named_conceal(r, cgmcf->secret_headers);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_credgate_conceal_uri(ngx_http_request_t *r)
{
    ngx_uint_t  i, found;
    ngx_str_t   old, *values[4];

    if (r == r->main) {
        ngx_http_credgate_conceal_line(r);
    }

    values[0] = &r->unparsed_uri;
    values[1] = &r->args;
    values[2] = &r->uri;
    values[3] = r->headers_out.location ? &r->headers_out.location->value
                                        : NULL;

    found = 0;

    for (i = 0; i < 4; i++) {

        if (values[i] == NULL
            || !ngx_http_credgate_redact_is_needed(values[i]->data,
                                                   values[i]->len))
        {
            continue;
        }

        found = 1;
        old = *values[i];

        ngx_http_credgate_redact_copy(r->pool, values[i]);
        ngx_http_credgate_redact_forget(r, &old);
    }

    return found;
}


/* the request line of a malformed request is not redacted yet */

static void
ngx_http_credgate_conceal_line(ngx_http_request_t *r)
{
    u_char  *p, *last;

    if (r->request_line.data == NULL) {

        if (r->request_start == NULL || r->header_in == NULL) {
            return;
        }

        /* as nginx does to evaluate "$request" */

        for (p = r->request_start; p < r->header_in->last; p++) {
            if (*p == CR || *p == LF) {
                break;
            }
        }

        r->request_line.len = p - r->request_start;
        r->request_line.data = r->request_start;
    }

    last = r->request_line.data + r->request_line.len;

    p = ngx_strlchr(r->request_line.data, last, '?');

    if (p) {
        p++;

        /* the secret of a malformed line may contain spaces */

        if (last - p > (ssize_t) sizeof(" HTTP/1.1") - 1
            && ngx_strncmp(last - (sizeof(" HTTP/1.1") - 1), " HTTP/",
                           sizeof(" HTTP/") - 1)
               == 0)
        {
            last -= sizeof(" HTTP/1.1") - 1;
        }

        ngx_http_credgate_redact_query(p, last - p);
    }
}


static void
ngx_http_credgate_conceal_body(ngx_http_request_t *r,
    ngx_http_credgate_ctx_t *ctx, ngx_http_credgate_main_conf_t *cgmcf)
{
    ngx_str_t                   value;
    ngx_http_variable_value_t  *v;

    if (r->request_body == NULL) {
        return;
    }

    if (ctx && ctx->body_read && !ctx->body_hidden && !ctx->applied) {

        /* the request has ended before the gate has decided */

        ngx_http_credgate_body_discard(ctx);
    }

    if (cgmcf->body_index == NGX_ERROR) {
        return;
    }

    v = ngx_http_get_indexed_variable(r, cgmcf->body_index);

    if (v == NULL || v->not_found
        || !ngx_http_credgate_redact_is_needed(v->data, v->len))
    {
        return;
    }

    value.data = v->data;
    value.len = v->len;

    ngx_http_credgate_redact_copy(r->pool, &value);

    v->data = value.data;
    v->len = value.len;
}


/* leaves the scheme, because the credentials alone are secret */

static void
ngx_http_credgate_conceal_authorization(ngx_http_request_t *r,
    ngx_http_credgate_ctx_t *ctx, ngx_http_credgate_main_conf_t *cgmcf)
{
    static ngx_str_t  schemes[] = {
        ngx_string("Bearer *"),
        ngx_string("Basic *"),
        ngx_string("*")
    };

    ngx_uint_t                  i;
    ngx_table_elt_t            *h;
    ngx_http_variable_value_t  *v;

    v = &r->variables[cgmcf->token_index];

    v->valid = 0;
    v->not_found = 0;

    v = &r->variables[cgmcf->authorization_index];
    h = r->headers_in.authorization;

    if (h == NULL || h->value.len == 0) {
        v->valid = 0;
        v->not_found = 0;
        return;
    }

    for (i = 0; i < 2; i++) {

        if (ctx && h == ctx->authorization) {
            /* the token of the gate */
            break;
        }

        if (h->value.len >= schemes[i].len - 1
            && ngx_strncasecmp(h->value.data, schemes[i].data,
                               schemes[i].len - 1)
               == 0)
        {
            break;
        }
    }

    v->data = schemes[i].data;
    v->len = schemes[i].len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}
