
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_module_init(ngx_conf_t *cf);


#define NGX_HTTP_CREDGATE_CONF                                                \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF


/*
 * A row gives a directive, its number of words, their type, and the name of
 * the field in the gate's configuration.  The library checks the values.
 */

#define NGX_HTTP_CREDGATE_SETTING(directive, words, type, field)              \
    { ngx_string("credgate_" directive),                                      \
      NGX_HTTP_CREDGATE_CONF|words,                                           \
      ngx_http_credgate_conf_set,                                             \
      NGX_HTTP_LOC_CONF_OFFSET,                                               \
      offsetof(ngx_http_credgate_loc_conf_t, settings),                       \
      &(ngx_http_credgate_field_t) { NGX_HTTP_CREDGATE_TYPE_##type,           \
                                     ngx_string(field) } }


/* the same for a field of the engine options */

#define NGX_HTTP_CREDGATE_OPTION(directive, words, type, field)               \
    { ngx_string("credgate_" directive),                                      \
      NGX_HTTP_MAIN_CONF|words,                                               \
      ngx_http_credgate_conf_set,                                             \
      NGX_HTTP_MAIN_CONF_OFFSET,                                              \
      offsetof(ngx_http_credgate_main_conf_t, settings),                      \
      &(ngx_http_credgate_field_t) { NGX_HTTP_CREDGATE_TYPE_##type,           \
                                     ngx_string(field) } }


