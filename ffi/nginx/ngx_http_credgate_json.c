
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static u_char *ngx_http_credgate_json_list(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field, ngx_str_t *name, ngx_uint_t arg);
static u_char *ngx_http_credgate_json_string(u_char *p, ngx_str_t *text);


/* the settings as the gate's configuration */

ngx_int_t
ngx_http_credgate_json(ngx_pool_t *pool, ngx_array_t *settings,
    ngx_str_t *json)
{
    u_char                       *p;
    size_t                        len;
    ngx_uint_t                    i, pairs;
    ngx_http_credgate_field_t    *field;
    ngx_http_credgate_setting_t  *setting;

    len = sizeof("{}");
    setting = settings->elts;

    for (i = 0; i < settings->nelts; i++) {
        field = setting[i].field;

        len += field->name.len + field->values.len + NGX_INT_T_LEN
               + 6 * setting[i].args[1].len + sizeof("\"\":[\"\"],") * 2;

        if (field->type == NGX_HTTP_CREDGATE_PAIR) {
            len += 6 * setting[i].args[2].len;
        }
    }

    json->data = ngx_pnalloc(pool, len);
    if (json->data == NULL) {
        return NGX_ERROR;
    }

    p = json->data;
    *p++ = '{';
    pairs = 0;

    for (i = 0; i < settings->nelts; i++) {
        field = setting[i].field;

        if (field->type == NGX_HTTP_CREDGATE_PAIR) {

            /* all pairs of a field make two lists */

            if (pairs++) {
                continue;
            }

            p = ngx_http_credgate_json_list(p, settings, field, &field->name,
                                            1);
            *p++ = ',';
            p = ngx_http_credgate_json_list(p, settings, field,
                                            &field->values, 2);
            *p++ = ',';
            continue;
        }

        p = ngx_http_credgate_json_string(p, &field->name);
        *p++ = ':';

        switch (field->type) {

        case NGX_HTTP_CREDGATE_FLAG:
            p = ngx_cpymem(p, setting[i].args[1].len == 2 ? "true" : "false",
                           setting[i].args[1].len == 2 ? 4 : 5);
            break;

        case NGX_HTTP_CREDGATE_MSEC:
            p = ngx_sprintf(p, "%i", ngx_parse_time(&setting[i].args[1], 0));
            break;

        default:
            p = ngx_http_credgate_json_string(p, &setting[i].args[1]);
        }

        *p++ = ',';
    }

    /* instead of the last comma */
    p[-1] = '}';

    json->len = p - json->data;

    return NGX_OK;
}


static u_char *
ngx_http_credgate_json_list(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field, ngx_str_t *name, ngx_uint_t arg)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    p = ngx_http_credgate_json_string(p, name);
    *p++ = ':';
    *p++ = '[';

    setting = settings->elts;

    for (i = 0; i < settings->nelts; i++) {
        if (setting[i].field == field) {
            p = ngx_http_credgate_json_string(p, &setting[i].args[arg]);
            *p++ = ',';
        }
    }

    p[-1] = ']';

    return p;
}


static u_char *
ngx_http_credgate_json_string(u_char *p, ngx_str_t *text)
{
    size_t  i;
    u_char  c;

    *p++ = '"';

    for (i = 0; i < text->len; i++) {
        c = text->data[i];

        if (c < 0x20) {
            p = ngx_sprintf(p, "\\u%04xd", (int) c);
            continue;
        }

        if (c == '"' || c == '\\') {
            *p++ = '\\';
        }

        *p++ = c;
    }

    *p++ = '"';

    return p;
}
