
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


/* determines how a directive's words are checked and written as JSON */

typedef enum {
    NGX_HTTP_CREDGATE_TYPE_STRING = 0,
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


typedef struct {
    ngx_array_t                      *settings;  /* engine options */
    ngx_str_t                         options;   /* the same as JSON */
    ngx_array_t                      *warnings;  /* logged, of strings */

    /* indexes of variables, if any server has a gate */

    ngx_int_t                         authorization_index;
    ngx_int_t                         token_index;
    ngx_int_t                         body_index;  /* NGX_ERROR: not used */
} ngx_http_credgate_main_conf_t;


typedef struct {
    ngx_flag_t                        used;      /* a location has a gate */
} ngx_http_credgate_srv_conf_t;


typedef struct {
    ngx_uint_t                        enable;    /* 0, 1 or OPTIONAL */
    ngx_array_t                      *settings;
    ngx_str_t                         file;      /* of "credgate on" */
    ngx_uint_t                        line;
    credgate_gate                    *gate;
    ngx_array_t                      *host_args; /* of complex values */
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
    credgate_gate                    *gate;
    ngx_http_credgate_state_e         state;
    ngx_int_t                         phase_handler;  /* of this module */

    /* holds copies, because the originals are overwritten */
    credgate_request                  presented;

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
} ngx_http_credgate_ctx_t;


/* access.c: the phase handlers */
ngx_int_t ngx_http_credgate_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_access_precontent_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_access_log_handler(ngx_http_request_t *r);

/* answer.c: the response of a denial */
ngx_int_t ngx_http_credgate_answer_send(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_answer_withdraw(ngx_http_credgate_ctx_t *ctx);

/* body.c: removes credentials from the request body */
ngx_int_t ngx_http_credgate_body_hide(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_body_drop(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_body_discard(ngx_http_credgate_ctx_t *ctx);

/* compile.c: makes a gate from the settings of a location */
char *ngx_http_credgate_compile_gate(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *cglcf);

/* conceal.c: hides secrets from the log formats */
ngx_int_t ngx_http_credgate_conceal_handler(ngx_http_request_t *r);

/* conf.c: the directives of a location, and their inheritance */
void *ngx_http_credgate_conf_create_srv(ngx_conf_t *cf);
void *ngx_http_credgate_conf_create_loc(ngx_conf_t *cf);
char *ngx_http_credgate_conf_merge_loc(ngx_conf_t *cf, void *parent,
    void *child);
char *ngx_http_credgate_conf_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_conf_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ctx.c: the context of a request, from creation to cleanup */
ngx_http_credgate_ctx_t *ngx_http_credgate_ctx_create(ngx_http_request_t *r);
ngx_http_credgate_ctx_t *ngx_http_credgate_ctx_get(ngx_http_request_t *r);

/* denial.c: the log entry of a denied client */
ngx_int_t ngx_http_credgate_denial_client_id(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *id);
void ngx_http_credgate_denial_log(ngx_http_credgate_ctx_t *ctx);

/* engine.c: the engine and the queue of this worker */
ngx_int_t ngx_http_credgate_engine_open(ngx_cycle_t *cycle, int *fd);
void ngx_http_credgate_engine_close(void);
credgate_engine *ngx_http_credgate_engine_get(void);
credgate_queue *ngx_http_credgate_engine_queue(void);
void ngx_http_credgate_engine_log(ngx_log_t *log);

/* error.c: the lines of a library error, and the settings they are about */
const char *ngx_http_credgate_error_text(credgate_error *error,
    int32_t status, size_t *len);
ngx_uint_t ngx_http_credgate_error_next(const char **text, size_t *len,
    ngx_str_t *line);
ngx_uint_t ngx_http_credgate_error_setting(ngx_array_t *settings,
    ngx_str_t *line);

/* headers.c: sets and removes request headers for the upstream */
ngx_int_t ngx_http_credgate_headers_set(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_headers_clear(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_headers_remove_authorization(
    ngx_http_credgate_ctx_t *ctx);

/* json.c: writes settings as JSON */
ngx_int_t ngx_http_credgate_json_write(ngx_pool_t *pool,
    ngx_array_t *settings, ngx_uint_t optional, ngx_str_t *json);

/* log.c: keeps secrets out of the logs of all servers */
ngx_int_t ngx_http_credgate_log_init(ngx_conf_t *cf);
ngx_int_t ngx_http_credgate_log_post_read_handler(ngx_http_request_t *r);

/* memory.c: overwrites secrets in nginx's buffers */
void ngx_http_credgate_memory_overwrite_authorization(
    ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_memory_overwrite_query(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query);
ngx_uint_t ngx_http_credgate_memory_within(ngx_str_t *part, u_char *start,
    u_char *end);
void ngx_http_credgate_memory_wipe_body(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_memory_wipe_preface(ngx_http_request_t *r);
void ngx_http_credgate_memory_wipe_later(ngx_http_request_t *r);
void ngx_http_credgate_memory_wipe_received(void);

/* operate.c: the locations for metrics, report and purge */
char *ngx_http_credgate_operate_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_operate_report(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_operate_purge(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* options.c: checks the engine options and their files in the master */
void *ngx_http_credgate_options_create_main(ngx_conf_t *cf);
char *ngx_http_credgate_options_init_main(ngx_conf_t *cf, void *conf);
ngx_int_t ngx_http_credgate_options_init_module(ngx_cycle_t *cycle);

/* outcome.c: replaces the outcome in a context */
void ngx_http_credgate_outcome_deny(ngx_http_credgate_ctx_t *ctx,
    int32_t code);
ngx_int_t ngx_http_credgate_outcome_keep(ngx_http_credgate_ctx_t *ctx);

/* present.c: presents the request to the library */
ngx_int_t ngx_http_credgate_present_request(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_present_args(ngx_http_credgate_ctx_t *ctx);

/* query.c: removes credentials from the query string */
ngx_int_t ngx_http_credgate_query_redact(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_query_hide(ngx_http_credgate_ctx_t *ctx);

/* read.c: reads the request body */
ngx_int_t ngx_http_credgate_read_init(ngx_conf_t *cf);
ngx_int_t ngx_http_credgate_read_body(ngx_http_credgate_ctx_t *ctx);

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

/* worker.c: start and exit of a worker, its events and its timer */
ngx_int_t ngx_http_credgate_worker_init_process(ngx_cycle_t *cycle);
void ngx_http_credgate_worker_exit_process(ngx_cycle_t *cycle);

/* zone.c: counters and purges in memory that the workers share */
ngx_int_t ngx_http_credgate_zone_add(ngx_conf_t *cf);
void ngx_http_credgate_zone_enter(void);
void ngx_http_credgate_zone_leave(credgate_engine *engine);
void ngx_http_credgate_zone_publish(credgate_engine *engine);
ngx_int_t ngx_http_credgate_zone_sum(uint64_t *counters);
void ngx_http_credgate_zone_announce_purge(ngx_str_t *client_id);
void ngx_http_credgate_zone_follow_purges(credgate_engine *engine);


extern ngx_module_t  ngx_http_credgate_module;


#endif /* _NGX_HTTP_CREDGATE_H_INCLUDED_ */
