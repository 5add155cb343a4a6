
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"

#if (NGX_HTTP_V2)

#include <ngx_http_v2_module.h>

/* the nginx that loads this module may lack HTTP/2 */

#pragma weak ngx_http_v2_module

#endif


static void ngx_http_credgate_memory_overwrite_value(
    ngx_http_credgate_ctx_t *ctx, ngx_str_t *value);
static ngx_uint_t ngx_http_credgate_memory_owns(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *value);
static ngx_uint_t ngx_http_credgate_memory_in_buffer(ngx_str_t *value,
    ngx_buf_t *b);
static ngx_uint_t ngx_http_credgate_memory_in_chain(ngx_str_t *value,
    ngx_chain_t *cl);
static ngx_uint_t ngx_http_credgate_memory_in_pool(ngx_str_t *value,
    ngx_pool_t *pool);


#if (NGX_HTTP_V2)
static ngx_uint_t  ngx_http_credgate_memory_received;
#endif


/*
 * Secrets are overwritten in place, because variables that are already
 * evaluated, such as "$http_authorization", point to them.  This is limited to
 * the request's own memory: "set $args" or another module may have replaced a
 * value with a constant of the configuration, which later requests need.
 */

void
ngx_http_credgate_memory_overwrite_authorization(ngx_http_credgate_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    h = ctx->request->headers_in.authorization;

    ngx_http_credgate_redact_authorization(ctx->request, h);

    if (h && h != ctx->authorization) {
        ngx_http_credgate_memory_overwrite_value(ctx, &h->value);
    }
}


/* the same for a header that does not go upstream */

void
ngx_http_credgate_memory_overwrite_header(ngx_http_credgate_ctx_t *ctx,
    ngx_table_elt_t *h)
{
    if (h->value.len) {
        ngx_http_credgate_redact_forget(ctx->request, &h->value);
        ngx_http_credgate_memory_overwrite_value(ctx, &h->value);
    }
}


static void
ngx_http_credgate_memory_overwrite_value(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *value)
{
    if (value->len == 0) {
        return;
    }

    if (ngx_http_credgate_memory_owns(ctx, value)) {
        ngx_memset(value->data, '*', value->len);

    } else {
        ngx_str_null(value);
    }
}


void
ngx_http_credgate_memory_overwrite_query(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query)
{
    ngx_str_t            whole, *uri;
    ngx_http_request_t  *r;

    r = ctx->request;
    whole = *query;

    /* a rewrite allocates the URI and the arguments in one piece */

    if (query->data == r->uri.data + r->uri.len) {
        whole.data = r->uri.data;
        whole.len += r->uri.len;
    }

    /* only nginx itself sets the unparsed URI */

    uri = &r->unparsed_uri;

    if (ngx_http_credgate_memory_within(query, uri->data, uri->data + uri->len)
        || ngx_http_credgate_memory_owns(ctx, &whole))
    {
        ngx_http_credgate_redact_query(query->data, query->len);
    }
}


static ngx_uint_t
ngx_http_credgate_memory_owns(ngx_http_credgate_ctx_t *ctx, ngx_str_t *value)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    /* HTTP/1 headers remain in the buffers of the connection */

    if (ngx_http_credgate_memory_in_buffer(value, r->header_in)
        || ngx_http_credgate_memory_in_buffer(value, c->buffer)
        || ngx_http_credgate_memory_in_chain(value, r->http_connection->busy)
        || ngx_http_credgate_memory_in_chain(value, r->http_connection->free))
    {
        return 1;
    }

#if (NGX_HTTP_V2)
    if (r->stream
        && ngx_http_credgate_memory_in_pool(value, r->stream->pool))
    {
        return 1;
    }
#endif

    return ngx_http_credgate_memory_in_pool(value, ctx->pool)
           || ngx_http_credgate_memory_in_pool(value, c->pool);
}


