
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_purge_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_credgate_purge_is_permitted(ngx_http_request_t *r);
static ngx_str_t *ngx_http_credgate_purge_proxy(ngx_http_request_t *r);
static ngx_uint_t ngx_http_credgate_purge_is_local(ngx_http_request_t *r);


/* headers by which proxies show that they have forwarded a request */

static ngx_str_t  ngx_http_credgate_purge_headers[] = {
    ngx_string("forwarded"),
    ngx_string("via"),
    ngx_string("x-forwarded-for"),
    ngx_string("x-forwarded-host"),
    ngx_string("x-forwarded-proto"),
    ngx_string("x-real-ip"),
    ngx_null_string
};


char *
ngx_http_credgate_purge_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_credgate_loc_conf_t  *cglcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {
        if (ngx_strcmp(value[1].data, "remote") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in \"%V\" directive, "
                               "it must be \"remote\"",
                               &value[1], &value[0]);
            return NGX_CONF_ERROR;
        }

        cglcf->purge_remote = 1;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_credgate_purge_handler;

    return NGX_CONF_OK;
}


/* POST ...?client_id=ID, or POST ...?all */

static ngx_int_t
ngx_http_credgate_purge_handler(ngx_http_request_t *r)
{
    u_char     *dst, *src;
    ngx_int_t   rc;
    ngx_str_t   body, client_id, value;

    if (r->method != NGX_HTTP_POST) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    if (!ngx_http_credgate_purge_is_permitted(r)) {
        return NGX_HTTP_FORBIDDEN;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_str_null(&client_id);

    if (ngx_http_arg(r, (u_char *) "client_id", 9, &value) == NGX_OK
        && value.len)
    {
        client_id.data = ngx_pnalloc(r->pool, value.len);
        if (client_id.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        dst = client_id.data;
        src = value.data;
        ngx_unescape_uri(&dst, &src, value.len, 0);
        client_id.len = dst - client_id.data;

    } else if (!(r->args.len == 3
                 && ngx_strncmp(r->args.data, "all", 3) == 0))
    {
        ngx_str_set(&body, "{\"message\":\"specify ?client_id=ID to purge a "
                           "client, or ?all\"}\n");
        return ngx_http_credgate_operate_send(r, NGX_HTTP_BAD_REQUEST,
                                      &ngx_http_credgate_json_type, &body);
    }

    if (ngx_http_credgate_engine_get() == NULL) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    ngx_http_credgate_zone_announce_purge(&client_id);

    if (credgate_engine_purge(ngx_http_credgate_engine_get(), NULL,
                              client_id.len ? (char *) client_id.data : NULL,
                              client_id.len)
        != CREDGATE_OK)
    {
        ngx_str_set(&body, "{\"message\":\"client_id is not UTF-8\"}\n");
        return ngx_http_credgate_operate_send(r, NGX_HTTP_BAD_REQUEST,
                                      &ngx_http_credgate_json_type, &body);
    }

    ngx_str_set(&body, "{\"message\":\"purged\"}\n");

    return ngx_http_credgate_operate_send(r, NGX_HTTP_OK,
                                  &ngx_http_credgate_json_type, &body);
}


/*
 * Behind a proxy on this host every request comes over loopback, and its
 * sender may be anyone.
 */

static ngx_uint_t
ngx_http_credgate_purge_is_permitted(ngx_http_request_t *r)
{
    ngx_str_t                     *proxy;
    ngx_http_credgate_loc_conf_t  *cglcf;

    cglcf = ngx_http_get_module_loc_conf(r, ngx_http_credgate_module);

    if (cglcf->purge_remote) {
        return 1;
    }

    if (!ngx_http_credgate_purge_is_local(r)) {
        return 0;
    }

    proxy = ngx_http_credgate_purge_proxy(r);

    if (proxy == NULL) {
        return 1;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "credgate: purge refused, because \"%V\" shows that a proxy "
                  "has forwarded it: send it to nginx without the proxy, or "
                  "protect the location by access rules and set "
                  "\"credgate_purge remote\"", proxy);

    return 0;
}


/* returns the first sign of a proxy, or NULL */

static ngx_str_t *
ngx_http_credgate_purge_proxy(ngx_http_request_t *r)
{
    ngx_str_t        *name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    static ngx_str_t  protocol = ngx_string("PROXY protocol");

    if (r->http_connection->addr_conf->proxy_protocol) {
        return &protocol;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (name = ngx_http_credgate_purge_headers; name->len; name++) {

                if (header[i].key.len == name->len
                    && ngx_strncasecmp(header[i].key.data, name->data,
                                       name->len)
                       == 0)
                {
                    return name;
                }
            }
        }
    }

    return NULL;
}


/* tests for a connection over loopback, or a UNIX domain socket */

static ngx_uint_t
ngx_http_credgate_purge_is_local(ngx_http_request_t *r)
{
    struct sockaddr      *address;
#if (NGX_HAVE_INET6)
    struct in6_addr      *in6;
#endif

    address = r->connection->sockaddr;

    switch (address->sa_family) {

    case AF_INET:
        return (ntohl(((struct sockaddr_in *) address)->sin_addr.s_addr) >> 24)
               == 127;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        in6 = &((struct sockaddr_in6 *) address)->sin6_addr;

        return IN6_IS_ADDR_LOOPBACK(in6)
               || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
#endif

#if (NGX_HAVE_UNIX_DOMAIN)
    case AF_UNIX:
        return 1;
#endif

    default:
        return 0;
    }
}
