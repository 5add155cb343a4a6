
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_read_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static void ngx_http_credgate_read_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_credgate_read_wanted(ngx_http_credgate_ctx_t *ctx,
    off_t length);
static ngx_int_t ngx_http_credgate_read_gather(ngx_http_credgate_ctx_t *ctx);


static ngx_http_request_body_filter_pt  ngx_http_credgate_read_next_filter;


ngx_int_t
ngx_http_credgate_read_init(ngx_conf_t *cf)
{
    ngx_http_credgate_read_next_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_credgate_read_filter;

    return NGX_OK;
}


/* refuses a body of unknown length once it exceeds the gate's maximum */

static ngx_int_t
ngx_http_credgate_read_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                 rc;
    ngx_chain_t              *cl;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_credgate_module);

    if (ctx && ctx->body_limited
        && ctx->state == NGX_HTTP_CREDGATE_STATE_READING)
    {
        for (cl = in; cl; cl = cl->next) {
            ctx->body_received += ngx_buf_size(cl->buf);
        }

        if (ctx->body_received) {
            rc = ngx_http_credgate_read_wanted(ctx, ctx->body_received);

            if (rc != NGX_OK && rc != NGX_DECLINED) {
                return rc;
            }

            if (rc == NGX_DECLINED) {
                ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                              "credgate: the body has no declared length and "
                              "exceeds \"credgate_max_body_bytes\"");

                return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
            }
        }
    }

    return ngx_http_credgate_read_next_filter(r, in);
}


/* returns NGX_OK if no body is read, else the phase handler's return code */

ngx_int_t
ngx_http_credgate_read_body(ngx_http_credgate_ctx_t *ctx)
{
    off_t                          length;
    ngx_int_t                      rc;
    ngx_http_request_t            *r;
    ngx_http_credgate_loc_conf_t  *cglcf;

    r = ctx->request;

    if (ctx->body_read) {
        return NGX_OK;
    }

    length = r->headers_in.chunked ? -1 : r->headers_in.content_length_n;

    if (length == 0 || (length < 0 && !r->headers_in.chunked)) {
        return NGX_OK;
    }

    rc = ngx_http_credgate_read_wanted(ctx, length);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "credgate reads the body: %O", length);

    ctx->state = NGX_HTTP_CREDGATE_STATE_READING;
    ctx->body_read = 1;

    /* a body of any length passes, if the gate need not allow the request */

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    ctx->body_limited = (length < 0
                         && cglcf->enable != NGX_HTTP_CREDGATE_OPTIONAL
                         && !ctx->dry_run && !ctx->bypassed);

    if (r->header_in) {
        ctx->preread.data = r->header_in->pos;
        ctx->preread.len = r->header_in->last - r->header_in->pos;
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_credgate_read_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


static void
ngx_http_credgate_read_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_credgate_ctx_t  *ctx;

    ctx = ngx_http_credgate_ctx_get(r);

    if (r->phase_handler != ctx->phase_handler) {
        /* nginx has redirected the request, but read on */
        return;
    }

    r->preserve_body = 1;

    rc = ngx_http_credgate_read_gather(ctx);

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
ngx_http_credgate_read_wanted(ngx_http_credgate_ctx_t *ctx, off_t length)
{
    bool              wanted;
    credgate_request  presented;

    presented = ctx->presented;

    if (ctx->bypassed) {
        /* the header does not decide, so the body must not keep a secret */
        presented.authorization = NULL;
        presented.authorization_len = 0;
    }

    if (credgate_gate_wants_body(ctx->gate->handle, &presented, length,
                                 &wanted)
        != CREDGATE_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return wanted ? NGX_OK : NGX_DECLINED;
}


/* copies the body to the presented request, if the gate wants it */

static ngx_int_t
ngx_http_credgate_read_gather(ngx_http_credgate_ctx_t *ctx)
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

    rc = ngx_http_credgate_read_wanted(ctx, length);

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
