
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


/* how a directive's words become a value of the gate's configuration */

typedef enum {
    NGX_HTTP_CREDGATE_STRING = 0,
    NGX_HTTP_CREDGATE_PATH,
    NGX_HTTP_CREDGATE_PATHS,          /* a list of them */
    NGX_HTTP_CREDGATE_STORE,          /* a URL, or sqlite: and a path */
    NGX_HTTP_CREDGATE_FLAG,
    NGX_HTTP_CREDGATE_MSEC,
    NGX_HTTP_CREDGATE_SEC,
    NGX_HTTP_CREDGATE_SIZE,
    NGX_HTTP_CREDGATE_NUMBER,
    NGX_HTTP_CREDGATE_LIST,           /* of strings */
    NGX_HTTP_CREDGATE_NUMBERS,        /* a list of numbers */
    NGX_HTTP_CREDGATE_PAIRS,          /* a name and a value, repeated */
    NGX_HTTP_CREDGATE_ARGS,           /* the same, values with variables */
    NGX_HTTP_CREDGATE_HEADERS,        /* a header and a claim, repeated */
    NGX_HTTP_CREDGATE_FILE            /* all of it */
} ngx_http_credgate_type_e;


/* a field of the gate's configuration, as a directive sets it */

typedef struct {
    ngx_http_credgate_type_e          type;
    ngx_str_t                         name;
} ngx_http_credgate_field_t;


typedef struct {
    ngx_http_credgate_field_t        *field;
    ngx_str_t                        *args;      /* the directive's words */
    ngx_uint_t                        nargs;
    ngx_http_complex_value_t         *value;     /* where it has variables */
    ngx_str_t                         file;
    ngx_uint_t                        line;
} ngx_http_credgate_setting_t;


typedef struct {
    ngx_array_t                      *settings;  /* the engine's */
    ngx_str_t                         options;   /* the same as JSON */
} ngx_http_credgate_main_conf_t;


typedef struct {
    ngx_flag_t                        used;
} ngx_http_credgate_srv_conf_t;


typedef struct {
    ngx_uint_t                        enable;    /* or optional */
    ngx_array_t                      *settings;
    ngx_str_t                         file;      /* of "credgate on" */
    ngx_uint_t                        line;
    credgate_gate                    *gate;
    ngx_array_t                      *args;      /* its values, by request */
    ngx_flag_t                        purge_remote;
} ngx_http_credgate_loc_conf_t;


typedef enum {
    NGX_HTTP_CREDGATE_START = 0,
    NGX_HTTP_CREDGATE_READING,
    NGX_HTTP_CREDGATE_WAITING,
    NGX_HTTP_CREDGATE_DONE
} ngx_http_credgate_state_e;


typedef struct {
    ngx_http_request_t               *request;
    ngx_pool_t                       *pool;      /* the request's own */
    credgate_gate                    *gate;
    ngx_http_credgate_state_e         state;
    ngx_int_t                         phase_handler;  /* where it stands */

    /* copies: what it was made of is overwritten */
    credgate_request                  presented;
    ngx_table_elt_t                  *authorization;
    ngx_table_elt_t                  *challenge;     /* of a denial */
    ngx_table_elt_t                  *retry_after;
    ngx_str_t                         preread;   /* of the body */

    credgate_outcome                  outcome;
    uint64_t                          ticket;
    ngx_event_t                       timer;
    ngx_msec_t                        started;   /* to wait, and how long */
    ngx_msec_t                        waited;

    unsigned                          body_read:1;
    unsigned                          body_hidden:1;
    unsigned                          applied:1;     /* it was let in */
    unsigned                          logged:1;
} ngx_http_credgate_ctx_t;


/* configuration */
char *ngx_http_credgate_enable(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
void *ngx_http_credgate_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_credgate_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
char *ngx_http_credgate_compile(ngx_conf_t *cf,
    ngx_http_credgate_loc_conf_t *conf);
const char *ngx_http_credgate_message(credgate_error *error, int32_t status,
    size_t *len);
ngx_uint_t ngx_http_credgate_blame(ngx_array_t *settings, const char *message,
    size_t len);
ngx_int_t ngx_http_credgate_json(ngx_pool_t *pool, ngx_array_t *settings,
    ngx_uint_t optional, ngx_str_t *json);

/* what engines are made with */
void *ngx_http_credgate_create_main_conf(ngx_conf_t *cf);
char *ngx_http_credgate_init_main_conf(ngx_conf_t *cf, void *conf);
ngx_int_t ngx_http_credgate_init_module(ngx_cycle_t *cycle);

/* the worker's engine */
ngx_int_t ngx_http_credgate_init_process(ngx_cycle_t *cycle);
void ngx_http_credgate_exit_process(ngx_cycle_t *cycle);
credgate_queue *ngx_http_credgate_queue(void);
credgate_engine *ngx_http_credgate_get_engine(void);
void ngx_http_credgate_wipe_later(void);

/* what the workers share */
ngx_int_t ngx_http_credgate_add_zone(ngx_conf_t *cf);
void ngx_http_credgate_enter(void);
void ngx_http_credgate_leave(credgate_engine *engine);
void ngx_http_credgate_publish(credgate_engine *engine);
ngx_int_t ngx_http_credgate_sum(uint64_t *counters);
void ngx_http_credgate_announce_purge(ngx_str_t *client_id);
void ngx_http_credgate_follow_purges(credgate_engine *engine);

/* locations for those who operate it */
char *ngx_http_credgate_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_report(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_credgate_purge(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* phases */
ngx_int_t ngx_http_credgate_post_read_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_precontent_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_log_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_abandon(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_stop_waiting(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_authenticate(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_suspend(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_resume(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_deny(ngx_http_credgate_ctx_t *ctx, int32_t code);

/* what is kept of a request, and shown to the library */
ngx_http_credgate_ctx_t *ngx_http_credgate_create_ctx(ngx_http_request_t *r);
ngx_http_credgate_ctx_t *ngx_http_credgate_get_ctx(ngx_http_request_t *r);
ngx_int_t ngx_http_credgate_present_args(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_keep_outcome(ngx_http_credgate_ctx_t *ctx);

/* the request's body */
ngx_int_t ngx_http_credgate_read_body(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_hide_body(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_drop_body(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_wipe_body(ngx_http_credgate_ctx_t *ctx);

/* what is changed in the request */
ngx_int_t ngx_http_credgate_hide_query(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_set_headers(ngx_http_credgate_ctx_t *ctx);
ngx_int_t ngx_http_credgate_empty_headers(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_remove_authorization(ngx_http_credgate_ctx_t *ctx);

/* what is overwritten where it stands */
void ngx_http_credgate_overwrite_authorization(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_overwrite_query(ngx_http_credgate_ctx_t *ctx,
    ngx_str_t *query);
void ngx_http_credgate_redact(u_char *query, size_t len);
ngx_uint_t ngx_http_credgate_within(ngx_str_t *part, u_char *start,
    u_char *end);

/* denials */
ngx_int_t ngx_http_credgate_answer(ngx_http_credgate_ctx_t *ctx);
void ngx_http_credgate_take_back(ngx_http_credgate_ctx_t *ctx);

ngx_int_t ngx_http_credgate_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_credgate_module;


#endif /* _NGX_HTTP_CREDGATE_H_INCLUDED_ */
