
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_int_t ngx_http_credgate_value_full_store(ngx_conf_t *cf,
    ngx_str_t *store);
static ngx_uint_t ngx_http_credgate_value_has_variables(ngx_array_t *words);
static ngx_uint_t ngx_http_credgate_value_is_number(ngx_str_t *word);
static char *ngx_http_credgate_value_invalid(ngx_conf_t *cf, ngx_str_t *value,
    const char *expected);


/* checks the words, and makes paths in them absolute */

char *
ngx_http_credgate_value_check(ngx_conf_t *cf, ngx_http_credgate_type_e type)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = cf->args->elts;

    switch (type) {

    case NGX_HTTP_CREDGATE_TYPE_PATH:
    case NGX_HTTP_CREDGATE_TYPE_PATHS:
    case NGX_HTTP_CREDGATE_TYPE_FILE:
        for (i = 1; i < cf->args->nelts; i++) {
            if (ngx_conf_full_name(cf->cycle, &value[i], 1) != NGX_OK) {
                return NGX_CONF_ERROR;
            }
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_FILES:
        if (ngx_conf_full_name(cf->cycle, &value[2], 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_STORE:
        if (ngx_http_credgate_value_full_store(cf, &value[1]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_FLAG:
        if (ngx_strcasecmp(value[1].data, (u_char *) "on") != 0
            && ngx_strcasecmp(value[1].data, (u_char *) "off") != 0)
        {
            return ngx_http_credgate_value_invalid(cf, &value[1],
                                                   "\"on\" or \"off\"");
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_MSEC:
        if (ngx_parse_time(&value[1], 0) == NGX_ERROR) {
            return ngx_http_credgate_value_invalid(cf, &value[1],
                                 "a time such as \"500ms\", \"5s\" or \"1m\"");
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_SEC:
        if (ngx_parse_time(&value[1], 1) == NGX_ERROR) {
            return ngx_http_credgate_value_invalid(cf, &value[1],
                          "a time in whole seconds, such as \"5s\" or \"1m\"");
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_SIZE:
        if (ngx_parse_size(&value[1]) == NGX_ERROR) {
            return ngx_http_credgate_value_invalid(cf, &value[1],
                                         "a size such as \"64k\" or \"1m\"");
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_NUMBER:
    case NGX_HTTP_CREDGATE_TYPE_NUMBERS:
        for (i = 1; i < cf->args->nelts; i++) {
            if (!ngx_http_credgate_value_is_number(&value[i])) {
                return ngx_http_credgate_value_invalid(cf, &value[i],
                                                       "a number");
            }
        }

        break;

    case NGX_HTTP_CREDGATE_TYPE_STRING:
    case NGX_HTTP_CREDGATE_TYPE_LIST:
        if (ngx_http_credgate_value_has_variables(cf->args)) {
            return "does not support variables, only \"credgate_client_id\", "
                   "\"credgate_client_secret\" and "
                   "\"credgate_token_post_arg\" do";
        }

        break;

    default: /* VALUE, PAIRS, ARGS, HEADERS */
        break;
    }

    return NGX_CONF_OK;
}


/* nginx's prefix completes the path of an SQLite file */

static ngx_int_t
ngx_http_credgate_value_full_store(ngx_conf_t *cf, ngx_str_t *store)
{
    u_char     *p;
    ngx_str_t   path;

    if (ngx_strncmp(store->data, "sqlite:", 7) != 0) {
        return NGX_OK;
    }

    path.data = store->data + 7;
    path.len = store->len - 7;

    if (path.len == 0 || ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return path.len ? NGX_ERROR : NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, path.len + sizeof("sqlite:"));
    if (p == NULL) {
        return NGX_ERROR;
    }

    store->data = p;
    store->len = ngx_sprintf(p, "sqlite:%V%Z", &path) - p - 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_credgate_value_has_variables(ngx_array_t *words)
{
    ngx_str_t   *word;
    ngx_uint_t   i;

    word = words->elts;

    for (i = 1; i < words->nelts; i++) {
        if (ngx_http_script_variables_count(&word[i])) {
            return 1;
        }
    }

    return 0;
}


/* digits with at most one dot between them, which JSON accepts unquoted */

static ngx_uint_t
ngx_http_credgate_value_is_number(ngx_str_t *word)
{
    size_t      i;
    ngx_uint_t  dots;

    dots = 0;

    for (i = 0; i < word->len; i++) {

        if (word->data[i] == '.' && i && i + 1 < word->len) {
            dots++;
            continue;
        }

        if (word->data[i] < '0' || word->data[i] > '9') {
            return 0;
        }
    }

    return word->len && word->len <= 15 && dots <= 1
           && (word->len == 1 || word->data[0] != '0' || word->data[1] == '.');
}


static char *
ngx_http_credgate_value_invalid(ngx_conf_t *cf, ngx_str_t *value,
    const char *expected)
{
    ngx_str_t  *directive;

    directive = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive, "
                       "it must be %s", value, directive, expected);

    return NGX_CONF_ERROR;
}


/* compiles the last word, if it contains variables */

ngx_int_t
ngx_http_credgate_value_compile(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting)
{
    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    value = &setting->words[setting->nwords - 1];

    if (ngx_http_script_variables_count(value) == 0) {
        return NGX_OK;
    }

    setting->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (setting->value == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = setting->value;

    return ngx_http_compile_complex_value(&ccv);
}
