
/*
 * Copyright (C) Credgate authors
 */


#ifndef _NGX_HTTP_CREDGATE_H_INCLUDED_
#define _NGX_HTTP_CREDGATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <credgate.h>


#define NGX_HTTP_CREDGATE_OPTIONAL  2
#define NGX_HTTP_CREDGATE_DRY_RUN   3

#define NGX_HTTP_CREDGATE_TOKEN     1
#define NGX_HTTP_CREDGATE_CHECK     2


/* determines how a directive's words are checked and written as JSON */

typedef enum {
    NGX_HTTP_CREDGATE_TYPE_STRING = 0,
    NGX_HTTP_CREDGATE_TYPE_VALUE,     /* a string that takes variables */
    NGX_HTTP_CREDGATE_TYPE_PATH,
    NGX_HTTP_CREDGATE_TYPE_PATHS,
    NGX_HTTP_CREDGATE_TYPE_STORE,     /* a URL, or "sqlite:" and a path */
    NGX_HTTP_CREDGATE_TYPE_FLAG,
    NGX_HTTP_CREDGATE_TYPE_MSEC,
    NGX_HTTP_CREDGATE_TYPE_SEC,
    NGX_HTTP_CREDGATE_TYPE_SIZE,
    NGX_HTTP_CREDGATE_TYPE_NUMBER,
    NGX_HTTP_CREDGATE_TYPE_LIST,      /* of strings */
    NGX_HTTP_CREDGATE_TYPE_NUMBERS,
    NGX_HTTP_CREDGATE_TYPE_PAIRS,     /* a name and a value, repeatable */
    NGX_HTTP_CREDGATE_TYPE_FILES,     /* a name and a path, repeatable */
    NGX_HTTP_CREDGATE_TYPE_ARGS,      /* PAIRS whose values take variables */
    NGX_HTTP_CREDGATE_TYPE_HEADERS,   /* a header and a claim, repeatable */
    NGX_HTTP_CREDGATE_TYPE_FILE       /* the whole configuration */
} ngx_http_credgate_type_e;


/* a field of the gate's or the engine's JSON, and its type */

typedef struct {
    ngx_http_credgate_type_e          type;
    ngx_str_t                         name;
} ngx_http_credgate_field_t;


/* one occurrence of a directive */

typedef struct {
    ngx_http_credgate_field_t        *field;
    ngx_str_t                        *words;     /* [0] is the name */
    ngx_uint_t                        nwords;
    ngx_http_complex_value_t         *value;     /* NULL: no variables */
    ngx_str_t                         file;
    ngx_uint_t                        line;
} ngx_http_credgate_setting_t;


/* a block "credgate_provider" */

typedef struct {
    ngx_str_t                         name;
    ngx_array_t                      *settings;
    ngx_str_t                         file;
    ngx_uint_t                        line;
    ngx_flag_t                        used;      /* compiled in a location */
} ngx_http_credgate_provider_t;


typedef struct {
    ngx_array_t                      *settings;  /* engine options */
    ngx_str_t                         options;   /* the same as JSON */
    ngx_array_t                      *providers;
    ngx_array_t                      *warnings;  /* logged, of strings */
    ngx_array_t                      *unguarded; /* locations to check */
    ngx_shm_zone_t                   *zone;
    size_t                            zone_size;
    ngx_uint_t                        metrics_clients;
    ngx_int_t                         remote_user;  /* variable's index */
    unsigned                          store_set:1;  /* or "off" */
    unsigned                          endpoints:1;  /* a location has one */

    /* indexes of variables, if any server has a gate */

    ngx_int_t                         authorization_index;
    ngx_int_t                         token_index;
    ngx_int_t                         body_index;  /* NGX_ERROR: not used */
    ngx_array_t                      *secret_headers; /* NULL: none */
} ngx_http_credgate_main_conf_t;


typedef struct {
    ngx_flag_t                        used;      /* a location has a gate */
} ngx_http_credgate_srv_conf_t;


/* a gate compiled for a location */

typedef struct {
    ngx_str_t                         provider;  /* empty: no provider */
    ngx_array_t                      *settings;
    credgate_gate                    *handle;
    ngx_array_t                      *host_args; /* of complex values */
    bool                              traceparent;  /* is forwarded */
    ngx_http_complex_value_t         *client_id; /* NULL: no variables */
    ngx_http_complex_value_t         *client_secret;
    ngx_str_t                        *headers;   /* of id and secret */
    ngx_uint_t                        denies;    /* for lack of a provider */
    ngx_uint_t                        plain;     /* nothing to evaluate */
    ngx_uint_t                        guarded;   /* requests are searched */
} ngx_http_credgate_gate_t;