static ngx_command_t  ngx_http_credgate_commands[] = {

    { ngx_string("credgate"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_conf_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("credgate_provider"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_credgate_provider_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("credgate_provider"),
      NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_provider_use,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("credgate_token"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_credgate_endpoints_token,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("credgate_check"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_credgate_endpoints_check,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("credgate_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_credgate_operate_metrics,
      0,
      0,
      NULL },

    { ngx_string("credgate_report"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_credgate_operate_report,
      0,
      0,
      NULL },

    { ngx_string("credgate_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_credgate_page_status,
      0,
      0,
      NULL },

    { ngx_string("credgate_purge"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_credgate_purge_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("credgate_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_zone_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_credgate_main_conf_t, zone_size),
      NULL },

    NGX_HTTP_CREDGATE_SETTING("allow_addresses", NGX_CONF_1MORE,
                              LIST, "allow_addresses"),

    NGX_HTTP_CREDGATE_SETTING("allow_loopback_http", NGX_CONF_TAKE1,
                              FLAG, "allow_loopback_http"),

    NGX_HTTP_CREDGATE_SETTING("audience", NGX_CONF_1MORE,
                              LIST, "audience"),

    NGX_HTTP_CREDGATE_SETTING("audience_claim", NGX_CONF_1MORE,
                              LIST, "audience_claim"),

    NGX_HTTP_CREDGATE_SETTING("audience_required", NGX_CONF_1MORE,
                              LIST, "audience_required"),

    NGX_HTTP_CREDGATE_SETTING("auth_methods", NGX_CONF_1MORE,
                              LIST, "auth_methods"),

    NGX_HTTP_CREDGATE_SETTING("basic_encoding", NGX_CONF_TAKE1,
                              STRING, "basic_encoding"),

    NGX_HTTP_CREDGATE_SETTING("cache_tokens", NGX_CONF_TAKE1,
                              FLAG, "cache_tokens"),

    NGX_HTTP_CREDGATE_SETTING("cache_tokens_salt", NGX_CONF_TAKE1,
                              STRING, "cache_tokens_salt"),

    NGX_HTTP_CREDGATE_SETTING("cache_ttl", NGX_CONF_TAKE1,
                              SEC, "cache_ttl"),

    NGX_HTTP_CREDGATE_SETTING("cache_ttl_max", NGX_CONF_TAKE1,
                              SEC, "cache_ttl_max"),

    NGX_HTTP_CREDGATE_SETTING("cache_ttl_neg", NGX_CONF_TAKE1,
                              SEC, "cache_ttl_neg"),

    NGX_HTTP_CREDGATE_SETTING("challenges", NGX_CONF_1MORE,
                              LIST, "challenges"),

    NGX_HTTP_CREDGATE_SETTING("claims_forbidden", NGX_CONF_1MORE,
                              LIST, "claims_forbidden"),

    NGX_HTTP_CREDGATE_SETTING("client_alg", NGX_CONF_TAKE1,
                              STRING, "client_alg"),

    NGX_HTTP_CREDGATE_SETTING("client_assertion_audience", NGX_CONF_TAKE1,
                              STRING, "client_assertion_audience"),

    NGX_HTTP_CREDGATE_SETTING("client_assertion_cert_file", NGX_CONF_TAKE1,
                              PATH, "client_assertion_cert_file"),

    NGX_HTTP_CREDGATE_SETTING("client_assertion_file", NGX_CONF_TAKE1,
                              PATH, "client_assertion_file"),

    NGX_HTTP_CREDGATE_SETTING("client_assertion_key_file", NGX_CONF_TAKE1,
                              PATH, "client_assertion_key_file"),

    NGX_HTTP_CREDGATE_SETTING("client_assertion_kid", NGX_CONF_TAKE1,
                              STRING, "client_assertion_kid"),

    NGX_HTTP_CREDGATE_SETTING("client_credentials_param_type", NGX_CONF_1MORE,
                              LIST, "client_credentials_param_type"),

    NGX_HTTP_CREDGATE_SETTING("client_id", NGX_CONF_TAKE1,
                              VALUE, "client_id"),

    NGX_HTTP_CREDGATE_SETTING("client_secret", NGX_CONF_TAKE1,
                              VALUE, "client_secret"),

    NGX_HTTP_CREDGATE_SETTING("client_secret_file", NGX_CONF_TAKE1,
                              PATH, "client_secret_file"),

    NGX_HTTP_CREDGATE_SETTING("client_id_header", NGX_CONF_TAKE1,
                              STRING, "client_id_header"),

    NGX_HTTP_CREDGATE_SETTING("client_secret_header", NGX_CONF_TAKE1,
                              STRING, "client_secret_header"),

    NGX_HTTP_CREDGATE_SETTING("clients_allowed", NGX_CONF_1MORE,
                              LIST, "clients_allowed"),

    NGX_HTTP_CREDGATE_SETTING("config", NGX_CONF_TAKE1,
                              FILE, ""),

    NGX_HTTP_CREDGATE_SETTING("discovery_header", NGX_CONF_TAKE2,
                              PAIRS, "discovery_headers"),

    NGX_HTTP_CREDGATE_SETTING("discovery_header_file", NGX_CONF_TAKE2,
                              FILES, "discovery_headers_files"),

    NGX_HTTP_CREDGATE_SETTING("eagerly_expire", NGX_CONF_TAKE1,
                              SEC, "eagerly_expire"),

    NGX_HTTP_CREDGATE_SETTING("expose_error_code", NGX_CONF_TAKE1,
                              FLAG, "expose_error_code"),

    NGX_HTTP_CREDGATE_SETTING("extra_jwks_issuers", NGX_CONF_1MORE,
                              LIST, "extra_jwks_issuers"),

    NGX_HTTP_CREDGATE_SETTING("extra_jwks_uris", NGX_CONF_1MORE,
                              LIST, "extra_jwks_uris"),

    NGX_HTTP_CREDGATE_SETTING("forbidden_error_message", NGX_CONF_TAKE1,
                              STRING, "forbidden_error_message"),

    NGX_HTTP_CREDGATE_SETTING("groups_claim", NGX_CONF_1MORE,
                              LIST, "groups_claim"),

    NGX_HTTP_CREDGATE_SETTING("groups_required", NGX_CONF_1MORE,
                              LIST, "groups_required"),

    NGX_HTTP_CREDGATE_SETTING("hide_credentials", NGX_CONF_TAKE1,
                              FLAG, "hide_credentials"),

    NGX_HTTP_CREDGATE_SETTING("http_proxy", NGX_CONF_TAKE1,
                              STRING, "http_proxy"),

    NGX_HTTP_CREDGATE_SETTING("http_proxy_authorization", NGX_CONF_TAKE1,
                              STRING, "http_proxy_authorization"),

    NGX_HTTP_CREDGATE_SETTING("http_proxy_authorization_file", NGX_CONF_TAKE1,
                              PATH, "http_proxy_authorization_file"),

    NGX_HTTP_CREDGATE_SETTING("https_proxy", NGX_CONF_TAKE1,
                              STRING, "https_proxy"),

    NGX_HTTP_CREDGATE_SETTING("https_proxy_authorization", NGX_CONF_TAKE1,
                              STRING, "https_proxy_authorization"),

    NGX_HTTP_CREDGATE_SETTING("https_proxy_authorization_file", NGX_CONF_TAKE1,
                              PATH, "https_proxy_authorization_file"),

    NGX_HTTP_CREDGATE_SETTING("ignore_signature", NGX_CONF_1MORE,
                              LIST, "ignore_signature"),

    NGX_HTTP_CREDGATE_SETTING("introspect_jwt_tokens", NGX_CONF_TAKE1,
                              FLAG, "introspect_jwt_tokens"),

    NGX_HTTP_CREDGATE_SETTING("introspection_client_id", NGX_CONF_TAKE1,
                              STRING, "introspection_client_id"),

    NGX_HTTP_CREDGATE_SETTING("introspection_client_secret", NGX_CONF_TAKE1,
                              STRING, "introspection_client_secret"),

    NGX_HTTP_CREDGATE_SETTING("introspection_client_secret_file",
                              NGX_CONF_TAKE1, PATH,
                              "introspection_client_secret_file"),

    NGX_HTTP_CREDGATE_SETTING("introspection_endpoint", NGX_CONF_TAKE1,
                              STRING, "introspection_endpoint"),

    NGX_HTTP_CREDGATE_SETTING("introspection_endpoint_auth_method",
                              NGX_CONF_TAKE1, STRING,
                              "introspection_endpoint_auth_method"),

    NGX_HTTP_CREDGATE_SETTING("issuer", NGX_CONF_TAKE1,
                              STRING, "issuer"),

    NGX_HTTP_CREDGATE_SETTING("issuers_allowed", NGX_CONF_1MORE,
                              LIST, "issuers_allowed"),

    NGX_HTTP_CREDGATE_SETTING("jwks_endpoint", NGX_CONF_TAKE1,
                              STRING, "jwks_endpoint"),

    NGX_HTTP_CREDGATE_SETTING("keepalive", NGX_CONF_TAKE1,
                              FLAG, "keepalive"),

    NGX_HTTP_CREDGATE_SETTING("leeway", NGX_CONF_TAKE1,
                              SEC, "leeway"),

    NGX_HTTP_CREDGATE_SETTING("max_body_bytes", NGX_CONF_TAKE1,
                              SIZE, "max_body_bytes"),

    NGX_HTTP_CREDGATE_SETTING("no_proxy", NGX_CONF_TAKE1,
                              STRING, "no_proxy"),

    NGX_HTTP_CREDGATE_SETTING("purge_token_on_upstream_status_codes",
                              NGX_CONF_1MORE, NUMBERS,
                              "purge_token_on_upstream_status_codes"),

    NGX_HTTP_CREDGATE_SETTING("rediscovery_lifetime", NGX_CONF_TAKE1,
                              SEC, "rediscovery_lifetime"),

    NGX_HTTP_CREDGATE_SETTING("refresh_ahead", NGX_CONF_TAKE1,
                              NUMBER, "refresh_ahead"),

    NGX_HTTP_CREDGATE_SETTING("refusals_per_client", NGX_CONF_TAKE1,
                              NUMBER, "refusals_per_client"),

    NGX_HTTP_CREDGATE_SETTING("refusals_per_gate", NGX_CONF_TAKE1,
                              NUMBER, "refusals_per_gate"),

    NGX_HTTP_CREDGATE_SETTING("refusals_per_source", NGX_CONF_TAKE1,
                              NUMBER, "refusals_per_source"),

    NGX_HTTP_CREDGATE_SETTING("resource_metadata", NGX_CONF_TAKE1,
                              STRING, "resource_metadata"),

    NGX_HTTP_CREDGATE_SETTING("roles_claim", NGX_CONF_1MORE,
                              LIST, "roles_claim"),

    NGX_HTTP_CREDGATE_SETTING("roles_required", NGX_CONF_1MORE,
                              LIST, "roles_required"),

    NGX_HTTP_CREDGATE_SETTING("run_on_preflight", NGX_CONF_TAKE1,
                              FLAG, "run_on_preflight"),

    NGX_HTTP_CREDGATE_SETTING("scopes", NGX_CONF_1MORE,
                              LIST, "scopes"),

    NGX_HTTP_CREDGATE_SETTING("scopes_claim", NGX_CONF_1MORE,
                              LIST, "scopes_claim"),

    NGX_HTTP_CREDGATE_SETTING("scopes_required", NGX_CONF_1MORE,
                              LIST, "scopes_required"),

    NGX_HTTP_CREDGATE_SETTING("ssl_trusted_certificate", NGX_CONF_TAKE1,
                              PATH, "ssl_trusted_certificate"),

    NGX_HTTP_CREDGATE_SETTING("ssl_verify", NGX_CONF_TAKE1,
                              FLAG, "ssl_verify"),

    NGX_HTTP_CREDGATE_SETTING("timeout", NGX_CONF_TAKE1,
                              MSEC, "timeout"),

    NGX_HTTP_CREDGATE_SETTING("tls_client_auth_cert", NGX_CONF_TAKE1,
                              PATH, "tls_client_auth_cert"),

    NGX_HTTP_CREDGATE_SETTING("tls_client_auth_key", NGX_CONF_TAKE1,
                              PATH, "tls_client_auth_key"),

    NGX_HTTP_CREDGATE_SETTING("token_endpoint", NGX_CONF_TAKE1,
                              STRING, "token_endpoint"),

    NGX_HTTP_CREDGATE_SETTING("token_endpoint_auth_method", NGX_CONF_TAKE1,
                              STRING, "token_endpoint_auth_method"),

    NGX_HTTP_CREDGATE_SETTING("token_endpoint_basic_encoding", NGX_CONF_TAKE1,
                              STRING, "token_endpoint_basic_encoding"),

    NGX_HTTP_CREDGATE_SETTING("token_header", NGX_CONF_TAKE2,
                              PAIRS, "token_headers"),

    NGX_HTTP_CREDGATE_SETTING("token_header_file", NGX_CONF_TAKE2,
                              FILES, "token_headers_files"),

    NGX_HTTP_CREDGATE_SETTING("token_post_arg", NGX_CONF_TAKE2,
                              ARGS, "token_post_args"),

    NGX_HTTP_CREDGATE_SETTING("token_post_arg_file", NGX_CONF_TAKE2,
                              FILES, "token_post_args_files"),

    NGX_HTTP_CREDGATE_SETTING("token_post_args_client", NGX_CONF_1MORE,
                              LIST, "token_post_args_client"),

    NGX_HTTP_CREDGATE_SETTING("traceparent", NGX_CONF_TAKE1,
                              FLAG, "traceparent"),

    NGX_HTTP_CREDGATE_SETTING("unauthorized_error_message", NGX_CONF_TAKE1,
                              STRING, "unauthorized_error_message"),

    NGX_HTTP_CREDGATE_SETTING("upstream_access_token_header", NGX_CONF_TAKE1,
                              STRING, "upstream_access_token_header"),

    NGX_HTTP_CREDGATE_SETTING("upstream_header", NGX_CONF_2MORE,
                              HEADERS, "upstream_headers"),

    NGX_HTTP_CREDGATE_SETTING("using_pseudo_issuer", NGX_CONF_TAKE1,
                              FLAG, "using_pseudo_issuer"),

    NGX_HTTP_CREDGATE_SETTING("verify_claims", NGX_CONF_TAKE1,
                              FLAG, "verify_claims"),

    NGX_HTTP_CREDGATE_SETTING("verify_signature", NGX_CONF_TAKE1,
                              FLAG, "verify_signature"),

    NGX_HTTP_CREDGATE_OPTION("cache_max_bytes", NGX_CONF_TAKE1,
                             SIZE, "cache_max_bytes"),

    NGX_HTTP_CREDGATE_OPTION("cache_max_entries", NGX_CONF_TAKE1,
                             NUMBER, "cache_max_entries"),

    NGX_HTTP_CREDGATE_OPTION("max_exchanges", NGX_CONF_TAKE1,
                             NUMBER, "max_exchanges"),

    NGX_HTTP_CREDGATE_OPTION("max_waiting", NGX_CONF_TAKE1,
                             NUMBER, "max_waiting"),

    NGX_HTTP_CREDGATE_OPTION("metrics_clients", NGX_CONF_TAKE1,
                             NUMBER, "metrics_clients"),

    NGX_HTTP_CREDGATE_OPTION("provider_pause_max", NGX_CONF_TAKE1,
                             SEC, "provider_pause_max"),

    NGX_HTTP_CREDGATE_OPTION("store", NGX_CONF_TAKE1,
                             STORE, "store"),

    NGX_HTTP_CREDGATE_OPTION("store_ca_file", NGX_CONF_TAKE1,
                             PATH, "store_ca_file"),

    NGX_HTTP_CREDGATE_OPTION("store_client_cert_file", NGX_CONF_TAKE1,
                             PATH, "store_client_cert_file"),

    NGX_HTTP_CREDGATE_OPTION("store_client_key_file", NGX_CONF_TAKE1,
                             PATH, "store_client_key_file"),

    NGX_HTTP_CREDGATE_OPTION("store_max_bytes", NGX_CONF_TAKE1,
                             SIZE, "store_max_bytes"),

    NGX_HTTP_CREDGATE_OPTION("store_password_file", NGX_CONF_TAKE1,
                             PATH, "store_password_file"),

    NGX_HTTP_CREDGATE_OPTION("store_pepper_file", NGX_CONF_TAKE1,
                             PATH, "store_pepper_file"),

    NGX_HTTP_CREDGATE_OPTION("store_prefix", NGX_CONF_TAKE1,
                             STRING, "store_prefix"),

    NGX_HTTP_CREDGATE_OPTION("store_previous_pepper_files", NGX_CONF_1MORE,
                             PATHS, "store_previous_pepper_files"),

    NGX_HTTP_CREDGATE_OPTION("store_timeout", NGX_CONF_TAKE1,
                             MSEC, "store_timeout"),

      ngx_null_command
};


static ngx_http_module_t  ngx_http_credgate_module_ctx = {
    ngx_http_credgate_variables_add,       /* preconfiguration */
    ngx_http_credgate_module_init,         /* postconfiguration */

    ngx_http_credgate_options_create_main, /* create main configuration */
    ngx_http_credgate_options_init_main,   /* init main configuration */

    ngx_http_credgate_conf_create_srv,     /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_credgate_conf_create_loc,     /* create location configuration */
    ngx_http_credgate_merge_loc            /* merge location configuration */
};


ngx_module_t  ngx_http_credgate_module = {
    NGX_MODULE_V1,
    &ngx_http_credgate_module_ctx,         /* module context */
    ngx_http_credgate_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_credgate_worker_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_credgate_worker_exit_process, /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_credgate_module_init(ngx_conf_t *cf)
{
    ngx_array_t                    *access;
    ngx_http_handler_pt            *h;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_credgate_main_conf_t  *cgmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_enter_handler;

    /*
     * nginx runs the handlers of a phase from the last to the first.  The gate
     * is the first, so that it sees no request that another module refuses.
     */

    access = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;

    if (ngx_array_push(access) == NULL) {
        return NGX_ERROR;
    }

    h = access->elts;
    ngx_memmove(h + 1, h, (access->nelts - 1) * sizeof(ngx_http_handler_pt));

    *h = ngx_http_credgate_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_bypass_handler;

    cgmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_credgate_module);

    if (cgmcf->endpoints) {
        h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = ngx_http_credgate_endpoint_handler;
    }

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_access_log_handler;

    if (ngx_http_credgate_bypass_init(cf) != NGX_OK
        || ngx_http_credgate_log_init(cf) != NGX_OK
        || ngx_http_credgate_read_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_credgate_gates_check_unused(cf) != NGX_OK
        || ngx_http_credgate_guard_check(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_credgate_zone_add(cf);
}