static ngx_uint_t
ngx_http_credgate_memory_in_buffer(ngx_str_t *value, ngx_buf_t *b)
{
    return b && ngx_http_credgate_memory_within(value, b->start, b->end);
}


static ngx_uint_t
ngx_http_credgate_memory_in_chain(ngx_str_t *value, ngx_chain_t *cl)
{
    for ( /* void */ ; cl; cl = cl->next) {
        if (ngx_http_credgate_memory_in_buffer(value, cl->buf)) {
            return 1;
        }
    }

    return 0;
}


/* the pool records only the start of a large allocation */

static ngx_uint_t
ngx_http_credgate_memory_in_pool(ngx_str_t *value, ngx_pool_t *pool)
{
    ngx_pool_t        *block;
    ngx_pool_large_t  *large;

    for (block = pool; block; block = block->d.next) {
        if (ngx_http_credgate_memory_within(value, (u_char *) block,
                                            block->d.last))
        {
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
ngx_http_credgate_memory_within(ngx_str_t *part, u_char *start, u_char *end)
{
    return part->data >= start && part->data + part->len <= end;
}


/*
 * Wipes the buffers that nginx has read the body into, even if it wrote them
 * to a file later, and the part that it has read together with the header.  A
 * temporary file has no name, and the kernel frees it when nginx closes it.
 */

void
ngx_http_credgate_memory_wipe_body(ngx_http_credgate_ctx_t *ctx)
{
    u_char                   *last;
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_t       *r;
    ngx_http_request_body_t  *rb;

    r = ctx->request;
    rb = r->request_body;

    if (rb) {

        for (cl = rb->bufs; cl; cl = cl->next) {
            if (ngx_buf_in_memory(cl->buf)) {
                ngx_explicit_memzero(cl->buf->pos, ngx_buf_size(cl->buf));
            }
        }

        b = rb->buf;

        if (b && b->temporary) {
            ngx_explicit_memzero(b->start, b->end - b->start);
        }
    }

    if (ctx->preread.len) {
        last = ctx->preread.data + ctx->preread.len;

        /* a pipelined request may follow the body in the same buffer */

        if (ctx->state != NGX_HTTP_CREDGATE_STATE_READING
            && r->header_in->pos >= ctx->preread.data
            && r->header_in->pos < last)
        {
            last = r->header_in->pos;
        }

        ngx_explicit_memzero(ctx->preread.data, last - ctx->preread.data);
    }
}


/*
 * Unless nginx knows in advance that a connection speaks HTTP/2, it reads the
 * preface into a buffer of the connection, and with it the first requests.
 * Once HTTP/2 has consumed the buffer, nginx does not read it again.
 */

void
ngx_http_credgate_memory_wipe_preface(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)
    ngx_buf_t  *b;

    if (r->stream == NULL) {
        return;
    }

    b = r->stream->connection->connection->buffer;

    if (b && b->pos == b->last) {
        ngx_explicit_memzero(b->start, b->end - b->start);
    }
#endif
}


/* the worker's HTTP/2 buffer may contain the credentials of this request */

void
ngx_http_credgate_memory_wipe_later(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)
    if (r->stream) {
        ngx_http_credgate_memory_received = 1;
    }
#endif
}


/*
 * Wipes the buffer into which this worker reads HTTP/2 frames: it contains
 * bodies, and headers as HPACK.  Between events it is unused.
 */

void
ngx_http_credgate_memory_wipe_received(void)
{
#if (NGX_HTTP_V2)
    ngx_http_v2_main_conf_t  *h2mcf;

    if (!ngx_http_credgate_memory_received) {
        return;
    }

    ngx_http_credgate_memory_received = 0;

    if (&ngx_http_v2_module == NULL) {
        return;
    }

    h2mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_v2_module);

    if (h2mcf && h2mcf->recv_buffer) {
        ngx_explicit_memzero(h2mcf->recv_buffer, h2mcf->recv_buffer_size);
    }
#endif
}