typedef struct {
    ngx_uint_t                        enable;    /* 0, 1, OPTIONAL, DRY_RUN */
    ngx_uint_t                        endpoint;  /* 0, TOKEN, CHECK */
    ngx_flag_t                        access;    /* decides in that phase */
    ngx_str_t                         file;      /* of "credgate on" */
    ngx_uint_t                        line;

    ngx_array_t                      *settings;  /* override the provider's */
    ngx_array_t                      *outer;     /* the provider overrides */
    ngx_str_t                         provider;  /* a name or a variable */
    ngx_int_t                         variable;  /* its index, or UNSET */
    ngx_str_t                         provider_file;
    ngx_uint_t                        provider_line;

    ngx_array_t                      *gates;
    ngx_flag_t                        purge_remote;
} ngx_http_credgate_loc_conf_t;


typedef enum {
    NGX_HTTP_CREDGATE_STATE_START = 0,
    NGX_HTTP_CREDGATE_STATE_READING,
    NGX_HTTP_CREDGATE_STATE_WAITING,
    NGX_HTTP_CREDGATE_STATE_DONE
} ngx_http_credgate_state_e;


typedef struct {
    ngx_http_request_t               *request;
    ngx_pool_t                       *pool;      /* the request's own */
    ngx_http_credgate_gate_t         *gate;
    ngx_http_credgate_state_e         state;
    ngx_int_t                         phase_handler;  /* of this module */

    /* holds copies, because the originals are overwritten */
    credgate_request                  presented;
    ngx_str_t                        *headers;   /* the presented ones */

    ngx_table_elt_t                  *authorization; /* for the upstream */
    ngx_table_elt_t                  *challenge;     /* of a denial */
    ngx_table_elt_t                  *retry_after;   /* of a denial */
    ngx_str_t                         preread;   /* body read with header */
    off_t                             body_received;

    credgate_outcome                  outcome;
    uint64_t                          ticket;
    ngx_event_t                       timer;
    ngx_msec_t                        started;   /* of the wait */
    ngx_msec_t                        waited;    /* its duration */

    unsigned                          body_read:1;
    unsigned                          body_limited:1;
    unsigned                          body_hidden:1;
    unsigned                          applied:1;     /* headers are set */
    unsigned                          logged:1;      /* the denial */
    unsigned                          no_store:1;    /* is in the response */
    unsigned                          dry_run:1;     /* of its location */
    unsigned                          bypassed:1;    /* no gate decides */
} ngx_http_credgate_ctx_t;


/* writes a page in one of its formats */

typedef int32_t (*ngx_http_credgate_write_pt)(const credgate_page *page,
    char *out, size_t capacity, size_t *out_len);


/* access.c: the phase handlers */
ngx_int_t ngx_http_credgate_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_access_log_handler(ngx_http_request_t *r);

