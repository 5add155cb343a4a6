
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static ngx_uint_t ngx_http_credgate_json_is_first(
    ngx_http_credgate_setting_t *all, ngx_uint_t i);
static u_char *ngx_http_credgate_json_value(u_char *p,
    ngx_http_credgate_setting_t *setting);
static u_char *ngx_http_credgate_json_pairs(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field);
static u_char *ngx_http_credgate_json_files(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field);
static u_char *ngx_http_credgate_json_end(u_char *p);
static u_char *ngx_http_credgate_json_headers(u_char *p,
    ngx_array_t *settings, ngx_http_credgate_field_t *field);
static u_char *ngx_http_credgate_json_strings(u_char *p, ngx_str_t *text,
    ngx_uint_t n);
static u_char *ngx_http_credgate_json_string(u_char *p, ngx_str_t *text);


ngx_int_t
ngx_http_credgate_json_write(ngx_pool_t *pool, ngx_array_t *settings,
    ngx_uint_t optional, ngx_str_t *json)
{
    u_char                       *p;
    size_t                        len;
    ngx_uint_t                    i, j;
    ngx_http_credgate_field_t    *field;
    ngx_http_credgate_setting_t  *setting;

    len = sizeof("{\"anonymous\":true,}");
    setting = settings->elts;

    for (i = 0; i < settings->nelts; i++) {
        len += 2 * setting[i].field->name.len + NGX_INT_T_LEN
               + sizeof("\"_names\":[],\"_values\":[]{\"header\":,\"path\":}")
               + setting[i].field->name.len + sizeof("\"_host\":[],");

        for (j = 1; j < setting[i].nwords; j++) {
            len += 6 * setting[i].words[j].len + sizeof("\"\",");
        }
    }

    json->data = ngx_pnalloc(pool, len);
    if (json->data == NULL) {
        return NGX_ERROR;
    }

    p = json->data;
    *p++ = '{';

    if (optional) {
        p = ngx_cpymem(p, "\"anonymous\":true,",
                       sizeof("\"anonymous\":true,") - 1);
    }

    for (i = 0; i < settings->nelts; i++) {
        field = setting[i].field;

        if (!ngx_http_credgate_json_is_first(setting, i)) {
            continue;
        }

        switch (field->type) {

        case NGX_HTTP_CREDGATE_TYPE_PAIRS:
        case NGX_HTTP_CREDGATE_TYPE_ARGS:
            p = ngx_http_credgate_json_pairs(p, settings, field);
            break;

        case NGX_HTTP_CREDGATE_TYPE_FILES:
            p = ngx_http_credgate_json_files(p, settings, field);
            break;

        case NGX_HTTP_CREDGATE_TYPE_HEADERS:
            p = ngx_http_credgate_json_headers(p, settings, field);
            break;

        default:
            p = ngx_http_credgate_json_string(p, &field->name);
            *p++ = ':';
            p = ngx_http_credgate_json_value(p, &setting[i]);
        }

        *p++ = ',';
    }

    /* replaces the last comma */
    p[-1] = '}';

    json->len = p - json->data;

    return NGX_OK;
}


/* a repeated field is written once, in place of its first setting */

static ngx_uint_t
ngx_http_credgate_json_is_first(ngx_http_credgate_setting_t *all, ngx_uint_t i)
{
    ngx_uint_t  j;

    for (j = 0; j < i; j++) {
        if (all[j].field == all[i].field) {
            return 0;
        }
    }

    return 1;
}


