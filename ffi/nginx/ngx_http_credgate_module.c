
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void *ngx_http_credgate_create_srv_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_credgate_init(ngx_conf_t *cf);


/*
 * A setting is a row here: what it is called in the gate's configuration, and
 * what kind of value it has.  The rules are the library's.
 */

static ngx_http_credgate_field_t  ngx_http_credgate_issuer = {
    NGX_HTTP_CREDGATE_STRING, ngx_string("issuer"), ngx_null_string
};

static ngx_http_credgate_field_t  ngx_http_credgate_token_post_arg = {
    NGX_HTTP_CREDGATE_PAIR, ngx_string("token_post_args_names"),
    ngx_string("token_post_args_values")
};

static ngx_http_credgate_field_t  ngx_http_credgate_timeout = {
    NGX_HTTP_CREDGATE_MSEC, ngx_string("timeout"), ngx_null_string
};

static ngx_http_credgate_field_t  ngx_http_credgate_loopback = {
    NGX_HTTP_CREDGATE_FLAG, ngx_string("allow_loopback_http"), ngx_null_string
};

static ngx_http_credgate_field_t  ngx_http_credgate_trusted = {
    NGX_HTTP_CREDGATE_PATH, ngx_string("ssl_trusted_certificate"),
    ngx_null_string
};

static ngx_http_credgate_field_t  ngx_http_credgate_config = {
    NGX_HTTP_CREDGATE_FILE, ngx_string("credgate_config"), ngx_null_string
};


#define NGX_HTTP_CREDGATE_CONF                                                \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF


static ngx_command_t  ngx_http_credgate_commands[] = {

    { ngx_string("credgate"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_FLAG,
      ngx_http_credgate_enable,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_credgate_loc_conf_t, enable),
      NULL },

    { ngx_string("credgate_config"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_credgate_config },

    { ngx_string("credgate_issuer"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_credgate_issuer },

    { ngx_string("credgate_token_post_arg"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE2,
      ngx_http_credgate_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_credgate_token_post_arg },

    { ngx_string("credgate_timeout"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_credgate_timeout },

    { ngx_string("credgate_ssl_trusted_certificate"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_credgate_trusted },

    { ngx_string("credgate_allow_loopback_http"),
      NGX_HTTP_CREDGATE_CONF|NGX_CONF_TAKE1,
      ngx_http_credgate_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_credgate_loopback },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_credgate_module_ctx = {
    ngx_http_credgate_add_variables,       /* preconfiguration */
    ngx_http_credgate_init,                /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_credgate_create_srv_conf,     /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_credgate_create_loc_conf,     /* create location configuration */
    ngx_http_credgate_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_credgate_module = {
    NGX_MODULE_V1,
    &ngx_http_credgate_module_ctx,         /* module context */
    ngx_http_credgate_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_credgate_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_credgate_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_credgate_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_credgate_srv_conf_t));
}


static ngx_int_t
ngx_http_credgate_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_POST_READ_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_post_read_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_credgate_precontent_handler;

    return NGX_OK;
}
