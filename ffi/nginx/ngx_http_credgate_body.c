
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_body_replace(ngx_http_credgate_ctx_t *ctx,
    u_char *body, size_t len);
static ngx_int_t ngx_http_credgate_body_rewrite_file(
    ngx_http_credgate_ctx_t *ctx, u_char *body, size_t len);


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

    if (credgate_gate_hide_body(ctx->gate->handle, presented->content_type,
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
    ngx_buf_t                      *b;
    ngx_chain_t                    *cl;
    ngx_table_elt_t                *h;
    ngx_http_request_t             *r;
    ngx_http_request_body_t        *rb;
    ngx_http_variable_value_t      *v;
    ngx_http_credgate_main_conf_t  *cgmcf;

    r = ctx->request;
    rb = r->request_body;

    ctx->body_hidden = 1;

    ngx_http_credgate_memory_wipe_body(ctx);

    cgmcf = ngx_http_get_module_main_conf(r, ngx_http_credgate_module);

    if (cgmcf->body_index != NGX_ERROR) {
        v = &r->variables[cgmcf->body_index];
        v->valid = 0;
        v->not_found = 0;
    }

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

    if (rb->temp_file
        && ngx_http_credgate_body_rewrite_file(ctx, body, len) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rb->bufs = cl;
    rb->buf = b;

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


/*
 * A file of "client_body_in_file_only" has a name and may outlive the request,
 * so it gets the new body in place.  The upstream receives it from memory.
 */

static ngx_int_t
ngx_http_credgate_body_rewrite_file(ngx_http_credgate_ctx_t *ctx,
    u_char *body, size_t len)
{
    ngx_file_t               *file;
    ngx_http_request_body_t  *rb;

    rb = ctx->request->request_body;
    file = &rb->temp_file->file;

    if (ftruncate(file->fd, 0) == -1) {
        ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, ngx_errno,
                      "credgate: ftruncate() \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    if (!ctx->request->request_body_in_file_only || len == 0) {
        rb->temp_file = NULL;
        return NGX_OK;
    }

    file->offset = 0;
    file->sys_offset = 0;

    if (ngx_write_file(file, body, len, 0) == NGX_ERROR) {
        return NGX_ERROR;
    }

    rb->temp_file->offset = len;

    return NGX_OK;
}


/* removes a body that the log must not show, or leave in a file */

void
ngx_http_credgate_body_discard(ngx_http_credgate_ctx_t *ctx)
{
    ngx_temp_file_t          *tf;
    ngx_http_request_body_t  *rb;

    rb = ctx->request->request_body;
    tf = rb->temp_file;

    ngx_http_credgate_memory_wipe_body(ctx);

    if (tf && tf->file.fd != NGX_INVALID_FILE
        && ftruncate(tf->file.fd, 0) == -1)
    {
        ngx_log_error(NGX_LOG_CRIT, ctx->request->connection->log, ngx_errno,
                      "credgate: ftruncate() \"%V\" failed", &tf->file.name);
    }

    rb->bufs = NULL;
}