static u_char *
ngx_http_credgate_json_value(u_char *p, ngx_http_credgate_setting_t *setting)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    value = &setting->words[1];

    switch (setting->field->type) {

    case NGX_HTTP_CREDGATE_TYPE_FLAG:
        return (value->len == 2) ? ngx_cpymem(p, "true", 4)
                                 : ngx_cpymem(p, "false", 5);

    case NGX_HTTP_CREDGATE_TYPE_MSEC:
        return ngx_sprintf(p, "%i", ngx_parse_time(value, 0));

    case NGX_HTTP_CREDGATE_TYPE_SEC:
        return ngx_sprintf(p, "%i", ngx_parse_time(value, 1));

    case NGX_HTTP_CREDGATE_TYPE_SIZE:
        return ngx_sprintf(p, "%z", ngx_parse_size(value));

    case NGX_HTTP_CREDGATE_TYPE_NUMBER:
        return ngx_cpymem(p, value->data, value->len);

    case NGX_HTTP_CREDGATE_TYPE_NUMBERS:
        *p++ = '[';

        for (i = 1; i < setting->nwords; i++) {
            p = ngx_cpymem(p, setting->words[i].data, setting->words[i].len);
            *p++ = ',';
        }

        p[-1] = ']';
        return p;

    case NGX_HTTP_CREDGATE_TYPE_LIST:
    case NGX_HTTP_CREDGATE_TYPE_PATHS:
        return ngx_http_credgate_json_strings(p, value, setting->nwords - 1);

    default:
        return ngx_http_credgate_json_string(p, value);
    }
}


/*
 * Writes two lists instead of an object, because a name may occur twice.  ARGS
 * have a third list: the names whose values contain variables.
 */

static u_char *
ngx_http_credgate_json_pairs(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field)
{
    ngx_uint_t                    i, word;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;

    for (word = 1; word <= 2; word++) {
        p = ngx_sprintf(p, "\"%V_%s\":[", &field->name,
                        word == 1 ? "names" : "values");

        for (i = 0; i < settings->nelts; i++) {
            if (setting[i].field == field && setting[i].value == NULL) {
                p = ngx_http_credgate_json_string(p, &setting[i].words[word]);
                *p++ = ',';
            }
        }

        p = ngx_http_credgate_json_end(p);
        *p++ = ',';
    }

    if (field->type == NGX_HTTP_CREDGATE_TYPE_PAIRS) {
        return p - 1;
    }

    p = ngx_sprintf(p, "\"%V_host\":[", &field->name);

    for (i = 0; i < settings->nelts; i++) {
        if (setting[i].field == field && setting[i].value) {
            p = ngx_http_credgate_json_string(p, &setting[i].words[1]);
            *p++ = ',';
        }
    }

    return ngx_http_credgate_json_end(p);
}


/* the library refuses an object with a repeated name */

static u_char *
ngx_http_credgate_json_files(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;

    p = ngx_sprintf(p, "\"%V\":{", &field->name);

    for (i = 0; i < settings->nelts; i++) {
        if (setting[i].field == field) {
            p = ngx_http_credgate_json_string(p, &setting[i].words[1]);
            *p++ = ':';
            p = ngx_http_credgate_json_string(p, &setting[i].words[2]);
            *p++ = ',';
        }
    }

    p[-1] = '}';

    return p;
}


/* closes a list, which may be empty */

static u_char *
ngx_http_credgate_json_end(u_char *p)
{
    if (p[-1] == ',') {
        p--;
    }

    *p++ = ']';

    return p;
}


static u_char *
ngx_http_credgate_json_headers(u_char *p, ngx_array_t *settings,
    ngx_http_credgate_field_t *field)
{
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;

    p = ngx_sprintf(p, "\"%V\":[", &field->name);

    for (i = 0; i < settings->nelts; i++) {

        if (setting[i].field != field) {
            continue;
        }

        p = ngx_cpymem(p, "{\"header\":", sizeof("{\"header\":") - 1);
        p = ngx_http_credgate_json_string(p, &setting[i].words[1]);
        p = ngx_cpymem(p, ",\"path\":", sizeof(",\"path\":") - 1);
        p = ngx_http_credgate_json_strings(p, &setting[i].words[2],
                                           setting[i].nwords - 2);
        *p++ = '}';
        *p++ = ',';
    }

    p[-1] = ']';

    return p;
}


static u_char *
ngx_http_credgate_json_strings(u_char *p, ngx_str_t *text, ngx_uint_t n)
{
    ngx_uint_t  i;

    *p++ = '[';

    for (i = 0; i < n; i++) {
        p = ngx_http_credgate_json_string(p, &text[i]);
        *p++ = ',';
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
