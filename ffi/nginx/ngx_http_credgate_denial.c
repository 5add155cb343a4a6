
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/* the library accepts no longer credentials; the logs have a part of the id */

#define NGX_HTTP_CREDGATE_DENIAL_MAX  2048
#define NGX_HTTP_CREDGATE_DENIAL_ID   64


/*
 * The id that a request presents, with any secret.  The bytes that could end a
 * quotation or a line are escaped, so a client cannot forge a log entry.
 */

ngx_int_t
ngx_http_credgate_denial_client_id(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *id)
{
    char     presented[NGX_HTTP_CREDGATE_DENIAL_MAX];
    size_t   i, len;
    u_char  *p, ch;

    static u_char  hex[] = "0123456789ABCDEF";

    ngx_str_null(id);

    if (credgate_gate_presented_client_id(ctx->gate->handle, &ctx->presented,
                                          presented, sizeof(presented), &len)
        != CREDGATE_OK)
    {
        return NGX_DECLINED;
    }

    len = ngx_min(len, NGX_HTTP_CREDGATE_DENIAL_ID);

    id->data = ngx_pnalloc(ctx->request->pool, len * 4);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    p = id->data;

    for (i = 0; i < len; i++) {
        ch = (u_char) presented[i];

        if (ch < 0x20 || ch > 0x7e || ch == '"' || ch == '\\') {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = hex[ch >> 4];
            *p++ = hex[ch & 0xf];
            continue;
        }

        *p++ = ch;
    }

    id->len = p - id->data;

    return NGX_OK;
}


/*
 * Operators act on faults of the provider.  Refused clients are logged with
 * their id, one line for each request, for tools that count them.
 */

void
ngx_http_credgate_denial_log(ngx_http_credgate_ctx_t *ctx)
{
    ngx_log_t         *log;
    ngx_str_t          id;
    ngx_uint_t         status, level;
    credgate_outcome  *outcome;

    if (ctx->logged) {
        return;
    }

    ctx->logged = 1;

    log = ctx->request->connection->log;
    outcome = &ctx->outcome;
    status = outcome->http_status;

    if ((status == NGX_HTTP_UNAUTHORIZED || status == NGX_HTTP_FORBIDDEN
         || status == NGX_HTTP_TOO_MANY_REQUESTS)
        && ngx_http_credgate_denial_client_id(ctx, &id) == NGX_OK)
    {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "credgate: client \"%V\" denied: %s", &id,
                      credgate_cause_name(outcome->code));
    }

    if (outcome->detail_len) {
        level = status < NGX_HTTP_INTERNAL_SERVER_ERROR ? NGX_LOG_INFO
                                                        : NGX_LOG_ERR;

        ngx_log_error(level, log, 0, "credgate: %*s", outcome->detail_len,
                      outcome->detail);
    }
}
