
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_uint_t ngx_http_credgate_named_equal(ngx_str_t *name,
    ngx_str_t *other);
static ngx_int_t ngx_http_credgate_named_find(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *name, const char **value, size_t *len);
static ngx_table_elt_t *ngx_http_credgate_named_next(ngx_http_request_t *r,
    ngx_list_part_t **part, ngx_uint_t *i, ngx_str_t *name);


/* presents copies, because the originals are overwritten */

ngx_int_t
ngx_http_credgate_named_present(ngx_http_credgate_ctx_t *ctx)
{
    ngx_str_t         *names, *old;
    credgate_request  *presented;

    names = ctx->gate->headers;
    old = ctx->headers;

    if (old && ngx_http_credgate_named_equal(&old[0], &names[0])
        && ngx_http_credgate_named_equal(&old[1], &names[1]))
    {
        /* an earlier gate may have removed the originals */
        return NGX_OK;
    }

    ngx_http_credgate_named_wipe(ctx);

    ctx->headers = names;
    presented = &ctx->presented;

    if (ngx_http_credgate_named_find(ctx, &names[0],
                                     &presented->client_id_header,
                                     &presented->client_id_header_len)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_credgate_named_find(ctx, &names[1],
                                        &presented->client_secret_header,
                                        &presented->client_secret_header_len);
}


static ngx_uint_t
ngx_http_credgate_named_equal(ngx_str_t *name, ngx_str_t *other)
{
    return name->len == other->len
           && ngx_memcmp(name->data, other->data, name->len) == 0;
}


static ngx_int_t
ngx_http_credgate_named_find(ngx_http_credgate_ctx_t *ctx, ngx_str_t *name,
    const char **value, size_t *len)
{
    u_char              *copy;
    ngx_uint_t           i, n;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h, *found;
    ngx_http_request_t  *r;

    r = ctx->request;
    part = &r->headers_in.headers.part;
    i = 0;
    n = 0;
    found = NULL;

    for ( ;; ) {
        h = ngx_http_credgate_named_next(r, &part, &i, name);

        if (h == NULL) {
            break;
        }

        n++;

        /* alone, a header with '_' in place of '-' is another one */

        if (ngx_strncasecmp(h->key.data, name->data, name->len) == 0) {
            found = h;
        }
    }

    if (found == NULL) {
        return NGX_OK;
    }

    if (n > 1) {
        ctx->presented.repeated_header = 1;
    }

    copy = ngx_pstrdup(r->pool, &found->value);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    *value = (char *) copy;
    *len = found->value.len;

    return NGX_OK;
}


/* the next header of this name, with '_' and '-' taken as the same */

static ngx_table_elt_t *
ngx_http_credgate_named_next(ngx_http_request_t *r, ngx_list_part_t **part,
    ngx_uint_t *i, ngx_str_t *name)
{
    ngx_table_elt_t  *h;

    while (*part) {

        while (*i < (*part)->nelts) {
            h = (ngx_table_elt_t *) (*part)->elts + (*i)++;

            if (ngx_http_credgate_headers_same_name(&h->key, name)) {
                return h;
            }
        }

        *part = (*part)->next;
        *i = 0;
    }

    return NULL;
}


/* removes both headers after a denial, and overwrites their values */

void
ngx_http_credgate_named_remove(ngx_http_credgate_ctx_t *ctx)
{
    ngx_uint_t           i, n;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = ctx->request;

    for (n = 0; n < 2; n++) {
        part = &r->headers_in.headers.part;
        i = 0;

        for ( ;; ) {
            h = ngx_http_credgate_named_next(r, &part, &i, &ctx->headers[n]);

            if (h == NULL) {
                break;
            }

            ngx_http_credgate_headers_remove(ctx, h);
        }
    }
}


/* overwrites the copies */

void
ngx_http_credgate_named_wipe(ngx_http_credgate_ctx_t *ctx)
{
    credgate_request  *presented;

    presented = &ctx->presented;

    ngx_explicit_memzero((void *) presented->client_secret_header,
                         presented->client_secret_header_len);

    presented->client_id_header = NULL;
    presented->client_id_header_len = 0;
    presented->client_secret_header = NULL;
    presented->client_secret_header_len = 0;
    presented->repeated_header = 0;
}


/* hides the values from the log formats, in all servers */

void
ngx_http_credgate_named_conceal(ngx_http_request_t *r, ngx_array_t *indexes)
{
    ngx_int_t                  *index;
    ngx_uint_t                  i;
    ngx_http_variable_value_t  *v;

    index = indexes->elts;

    for (i = 0; i < indexes->nelts; i++) {
        v = ngx_http_get_indexed_variable(r, index[i]);

        if (v == NULL || v->not_found || v->len == 0) {
            continue;
        }

        v->data = (u_char *) "*";
        v->len = 1;
    }
}
