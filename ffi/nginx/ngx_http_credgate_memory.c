
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_uint_t ngx_http_credgate_owns(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *value);
static ngx_uint_t ngx_http_credgate_in_buffer(ngx_str_t *value, ngx_buf_t *b);
static ngx_uint_t ngx_http_credgate_in_chain(ngx_str_t *value,
    ngx_chain_t *cl);
static ngx_uint_t ngx_http_credgate_in_pool(ngx_str_t *value,
    ngx_pool_t *pool);


/*
 * Secrets are overwritten where they stand, as variables that were evaluated
 * before, such as "$http_authorization", show what is there.  But only in
 * memory of the request: what "set $args" or another module has put in place
 * of what the client sent may be a constant of the configuration, and has to
 * serve the next request too.
 */

void
ngx_http_credgate_overwrite_authorization(ngx_http_credgate_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    h = ctx->request->headers_in.authorization;

    if (h == NULL || h->value.len == 0 || h == ctx->authorization) {
        return;
    }

    if (ngx_http_credgate_owns(ctx, &h->value)) {
        ngx_memset(h->value.data, '*', h->value.len);

    } else {
        ngx_str_null(&h->value);
    }
}


void
ngx_http_credgate_overwrite_query(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query)
{
    ngx_str_t            whole, *uri;
    ngx_http_request_t  *r;

    r = ctx->request;
    whole = *query;

    /* a rewrite makes these in one piece, of which it is the end */

    if (query->data == r->uri.data + r->uri.len) {
        whole.data = r->uri.data;
        whole.len += r->uri.len;
    }

    /* this is set by nobody else */

    uri = &r->unparsed_uri;

    if (ngx_http_credgate_within(query, uri->data, uri->data + uri->len)
        || ngx_http_credgate_owns(ctx, &whole))
    {
        ngx_http_credgate_redact(query->data, query->len);
    }
}


void
ngx_http_credgate_redact(u_char *query, size_t len)
{
    if (credgate_query_redact((char *) query, len) != CREDGATE_OK) {
        ngx_memset(query, '*', len);
    }
}


static ngx_uint_t
ngx_http_credgate_owns(ngx_http_credgate_ctx_t *ctx, ngx_str_t *value)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    /* HTTP/1 leaves a header where it was read to */

    if (ngx_http_credgate_in_buffer(value, r->header_in)
        || ngx_http_credgate_in_buffer(value, c->buffer)
        || ngx_http_credgate_in_chain(value, r->http_connection->busy)
        || ngx_http_credgate_in_chain(value, r->http_connection->free))
    {
        return 1;
    }

#if (NGX_HTTP_V2)
    if (r->stream && ngx_http_credgate_in_pool(value, r->stream->pool)) {
        return 1;
    }
#endif

    return ngx_http_credgate_in_pool(value, ctx->pool)
           || ngx_http_credgate_in_pool(value, c->pool);
}


static ngx_uint_t
ngx_http_credgate_in_buffer(ngx_str_t *value, ngx_buf_t *b)
{
    return b && ngx_http_credgate_within(value, b->start, b->end);
}


static ngx_uint_t
ngx_http_credgate_in_chain(ngx_str_t *value, ngx_chain_t *cl)
{
    for ( /* void */ ; cl; cl = cl->next) {
        if (ngx_http_credgate_in_buffer(value, cl->buf)) {
            return 1;
        }
    }

    return 0;
}


/* of what is too large for a block, only the beginning is known */

static ngx_uint_t
ngx_http_credgate_in_pool(ngx_str_t *value, ngx_pool_t *pool)
{
    ngx_pool_t        *block;
    ngx_pool_large_t  *large;

    for (block = pool; block; block = block->d.next) {
        if (ngx_http_credgate_within(value, (u_char *) block, block->d.last)) {
            return 1;
        }
    }

    for (large = pool ? pool->large : NULL; large; large = large->next) {
        if (value->data == large->alloc) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_credgate_within(ngx_str_t *part, u_char *start, u_char *end)
{
    return part->data >= start && part->data + part->len <= end;
}
