
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


#define NGX_HTTP_CREDGATE_PREFIX   "credgate_"
#define NGX_HTTP_CREDGATE_LONGEST  63


static ngx_uint_t ngx_http_credgate_words_distance(ngx_str_t *a,
    ngx_str_t *b);


/* "store" is the group of "store_timeout"; in a block, both lack the prefix */

ngx_uint_t
ngx_http_credgate_words_is_group(ngx_str_t *written, ngx_str_t *directive)
{
    ngx_str_t  name;

    name = *directive;

    if (ngx_strncmp(written->data, NGX_HTTP_CREDGATE_PREFIX,
                    sizeof(NGX_HTTP_CREDGATE_PREFIX) - 1)
        != 0)
    {
        name.data += sizeof(NGX_HTTP_CREDGATE_PREFIX) - 1;
        name.len -= sizeof(NGX_HTTP_CREDGATE_PREFIX) - 1;
    }

    return written->len < name.len && name.data[written->len] == '_'
           && ngx_memcmp(written->data, name.data, written->len) == 0;
}


/* the directive that sets this field, or NULL */

ngx_command_t *
ngx_http_credgate_words_directive(ngx_str_t *field)
{
    ngx_str_t                  *name;
    ngx_command_t              *cmd, *found;
    ngx_http_credgate_field_t  *known;

    found = NULL;

    for (cmd = ngx_http_credgate_module.commands; cmd->name.len; cmd++) {

        if (cmd->set != ngx_http_credgate_conf_set) {
            continue;
        }

        known = cmd->post;
        name = &known->name;

        if (name->len == 0 || name->len > field->len
            || ngx_memcmp(name->data, field->data, name->len) != 0)
        {
            continue;
        }

        if (name->len == field->len) {
            return cmd;
        }

        /* "token_post_args_names" and others are written for one directive */

        if (field->data[name->len] == '_'
            && (known->type == NGX_HTTP_CREDGATE_TYPE_PAIRS
                || known->type == NGX_HTTP_CREDGATE_TYPE_ARGS))
        {
            found = cmd;
        }
    }

    return found;
}


/* takes a word from the beginning of a text; it may be empty */

void
ngx_http_credgate_words_next(ngx_str_t *text, ngx_str_t *word)
{
    u_char  *p;

    word->data = text->data;
    word->len = 0;

    while (word->len < text->len) {
        p = &word->data[word->len];

        if (*p != '_' && (*p < '0' || *p > '9') && (*p < 'a' || *p > 'z')
            && (*p < 'A' || *p > 'Z'))
        {
            break;
        }

        word->len++;
    }

    text->data += word->len;
    text->len -= word->len;
}


/*
 * Writes directives and their values in place of fields and theirs.  A field
 * is recognized by its underscore or the verb before it.  Names have a prefix
 * if "like" has one.  The result has up to four times the length.
 */

u_char *
ngx_http_credgate_words_translate(u_char *p, ngx_str_t *text, ngx_str_t *like)
{
    size_t          n;
    ngx_str_t       rest, word, name;
    ngx_uint_t      quoted, verb, path;
    ngx_command_t  *directive;

    n = sizeof(NGX_HTTP_CREDGATE_PREFIX) - 1;

    if (like == NULL
        || ngx_strncmp(like->data, NGX_HTTP_CREDGATE_PREFIX, n) == 0)
    {
        n = 0;
    }

    rest = *text;
    quoted = 0;
    verb = 0;
    path = 0;

    while (rest.len) {
        ngx_http_credgate_words_next(&rest, &word);

        if (word.len == 0) {
            quoted ^= (*rest.data == '"');
            path = (*rest.data != ' ' && *rest.data != '"'
                    && *rest.data != '(');
            *p++ = *rest.data++;
            rest.len--;
            continue;
        }

        directive = NULL;

        if (!quoted && !path
            && (verb || ngx_strlchr(word.data, word.data + word.len, '_')))
        {
            directive = ngx_http_credgate_words_directive(&word);
        }

        verb = ngx_http_credgate_words_is(&word, "use")
               || ngx_http_credgate_words_is(&word, "requires");

        if (directive) {
            name.data = directive->name.data + n;
            name.len = directive->name.len - n;
            p = ngx_sprintf(p, "\"%V\"", &name);

        } else if (!quoted && ngx_http_credgate_words_is(&word, "true")) {
            p = ngx_cpymem(p, "\"on\"", 4);

        } else if (!quoted && ngx_http_credgate_words_is(&word, "false")) {
            p = ngx_cpymem(p, "\"off\"", 5);

        } else if (!quoted && ngx_http_credgate_words_is(&word, "field")) {
            p = ngx_cpymem(p, "directive", 9);

        } else {
            p = ngx_cpymem(p, word.data, word.len);
        }
    }

    return p;
}


/* sets the nearest name if this one is nearer, and near enough for a typo */

void
ngx_http_credgate_words_nearer(ngx_str_t *word, ngx_str_t *name,
    ngx_str_t *nearest, ngx_uint_t *best)
{
    ngx_uint_t  distance;

    distance = ngx_http_credgate_words_distance(word, name);

    if (distance < *best && 2 * distance <= name->len) {
        *best = distance;
        *nearest = *name;
    }
}


/* the number of characters to insert, to remove or to replace */

static ngx_uint_t
ngx_http_credgate_words_distance(ngx_str_t *a, ngx_str_t *b)
{
    size_t      i, j;
    ngx_uint_t  left, corner, above, row[NGX_HTTP_CREDGATE_LONGEST + 1];

    if (a->len > NGX_HTTP_CREDGATE_LONGEST
        || b->len > NGX_HTTP_CREDGATE_LONGEST)
    {
        return NGX_MAX_INT32_VALUE;
    }

    for (j = 0; j <= b->len; j++) {
        row[j] = j;
    }

    for (i = 0; i < a->len; i++) {
        corner = row[0];
        row[0] = i + 1;

        for (j = 0; j < b->len; j++) {
            above = row[j + 1];
            left = row[j];

            row[j + 1] = corner + (a->data[i] != b->data[j]);
            row[j + 1] = ngx_min(row[j + 1], above + 1);
            row[j + 1] = ngx_min(row[j + 1], left + 1);

            corner = above;
        }
    }

    return row[b->len];
}
