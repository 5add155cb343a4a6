
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void ngx_http_credgate_outcome_release(void *data);


/* denies and counts without the engine; the gate writes the response */

void
ngx_http_credgate_outcome_deny(ngx_http_credgate_ctx_t *ctx, int32_t code)
{
    credgate_outcome  *outcome;

    outcome = &ctx->outcome;

    credgate_outcome_release(outcome);

    if (credgate_gate_deny(ctx->gate->handle, code, outcome) != CREDGATE_OK) {
        /* fail closed */
        outcome->http_status = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_credgate_counters_deny(code);
    ngx_http_credgate_clients_deny();
}


/*
 * Makes room for another outcome.  The present one must live as long as the
 * request, because evaluated variables point into it.
 */

ngx_int_t
ngx_http_credgate_outcome_keep(ngx_http_credgate_ctx_t *ctx)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(ctx->pool, sizeof(credgate_outcome));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(cln->data, &ctx->outcome, sizeof(credgate_outcome));
    cln->handler = ngx_http_credgate_outcome_release;

    ngx_memzero(&ctx->outcome, sizeof(credgate_outcome));
    ctx->outcome.struct_size = sizeof(credgate_outcome);

    return NGX_OK;
}


static void
ngx_http_credgate_outcome_release(void *data)
{
    credgate_outcome_release(data);
}