/* answer.c: the response of a denial */
ngx_int_t ngx_http_credgate_answer_send(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_answer_withdraw(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_answer_add_no_store(ngx_http_credgate_ctx_t *ctx,
    ngx_uint_t endpoint);
ngx_table_elt_t *ngx_http_credgate_answer_add_header(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);

/* body.c: removes credentials from the request body */
ngx_int_t ngx_http_credgate_body_hide(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_body_drop(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_body_discard(ngx_http_credgate_ctx_t *ctx);

/* bypass.c: the precontent phase, for requests that no gate has allowed */
ngx_int_t ngx_http_credgate_bypass_init(ngx_conf_t *cf);
ngx_int_t ngx_http_credgate_bypass_handler(ngx_http_request_t *r);

/* clients.c: the requests of each client in all workers */
size_t ngx_http_credgate_clients_size(ngx_uint_t max);
void *ngx_http_credgate_clients_create(ngx_slab_pool_t *shpool);
void ngx_http_credgate_clients_open(ngx_slab_pool_t *shpool, void *shared,
    ngx_uint_t max, ngx_log_t *log);
void ngx_http_credgate_clients_publish(credgate_engine *engine);
void ngx_http_credgate_clients_deny(void);
ngx_int_t ngx_http_credgate_clients_list(ngx_pool_t *pool,
    credgate_client **list, size_t *count);

/* compile.c: makes a gate from settings, for the "credgate" of a location */
char *ngx_http_credgate_compile_gate(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate);
ngx_int_t ngx_http_credgate_compile_log_warning(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate,
    const char *text, size_t len);

/* conceal.c: hides secrets from the log formats */
ngx_int_t ngx_http_credgate_conceal_handler(ngx_http_request_t *r);

/* conf.c: the directives of a location */
void *ngx_http_credgate_conf_create_srv(ngx_conf_t *cf);
void *ngx_http_credgate_conf_create_loc(ngx_conf_t *cf);
char *ngx_http_credgate_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_conf_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_conf_add(ngx_conf_t *cf,
    ngx_http_credgate_field_t *field, ngx_array_t **settings);
ngx_int_t ngx_http_credgate_conf_override(ngx_conf_t *cf, ngx_array_t *inner,
    ngx_array_t *outer, ngx_array_t **merged);

/* counters.c: the counters and providers of all workers */
void *ngx_http_credgate_counters_create(ngx_slab_pool_t *shpool);
void ngx_http_credgate_counters_open(ngx_slab_pool_t *shpool, void *shared);
void ngx_http_credgate_counters_publish(credgate_engine *engine,
    ngx_log_t *log);
void ngx_http_credgate_counters_note_without_engine(ngx_log_t *log);
void ngx_http_credgate_counters_deny(int32_t code);
void ngx_http_credgate_counters_leave(credgate_engine *engine);
ngx_int_t ngx_http_credgate_counters_sum(uint64_t *counters);
ngx_int_t ngx_http_credgate_counters_page(ngx_pool_t *pool,
    credgate_page *page);

/* ctx.c: the context of a request, from creation to cleanup */
ngx_http_credgate_ctx_t *ngx_http_credgate_ctx_create(ngx_http_request_t *r);
ngx_http_credgate_ctx_t *ngx_http_credgate_ctx_get(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_ctx_restart(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_ctx_abandon(ngx_http_credgate_ctx_t *ctx);

/* denial.c: the log entry of a denied client */
ngx_int_t ngx_http_credgate_denial_client_id(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *id);
void ngx_http_credgate_denial_log(ngx_http_credgate_ctx_t *ctx);

/* endpoint.c: locations that return tokens, or answer other proxies */
ngx_int_t ngx_http_credgate_endpoint_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_endpoint_content_handler(ngx_http_request_t *r);

/* engine.c: the engine and the queue of this worker */
ngx_int_t ngx_http_credgate_engine_open(ngx_cycle_t *cycle, int *fd);
void ngx_http_credgate_engine_close(void);
credgate_engine *ngx_http_credgate_engine_get(void);
credgate_queue *ngx_http_credgate_engine_queue(void);
void ngx_http_credgate_engine_log(ngx_log_t *log);

/* endpoints.c: their directives, and the gates that they derive */
char *ngx_http_credgate_endpoints_token(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_endpoints_check(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_credgate_endpoints_merge(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *prev, ngx_http_credgate_loc_conf_t *conf);
int32_t ngx_http_credgate_endpoints_derive(
    ngx_http_credgate_loc_conf_t *cglcf, credgate_gate **gate,
    credgate_error **error);

/* enter.c: the preaccess phase of a location with a gate */
ngx_int_t ngx_http_credgate_enter_handler(ngx_http_request_t *r);

/* error.c: errors of the library, in the words of the directives */
const char *ngx_http_credgate_error_text(credgate_error *error,
    int32_t status, size_t *len);
ngx_uint_t ngx_http_credgate_error_next(const char **text, size_t *len,
    ngx_str_t *line);
void ngx_http_credgate_error_log(ngx_conf_t *cf, credgate_error *error,
    int32_t status, ngx_array_t *settings, ngx_str_t *file, ngx_uint_t line);
void ngx_http_credgate_error_warn(ngx_conf_t *cf, ngx_str_t *warning,
    ngx_array_t *settings, ngx_str_t *file, ngx_uint_t line);

/* file.c: the gate's configuration, written from settings or read */
char *ngx_http_credgate_file_json(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_array_t *settings,
    ngx_str_t *json);
ngx_http_credgate_setting_t *ngx_http_credgate_file_setting(
    ngx_array_t *settings);

/* gates.c: the gates of a location, and the one that a request gets */
char *ngx_http_credgate_gates_compile(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf);
ngx_int_t ngx_http_credgate_gates_check_unused(ngx_conf_t *cf);
ngx_http_credgate_gate_t *ngx_http_credgate_gates_find(ngx_http_request_t *r);

/* guard.c: warns about gates that ask for nothing, in unguarded locations */
ngx_int_t ngx_http_credgate_guard_add(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf);
ngx_int_t ngx_http_credgate_guard_check(ngx_conf_t *cf);

/* headers.c: sets and removes request headers for the upstream */
ngx_int_t ngx_http_credgate_headers_set(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_headers_clear(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_headers_strip(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_headers_remove_authorization(
    ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_headers_remove(ngx_http_credgate_ctx_t *ctx,
    ngx_table_elt_t *h);
ngx_uint_t ngx_http_credgate_headers_same_name(ngx_str_t *name,
    ngx_str_t *other);

/* json.c: writes settings as JSON */
ngx_int_t ngx_http_credgate_json_write(ngx_pool_t *pool,
    ngx_array_t *settings, ngx_uint_t optional, ngx_str_t *json);

/* log.c: keeps secrets out of the logs of all servers */
ngx_int_t ngx_http_credgate_log_init(ngx_conf_t *cf);
ngx_int_t ngx_http_credgate_log_post_read_handler(ngx_http_request_t *r);

/* memory.c: overwrites secrets in nginx's buffers */
void ngx_http_credgate_memory_overwrite_authorization(
    ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_memory_overwrite_header(ngx_http_credgate_ctx_t *ctx,
    ngx_table_elt_t *h);
void ngx_http_credgate_memory_overwrite_query(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query);
ngx_uint_t ngx_http_credgate_memory_within(ngx_str_t *part, u_char *start,
    u_char *end);
void ngx_http_credgate_memory_wipe_body(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_memory_wipe_preface(ngx_http_request_t *r);
void ngx_http_credgate_memory_wipe_later(ngx_http_request_t *r);
void ngx_http_credgate_memory_wipe_received(void);

/* merge.c: the inheritance of directives */
char *ngx_http_credgate_merge_loc(ngx_conf_t *cf, void *parent, void *child);

/* named.c: the two headers that a gate names for id and secret */
ngx_int_t ngx_http_credgate_named_present(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_named_remove(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_named_wipe(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_named_conceal(ngx_http_request_t *r,
    ngx_array_t *indexes);

/* names.c: the names of the two headers, in the configuration */
ngx_int_t ngx_http_credgate_names_compile(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf, ngx_http_credgate_gate_t *gate);

/* operate.c: the locations for metrics and report, and their contents */
char *ngx_http_credgate_operate_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_operate_report(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_credgate_operate_report_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_operate_write(ngx_http_request_t *r,
    ngx_http_credgate_write_pt write, ngx_str_t *body);
ngx_int_t ngx_http_credgate_operate_send(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *body);
extern ngx_str_t  ngx_http_credgate_json_type;

/* options.c: checks the engine options and their files in the master */
void *ngx_http_credgate_options_create_main(ngx_conf_t *cf);
char *ngx_http_credgate_options_init_main(ngx_conf_t *cf, void *conf);
ngx_int_t ngx_http_credgate_options_prepare(ngx_cycle_t *cycle);

/* outcome.c: replaces the outcome in a context */
void ngx_http_credgate_outcome_deny(ngx_http_credgate_ctx_t *ctx,
    int32_t code);
ngx_int_t ngx_http_credgate_outcome_keep(ngx_http_credgate_ctx_t *ctx);

/* own.c: an id and a secret from variables */
ngx_int_t ngx_http_credgate_own_compile(ngx_conf_t *cf,
    ngx_http_credgate_gate_t *gate, ngx_array_t **settings);
ngx_int_t ngx_http_credgate_own_present(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_own_withdraw(ngx_http_credgate_ctx_t *ctx);

/* page.c: the location for the status page */
char *ngx_http_credgate_page_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* present.c: presents the request to the library */
ngx_int_t ngx_http_credgate_present_request(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_present_args(ngx_http_credgate_ctx_t *ctx);

/* provider.c: blocks of settings, and the directive that names one */
char *ngx_http_credgate_provider_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_provider_use(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_provider_check(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf);
ngx_http_credgate_provider_t *ngx_http_credgate_provider_lookup(
    ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *nearest);

/* purge.c: the location for purges */
char *ngx_http_credgate_purge_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* query.c: removes credentials from the query string */
ngx_int_t ngx_http_credgate_query_redact(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_query_hide(ngx_http_credgate_ctx_t *ctx);

/* read.c: reads the request body */
ngx_int_t ngx_http_credgate_read_init(ngx_conf_t *cf);
ngx_int_t ngx_http_credgate_read_body(ngx_http_credgate_ctx_t *ctx);

/* records.c: the latest log records of all workers */
void *ngx_http_credgate_records_create(ngx_slab_pool_t *shpool);
void ngx_http_credgate_records_open(ngx_slab_pool_t *shpool, void *shared);
void ngx_http_credgate_records_add(uint32_t level, const char *text,
    size_t len);
ngx_int_t ngx_http_credgate_records_list(ngx_pool_t *pool,
    credgate_record **list, size_t *count);

/* redact.c: overwrites secrets in values, and forgets evaluated variables */
void ngx_http_credgate_redact_query(u_char *query, size_t len);
void ngx_http_credgate_redact_text(u_char *text, size_t len);
void ngx_http_credgate_redact_copy(ngx_pool_t *pool, ngx_str_t *value);
ngx_uint_t ngx_http_credgate_redact_is_needed(u_char *text, size_t len);
void ngx_http_credgate_redact_forget(ngx_http_request_t *r,
    ngx_str_t *replaced);
void ngx_http_credgate_redact_variables(ngx_http_request_t *r,
    ngx_uint_t again);
void ngx_http_credgate_redact_authorization(ngx_http_request_t *r,
    ngx_table_elt_t *h);

/* store.c: the directory of an SQLite store, and the store by default */
ngx_int_t ngx_http_credgate_store_add_default(ngx_cycle_t *cycle);
ngx_int_t ngx_http_credgate_store_prepare(ngx_cycle_t *cycle,
    ngx_http_credgate_setting_t *setting);

/* value.c: checks the words of a directive by their type */
char *ngx_http_credgate_value_check(ngx_conf_t *cf,
    ngx_http_credgate_type_e type);
ngx_int_t ngx_http_credgate_value_compile(ngx_conf_t *cf,
    ngx_http_credgate_setting_t *setting);

/* variables.c: $credgate_* */
ngx_int_t ngx_http_credgate_variables_add(ngx_conf_t *cf);

/* wait.c: authenticates; suspends the request, and resumes it */
void ngx_http_credgate_wait_authenticate(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_wait_suspend(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_wait_resume(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_wait_stop(ngx_http_credgate_ctx_t *ctx);

/* words.c: names of directives in place of fields, and the nearest name */
ngx_uint_t ngx_http_credgate_words_is_group(ngx_str_t *written,
    ngx_str_t *directive);
ngx_command_t *ngx_http_credgate_words_directive(ngx_str_t *field);
#define ngx_http_credgate_words_is(word, text)                                \
    ((word)->len == sizeof(text) - 1                                          \
     && ngx_memcmp((word)->data, text, sizeof(text) - 1) == 0)
void ngx_http_credgate_words_next(ngx_str_t *text, ngx_str_t *word);
u_char *ngx_http_credgate_words_translate(u_char *p, ngx_str_t *text,
    ngx_str_t *like);
void ngx_http_credgate_words_nearer(ngx_str_t *word, ngx_str_t *name,
    ngx_str_t *nearest, ngx_uint_t *best);

/* worker.c: start and exit of a worker, its events and its timer */
ngx_uint_t ngx_http_credgate_worker_is_used(ngx_cycle_t *cycle);
ngx_int_t ngx_http_credgate_worker_init_process(ngx_cycle_t *cycle);
void ngx_http_credgate_worker_exit_process(ngx_cycle_t *cycle);

/* zone.c: the memory that the workers share, and purges in it */
char *ngx_http_credgate_zone_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_credgate_zone_add(ngx_conf_t *cf);
void ngx_http_credgate_zone_open(ngx_cycle_t *cycle);
time_t ngx_http_credgate_zone_created(void);
void ngx_http_credgate_zone_announce_purge(ngx_str_t *client_id);
void ngx_http_credgate_zone_follow_purges(credgate_engine *engine);


extern ngx_module_t  ngx_http_credgate_module;


#endif /* _NGX_HTTP_CREDGATE_H_INCLUDED_ */
