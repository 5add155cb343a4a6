
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


/* the name of the status stands in for an error without a message */

const char *
ngx_http_credgate_error_text(credgate_error *error, int32_t status,
    size_t *len)
{
    const char  *text;

    if (credgate_error_message(error, &text, len) != CREDGATE_OK) {
        text = credgate_status_name(status);
        *len = ngx_strlen(text);
    }

    return text;
}


/* takes the next line of a message: there is one for each problem */

ngx_uint_t
ngx_http_credgate_error_next(const char **text, size_t *len, ngx_str_t *line)
{
    u_char  *end;

    if (*len == 0) {
        return 0;
    }

    line->data = (u_char *) *text;

    end = ngx_strlchr(line->data, line->data + *len, LF);

    if (end == NULL) {
        line->len = *len;
        *len = 0;
        return 1;
    }

    line->len = end - line->data;
    *text += line->len + 1;
    *len -= line->len + 1;

    return 1;
}


/* finds the setting by the name of its field, with which lines begin */

ngx_uint_t
ngx_http_credgate_error_setting(ngx_array_t *settings, ngx_str_t *line)
{
    size_t                        best;
    ngx_str_t                    *name;
    ngx_uint_t                    i, found;
    ngx_http_credgate_setting_t  *setting;

    setting = settings->elts;
    best = 0;
    found = 0;

    for (i = 0; i < settings->nelts; i++) {
        name = &setting[i].field->name;

        if (name->len > best && name->len <= line->len
            && ngx_memcmp(line->data, name->data, name->len) == 0)
        {
            best = name->len;
            found = i;
        }
    }

    return found;
}
