
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_answer_add_headers(
    ngx_http_credgate_ctx_t *ctx);
static ngx_uint_t ngx_http_credgate_answer_has_error_page(
    ngx_http_request_t *r, ngx_uint_t status);


ngx_int_t
ngx_http_credgate_answer_send(ngx_http_credgate_ctx_t *ctx)
{
    ngx_int_t                      rc;
    ngx_str_t                      type, body;
    ngx_uint_t                     status;
    credgate_outcome              *outcome;
    ngx_http_request_t            *r;
    ngx_http_complex_value_t       cv;
    ngx_http_core_loc_conf_t      *clcf;
    ngx_http_credgate_loc_conf_t  *cglcf;

    r = ctx->request;
    outcome = &ctx->outcome;
    status = outcome->http_status;

    ngx_http_credgate_denial_log(ctx);

    if (ngx_http_credgate_answer_add_headers(ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (clcf->satisfy == NGX_HTTP_SATISFY_ANY && cglcf->access
        && (status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN))
    {
        /* another module may let it in, perhaps by the same header */
        return status;
    }

    if (r == r->main) {
        ngx_http_credgate_headers_remove_authorization(ctx);

        if (ctx->headers) {
            ngx_http_credgate_named_remove(ctx);
        }
    }

    if (ngx_http_credgate_answer_has_error_page(r, status)) {
        return status;
    }

    type.data = (u_char *) outcome->content_type;
    type.len = outcome->content_type_len;

    body.data = (u_char *) outcome->body;
    body.len = outcome->body_len;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = body;

    rc = ngx_http_send_response(r, status, &type, &cv);

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_credgate_answer_add_headers(ngx_http_credgate_ctx_t *ctx)
{
    ngx_str_t            name, value;
    credgate_outcome    *outcome;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = ctx->request;
    outcome = &ctx->outcome;

    /* an error page with a gate gets here a second time */

    if (outcome->challenge_len && ctx->challenge == NULL) {
        value.data = (u_char *) outcome->challenge;
        value.len = outcome->challenge_len;

        ngx_str_set(&name, "WWW-Authenticate");

        h = ngx_http_credgate_answer_add_header(r, &name, &value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        if (r->headers_out.www_authenticate == NULL) {
            r->headers_out.www_authenticate = h;
        }

        ctx->challenge = h;
    }

    if (outcome->retry_after && ctx->retry_after == NULL) {
        value.data = ngx_pnalloc(r->pool, NGX_INT32_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%uD", outcome->retry_after)
                    - value.data;

        ngx_str_set(&name, "Retry-After");

        h = ngx_http_credgate_answer_add_header(r, &name, &value);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ctx->retry_after = h;
    }

    return NGX_OK;
}


/* disables the headers of a denial, before another gate decides */

void
ngx_http_credgate_answer_withdraw(ngx_http_credgate_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->challenge) {
        ctx->challenge->hash = 0;

        if (r->headers_out.www_authenticate == ctx->challenge) {
            r->headers_out.www_authenticate = NULL;
        }

        ctx->challenge = NULL;
    }

    if (ctx->retry_after) {
        ctx->retry_after->hash = 0;
        ctx->retry_after = NULL;
    }
}


/* no cache may keep a token, or a decision (RFC 6749 section 5.1) */

ngx_int_t
ngx_http_credgate_answer_add_no_store(ngx_http_credgate_ctx_t *ctx,
    ngx_uint_t endpoint)
{
    ngx_str_t  name, value;

    if (ctx->no_store) {
        return NGX_OK;
    }

    ngx_str_set(&name, "Cache-Control");
    ngx_str_set(&value, "no-store");

    if (ngx_http_credgate_answer_add_header(ctx->request, &name, &value)
        == NULL)
    {
        return NGX_ERROR;
    }

    if (endpoint == NGX_HTTP_CREDGATE_TOKEN) {
        ngx_str_set(&name, "Pragma");
        ngx_str_set(&value, "no-cache");

        if (ngx_http_credgate_answer_add_header(ctx->request, &name, &value)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    ctx->no_store = 1;

    return NGX_OK;
}


ngx_table_elt_t *
ngx_http_credgate_answer_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = *name;
    h->value = *value;

    return h;
}


/* tests whether nginx would apply an "error_page" to this status */

static ngx_uint_t
ngx_http_credgate_answer_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->error_page || clcf->error_pages == NULL || r->uri_changes == 0) {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if ((ngx_uint_t) page[i].status == status) {
            return 1;
        }
    }

    return 0;
}
