
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void ngx_http_credgate_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_body_wanted(ngx_http_credgate_ctx_t *ctx,
    off_t length);
static ngx_int_t ngx_http_credgate_body_gather(ngx_http_credgate_ctx_t *ctx);
static ngx_int_t ngx_http_credgate_body_replace(ngx_http_credgate_ctx_t *ctx,
    u_char *body, size_t len);


/* returns NGX_OK if no body is read, else the phase handler's return code */

ngx_int_t
ngx_http_credgate_body_read(ngx_http_credgate_ctx_t *ctx)
{
    off_t                length;
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->body_read) {
        return NGX_OK;
    }

    length = r->headers_in.chunked ? -1 : r->headers_in.content_length_n;

    if (length == 0 || (length < 0 && !r->headers_in.chunked)) {
        return NGX_OK;
    }

    rc = ngx_http_credgate_body_wanted(ctx, length);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "credgate reads the body: %O", length);

    ctx->state = NGX_HTTP_CREDGATE_STATE_READING;
    ctx->body_read = 1;

    if (r->header_in) {
        ctx->preread.data = r->header_in->pos;
        ctx->preread.len = r->header_in->last - r->header_in->pos;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_credgate_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static void
ngx_http_credgate_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_ctx_get(r);

    if (r->phase_handler != ctx->phase_handler) {
        /* nginx has redirected the request, but read on */
        return;
    }

    r->preserve_body = 1;

    rc = ngx_http_credgate_body_gather(ctx);

    if (ctx->bypassed) {
        ctx->state = NGX_HTTP_CREDGATE_STATE_START;

        if (rc != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

    } else if (rc == NGX_OK) {
        ngx_http_credgate_wait_authenticate(ctx);

    } else {
        ctx->state = NGX_HTTP_CREDGATE_STATE_DONE;
        ngx_http_credgate_outcome_deny(ctx, CREDGATE_INTERNAL);
    }

    if (ctx->state == NGX_HTTP_CREDGATE_STATE_WAITING) {
        ngx_http_credgate_wait_suspend(ctx);
        return;
    }

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


/* returns NGX_OK, NGX_DECLINED, or a status code on failure */

static ngx_int_t
ngx_http_credgate_body_wanted(ngx_http_credgate_ctx_t *ctx, off_t length)
{
    bool  wanted;

    if (credgate_gate_wants_body(ctx->gate, &ctx->presented, length, &wanted)
        != CREDGATE_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return wanted ? NGX_OK : NGX_DECLINED;
}


/* copies the body to the presented request, if the gate wants it */

static ngx_int_t
ngx_http_credgate_body_gather(ngx_http_credgate_ctx_t *ctx)
{
    off_t                     length;
    u_char                   *p, *body;
    size_t                    size;
    ssize_t                   n;
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_request_t       *r;
    ngx_http_request_body_t  *rb;

    r = ctx->request;
    rb = r->request_body;
    length = 0;

    if (rb == NULL) {
        return NGX_OK;
    }

    for (cl = rb->bufs; cl; cl = cl->next) {
        length += ngx_buf_size(cl->buf);
    }

    rc = ngx_http_credgate_body_wanted(ctx, length);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : NGX_ERROR;
    }

    body = ngx_pnalloc(r->pool, (size_t) length);
    if (body == NULL) {
        return NGX_ERROR;
    }

    /* from now on the cleanup handler wipes the copy */

    ctx->presented.body = (char *) body;
    ctx->presented.body_len = (size_t) length;

    p = body;

    for (cl = rb->bufs; cl; cl = cl->next) {
        b = cl->buf;
        size = (size_t) ngx_buf_size(b);

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        if (!b->in_file) {
            continue;
        }

        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n == NGX_ERROR || (size_t) n != size) {
            return NGX_ERROR;
        }

        p += size;
    }

    return NGX_OK;
}


/* replaces the body with a copy without credentials */

ngx_int_t
ngx_http_credgate_body_hide(ngx_http_credgate_ctx_t *ctx)
{
    char              *body;
    size_t             len;
    credgate_request  *presented;

    presented = &ctx->presented;

    body = ngx_pnalloc(ctx->request->pool, presented->body_len);
    if (body == NULL) {
        return NGX_ERROR;
    }

    if (credgate_gate_hide_body(ctx->gate, presented->content_type,
                                presented->content_type_len,
                                presented->body, presented->body_len,
                                body, presented->body_len, &len)
        != CREDGATE_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_credgate_body_replace(ctx, (u_char *) body, len);
}


/*
 * Replaces a body that failed to arrive with an empty one: the part that did
 * arrive may contain credentials, and Content-Length no longer fits.
 */

ngx_int_t
ngx_http_credgate_body_drop(ngx_http_credgate_ctx_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    r->read_event_handler = ngx_http_block_reading;

    if (r->request_body == NULL) {
        return NGX_OK;
    }

    return ngx_http_credgate_body_replace(ctx, (u_char *) "", 0);
}


static ngx_int_t
ngx_http_credgate_body_replace(ngx_http_credgate_ctx_t *ctx, u_char *body,
    size_t len)
{
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_table_elt_t          *h;
    ngx_http_request_t       *r;
    ngx_http_request_body_t  *rb;

    r = ctx->request;
    rb = r->request_body;

    ctx->body_hidden = 1;

    ngx_http_credgate_memory_wipe_body(ctx);

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->start = body;
    b->pos = b->start;
    b->last = b->pos + len;
    b->end = b->last;
    b->memory = len ? 1 : 0;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    rb->bufs = cl;
    rb->buf = b;
    rb->temp_file = NULL;

    r->headers_in.content_length_n = len;
    r->headers_in.chunked = 0;

    h = r->headers_in.content_length;

    if (h) {
        h->value.data = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
        if (h->value.data == NULL) {
            h->value.len = 0;
            return NGX_ERROR;
        }

        h->value.len = ngx_sprintf(h->value.data, "%uz", len) - h->value.data;
    }

    return NGX_OK;
}
