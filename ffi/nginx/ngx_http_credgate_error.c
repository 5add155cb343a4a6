
/*
 * Copyright (C) Credgate authors
 */


#include "ngx_http_credgate.h"


static void ngx_http_credgate_error_log_problem(ngx_conf_t *cf,
    ngx_uint_t level, ngx_str_t *problem, ngx_array_t *settings,
    ngx_str_t *file, ngx_uint_t line);
static ngx_http_credgate_setting_t *ngx_http_credgate_error_setting(
    ngx_array_t *settings, ngx_command_t *cmd, ngx_str_t *about);
static ngx_int_t ngx_http_credgate_error_index(ngx_str_t *about);
static u_char *ngx_http_credgate_error_subject(u_char *p, ngx_str_t *about,
    ngx_str_t *name, ngx_http_credgate_setting_t *setting);


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


/* logs each problem with its directive, or with this place if it is missing */

void
ngx_http_credgate_error_log(ngx_conf_t *cf, credgate_error *error,
    int32_t status, ngx_array_t *settings, ngx_str_t *file, ngx_uint_t line)
{
    size_t                        len, n;
    ngx_str_t                     problem;
    const char                   *text;
    ngx_http_credgate_setting_t  *setting;

    static const char             subject[] = "engine options: ";

    text = ngx_http_credgate_error_text(error, status, &len);
    setting = ngx_http_credgate_file_setting(settings);

    while (ngx_http_credgate_error_next(&text, &len, &problem)) {

        if (setting) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "credgate: %V: %V in %V:%ui", &setting->words[1],
                          &problem, &setting->file, setting->line);
            continue;
        }

        n = sizeof(subject) - 1;

        if (problem.len > n && ngx_memcmp(problem.data, subject, n) == 0) {
            problem.data += n;
            problem.len -= n;
        }

        ngx_http_credgate_error_log_problem(cf, NGX_LOG_EMERG, &problem,
                                            settings, file, line);
    }
}


void
ngx_http_credgate_error_warn(ngx_conf_t *cf, ngx_str_t *warning,
    ngx_array_t *settings, ngx_str_t *file, ngx_uint_t line)
{
    ngx_http_credgate_setting_t  *setting;

    setting = ngx_http_credgate_file_setting(settings);

    if (setting) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "credgate: %V: %V in %V:%ui",
                      &setting->words[1], warning, &setting->file,
                      setting->line);
        return;
    }

    ngx_http_credgate_error_log_problem(cf, NGX_LOG_WARN, warning, settings,
                                        file, line);
}


/* the problem begins with its field, as in "field[0]: must be ..." */

static void
ngx_http_credgate_error_log_problem(ngx_conf_t *cf, ngx_uint_t level,
    ngx_str_t *problem, ngx_array_t *settings, ngx_str_t *file,
    ngx_uint_t line)
{
    u_char                       *p;
    ngx_str_t                     text, about, field, *name;
    ngx_command_t                *cmd;
    ngx_http_credgate_setting_t  *setting;

    text.data = ngx_pnalloc(cf->pool, 4 * problem->len + 256);
    if (text.data == NULL) {
        return;
    }

    p = text.data;
    name = NULL;
    about = *problem;

    ngx_http_credgate_words_next(&about, &field);
    cmd = ngx_http_credgate_words_directive(&field);

    if (cmd) {
        name = &cmd->name;
        setting = ngx_http_credgate_error_setting(settings, cmd, &about);

        if (setting) {
            file = &setting->file;
            line = setting->line;
        }

        if (setting && setting->field == cmd->post) {
            name = &setting->words[0];

        } else {
            setting = NULL;
        }

        p = ngx_http_credgate_error_subject(p, &about, name, setting);

    } else {
        about = *problem;
    }

    p = ngx_http_credgate_words_translate(p, &about, name);
    text.len = p - text.data;

    ngx_log_error(level, cf->log, 0, "credgate: %V in %V:%ui", &text, file,
                  line);
}


/*
 * Of a repeated directive, the one with this index or with this first word; of
 * a missing one, another of its group.
 */

static ngx_http_credgate_setting_t *
ngx_http_credgate_error_setting(ngx_array_t *settings, ngx_command_t *cmd,
    ngx_str_t *about)
{
    ngx_int_t                     index;
    ngx_str_t                    *word;
    ngx_uint_t                    i;
    ngx_http_credgate_setting_t  *setting, *found, *group;

    setting = settings->elts;
    found = NULL;
    group = NULL;

    index = ngx_http_credgate_error_index(about);

    for (i = 0; i < settings->nelts; i++) {

        if (setting[i].field != cmd->post) {

            if (ngx_http_credgate_words_is_group(&setting[i].words[0],
                                                 &cmd->name))
            {
                group = &setting[i];
            }

            continue;
        }

        word = &setting[i].words[1];

        if (found == NULL || index-- > 0
            || (about->len > word->len + 3 && about->data[2] == '"'
                && about->data[word->len + 3] == '"'
                && ngx_strncasecmp(about->data + 3, word->data, word->len)
                   == 0))
        {
            found = &setting[i];
        }
    }

    return found ? found : group;
}


/* "[7]" of a field that is a list, or NGX_ERROR */

static ngx_int_t
ngx_http_credgate_error_index(ngx_str_t *about)
{
    u_char  *end;

    if (about->len == 0 || about->data[0] != '[') {
        return NGX_ERROR;
    }

    end = ngx_strlchr(about->data, about->data + about->len, ']');

    return end ? ngx_atoi(about->data + 1, end - about->data - 1) : NGX_ERROR;
}


/* writes the directive in nginx's way, and skips what it replaces */

static u_char *
ngx_http_credgate_error_subject(u_char *p, ngx_str_t *about, ngx_str_t *name,
    ngx_http_credgate_setting_t *setting)
{
    u_char     *s, *last;
    ngx_str_t   rest, word;

    s = about->data;
    last = s + about->len;

    while (s < last && *s != ':' && *s != ' ') {
        s++;
    }

    if (about->data[0] == '[' && setting && setting->nwords > 2
        && (setting->field->type == NGX_HTTP_CREDGATE_TYPE_LIST
            || setting->field->type == NGX_HTTP_CREDGATE_TYPE_PATHS))
    {
        p = ngx_sprintf(p, "value %i of ",
                        ngx_http_credgate_error_index(about) + 1);
    }

    p = ngx_sprintf(p, "\"%V\" directive", name);

    if (s < last && *s == ':') {
        s++;
    }

    about->len = last - s;
    about->data = s;

    if (about->len < 2) {
        return p;
    }

    /* a sentence goes on with a verb, and anything else follows a colon */

    rest.data = s + 1;
    rest.len = about->len - 1;

    ngx_http_credgate_words_next(&rest, &word);

    if (word.len == 0 || word.data[0] < 'a' || word.data[0] > 'z'
        || ngx_http_credgate_words_is(&word, "invalid")
        || ngx_http_credgate_words_is(&word, "unknown"))
    {
        *p++ = ':';
    }

    return p;
}
