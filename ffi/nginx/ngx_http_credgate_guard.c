
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/* a location whose gate asks clients for nothing */

typedef struct {
    ngx_http_credgate_loc_conf_t     *cglcf;
    ngx_http_credgate_gate_t         *gate;
    void                            **loc_conf;
    void                            **srv_conf;
} ngx_http_credgate_guard_t;


static ngx_uint_t ngx_http_credgate_guard_is_needed(ngx_conf_t *cf,
    ngx_http_credgate_guard_t *guard);
static ngx_uint_t ngx_http_credgate_guard_is_shadowed(
    ngx_http_credgate_guard_t *guard, ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_credgate_guard_has_access(ngx_conf_t *cf,
    void **loc_conf);
static ngx_uint_t ngx_http_credgate_guard_has_certificate(ngx_conf_t *cf,
    void **srv_conf);
static void *ngx_http_credgate_guard_conf(ngx_conf_t *cf, void **conf,
    const char *name);


/* remembers a location, because other modules are not merged yet */

ngx_int_t
ngx_http_credgate_guard_add(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf)
{
    ngx_uint_t                      i;
    ngx_http_conf_ctx_t            *ctx;
    ngx_http_credgate_gate_t       *gate;
    ngx_http_credgate_guard_t      *guard;
    ngx_http_credgate_main_conf_t  *cgmcf;

    gate = cglcf->gates->elts;

    for (i = 0; i < cglcf->gates->nelts; i++) {
        if (!gate[i].guarded) {
            break;
        }
    }

    /* a variable selects a provider, and its other values are denied */

    if (i == cglcf->gates->nelts || cglcf->variable != NGX_CONF_UNSET) {
        return NGX_OK;
    }

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->unguarded == NULL) {
        cgmcf->unguarded = ngx_array_create(cf->temp_pool, 4,
                                           sizeof(ngx_http_credgate_guard_t));
        if (cgmcf->unguarded == NULL) {
            return NGX_ERROR;
        }
    }

    guard = ngx_array_push(cgmcf->unguarded);
    if (guard == NULL) {
        return NGX_ERROR;
    }

    ctx = cf->ctx;

    guard->cglcf = cglcf;
    guard->gate = &gate[i];
    guard->loc_conf = ctx->loc_conf;
    guard->srv_conf = ctx->srv_conf;

    return NGX_OK;
}


/* logs the warning of each location that no known module guards */

ngx_int_t
ngx_http_credgate_guard_check(ngx_conf_t *cf)
{
    size_t                          len;
    ngx_uint_t                      i;
    const char                     *text;
    ngx_http_credgate_guard_t      *guard;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->unguarded == NULL) {
        return NGX_OK;
    }

    guard = cgmcf->unguarded->elts;

    for (i = 0; i < cgmcf->unguarded->nelts; i++) {

        if (ngx_http_credgate_guard_is_needed(cf, &guard[i])
            && credgate_gate_warning(guard[i].gate->handle, 0, &text, &len)
               == CREDGATE_OK
            && ngx_http_credgate_compile_log_warning(cf, guard[i].cglcf,
                                                     guard[i].gate, text, len)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /* the temporary pool does not outlive the configuration's parsing */
    cgmcf->unguarded = NULL;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_credgate_guard_is_needed(ngx_conf_t *cf,
    ngx_http_credgate_guard_t *guard)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = guard->loc_conf[ngx_http_core_module.ctx_index];

    if (clcf->internal
        || ngx_http_credgate_guard_is_shadowed(guard, clcf)
        || ngx_http_credgate_guard_has_certificate(cf, guard->srv_conf))
    {
        return 0;
    }

    /* with "satisfy any", the gate itself lets requests in */

    return clcf->satisfy == NGX_HTTP_SATISFY_ANY
           || !ngx_http_credgate_guard_has_access(cf, guard->loc_conf);
}


/* requests reach a server's own configuration only without a "location /" */

static ngx_uint_t
ngx_http_credgate_guard_is_shadowed(ngx_http_credgate_guard_t *guard,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_http_core_srv_conf_t       *cscf;
    ngx_http_location_tree_node_t  *node;

    cscf = guard->srv_conf[ngx_http_core_module.ctx_index];

    if (cscf->ctx->loc_conf != guard->loc_conf) {
        return 0;
    }

    node = clcf->static_locations;

    while (node) {

        if (node->len == 1 && node->name[0] == '/') {
            return node->inclusive != NULL;
        }

        node = (node->name[0] < '/') ? node->right : node->left;
    }

    return 0;
}


/*
 * The first members of these private structures tell whether a module is on,
 * and have done so since its first version with this directive.
 */

static ngx_uint_t
ngx_http_credgate_guard_has_access(ngx_conf_t *cf, void **loc_conf)
{
    void                      **rules;
    ngx_str_t                  *uri;
    ngx_http_complex_value_t  **realm;

    rules = ngx_http_credgate_guard_conf(cf, loc_conf,
                                         "ngx_http_access_module");
    if (rules && *rules) {
        return 1;
    }

    realm = ngx_http_credgate_guard_conf(cf, loc_conf,
                                         "ngx_http_auth_basic_module");

    if (realm && *realm && *realm != NGX_CONF_UNSET_PTR
        && ((*realm)->value.len != 3
            || ngx_strncmp((*realm)->value.data, "off", 3) != 0))
    {
        return 1;
    }

    uri = ngx_http_credgate_guard_conf(cf, loc_conf,
                                       "ngx_http_auth_request_module");

    return uri && uri->len && uri->data;
}


/* "ssl_verify_client on", and no listener without TLS */

static ngx_uint_t
ngx_http_credgate_guard_has_certificate(ngx_conf_t *cf, void **srv_conf)
{
#if (NGX_HTTP_SSL)

    ngx_uint_t                   p, a, s;
    ngx_http_conf_port_t        *port;
    ngx_http_conf_addr_t        *addr;
    ngx_http_ssl_srv_conf_t     *sscf;
    ngx_http_core_srv_conf_t   **server;
    ngx_http_core_main_conf_t   *cmcf;

    sscf = ngx_http_credgate_guard_conf(cf, srv_conf, "ngx_http_ssl_module");

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (sscf == NULL || sscf->verify != 1 || cmcf->ports == NULL) {
        return 0;
    }

    port = cmcf->ports->elts;

    for (p = 0; p < cmcf->ports->nelts; p++) {

        addr = port[p].addrs.elts;

        for (a = 0; a < port[p].addrs.nelts; a++) {

            if (addr[a].opt.ssl) {
                continue;
            }

            server = addr[a].servers.elts;

            for (s = 0; s < addr[a].servers.nelts; s++) {
                if (server[s]
                    == srv_conf[ngx_http_core_module.ctx_index])
                {
                    return 0;
                }
            }
        }
    }

    return 1;

#else

    return 0;

#endif
}


/* the module may be absent, so its symbol is not used */

static void *
ngx_http_credgate_guard_conf(ngx_conf_t *cf, void **conf, const char *name)
{
    ngx_uint_t     i;
    ngx_module_t  *module;

    for (i = 0; cf->cycle->modules[i]; i++) {
        module = cf->cycle->modules[i];

        if (module->type == NGX_HTTP_MODULE && module->name
            && ngx_strcmp(module->name, name) == 0)
        {
            return conf[module->ctx_index];
        }
    }

    return NULL;
}
