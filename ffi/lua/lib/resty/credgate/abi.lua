-- The declarations of include/credgate.h for LuaJIT. Generated from ffi/src
-- by `tests/run.sh header --update`. Do not edit.

local ffi = require "ffi"

-- A process may load two copies of this module, but a struct can be declared
-- only once.
if not pcall(ffi.typeof, "credgate_gate") then
    ffi.cdef [[
typedef struct credgate_engine credgate_engine;
typedef struct credgate_error credgate_error;
typedef struct credgate_gate credgate_gate;
typedef struct credgate_queue credgate_queue;
typedef struct credgate_header_name {
    uint32_t len;
    const char *data;
} credgate_header_name;
typedef struct credgate_string {
    const char *data;
    size_t len;
} credgate_string;
typedef struct credgate_request {
    uint32_t struct_size;
    const char *method;
    size_t method_len;
    const char *authorization;
    size_t authorization_len;
    const char *query;
    size_t query_len;
    const char *content_type;
    size_t content_type_len;
    const char *body;
    size_t body_len;
    const struct credgate_string *args;
    size_t args_len;
    size_t arg_size;
    const char *client_id;
    size_t client_id_len;
    const char *client_secret;
    size_t client_secret_len;
    const char *peer;
    size_t peer_len;
    const char *traceparent;
    size_t traceparent_len;
    const char *client_id_header;
    size_t client_id_header_len;
    const char *client_secret_header;
    size_t client_secret_header_len;
    uint32_t repeated_header;
} credgate_request;
typedef struct credgate_outcome {
    uint32_t struct_size;
    uint32_t http_status;
    uint32_t cache_status;
    uint32_t source;
    int32_t code;
    uint32_t retry_after;
    uint32_t authorization_only;
    const char *client_id;
    size_t client_id_len;
    const char *authorization;
    size_t authorization_len;
    const char *challenge;
    size_t challenge_len;
    const char *content_type;
    size_t content_type_len;
    const char *body;
    size_t body_len;
    const char *detail;
    size_t detail_len;
    const void *owner_rules;
    const void *owner_grant;
    void *owner_texts;
    void *owner_deny;
} credgate_outcome;
typedef struct credgate_header {
    const char *name;
    size_t name_len;
    const char *value;
    size_t value_len;
} credgate_header;
typedef struct credgate_completion {
    uint32_t struct_size;
    void *user_data;
    struct credgate_outcome *outcome;
} credgate_completion;
typedef struct credgate_client {
    const char *client_id;
    size_t client_id_len;
    uint64_t allowed;
    uint64_t denied;
} credgate_client;
typedef struct credgate_record {
    uint64_t time;
    const char *text;
    size_t text_len;
    uint32_t level;
} credgate_record;
typedef struct credgate_page {
    uint32_t struct_size;
    uint32_t processes;
    uint64_t since;
    const uint64_t *counters;
    size_t counters_len;
    const struct credgate_client *clients;
    size_t clients_len;
    size_t client_size;
    const struct credgate_string *providers;
    size_t providers_len;
    size_t string_size;
    const struct credgate_record *records;
    size_t records_len;
    size_t record_size;
    uint32_t without_engine;
} credgate_page;
uint32_t credgate_abi_version(void);
const char *credgate_version(void);
const char *credgate_status_name(int32_t status);
const char *credgate_cause_name(int32_t code);
const char *credgate_cache_status_name(uint32_t cache_status);
int32_t credgate_error_message(const struct credgate_error *error,
                               const char **out_message,
                               size_t *out_len);
int32_t credgate_error_problem(const struct credgate_error *error,
                               size_t index,
                               const char **out_field,
                               size_t *out_field_len,
                               const char **out_message,
                               size_t *out_message_len);
void credgate_error_free(struct credgate_error *error);
int32_t credgate_header_find(const struct credgate_header_name *headers,
                             size_t count,
                             size_t header_size,
                             const char *name,
                             size_t name_len,
                             size_t *out_index);
int32_t credgate_gate_new(const char *json,
                          size_t json_len,
                          struct credgate_gate **out_gate,
                          struct credgate_error **out_error);
int32_t credgate_config_fields(const char **out_json, size_t *out_len);
int32_t credgate_gate_token_endpoint(const struct credgate_gate *gate,
                                     struct credgate_gate **out_gate,
                                     struct credgate_error **out_error);
int32_t credgate_gate_external(const struct credgate_gate *gate,
                               struct credgate_gate **out_gate,
                               struct credgate_error **out_error);
int32_t credgate_gate_wants_body(const struct credgate_gate *gate,
                                 const struct credgate_request *request,
                                 int64_t content_length,
                                 bool *out_wants);
int32_t credgate_gate_wants_traceparent(const struct credgate_gate *gate,
                                        bool *out_wants);
int32_t credgate_gate_presented_client_id(const struct credgate_gate *gate,
                                          const struct credgate_request *request,
                                          char *out,
                                          size_t capacity,
                                          size_t *out_len);
int32_t credgate_gate_timeout(const struct credgate_gate *gate,
                              uint32_t *out_milliseconds);
int32_t credgate_gate_config(const struct credgate_gate *gate,
                             const char **out_json,
                             size_t *out_len);
int32_t credgate_gate_warning(const struct credgate_gate *gate,
                              size_t index,
                              const char **out_text,
                              size_t *out_len);
int32_t credgate_gate_searches_requests(const struct credgate_gate *gate,
                                        bool *out_searches);
int32_t credgate_gate_arg(const struct credgate_gate *gate,
                          size_t index,
                          const char **out_name,
                          size_t *out_len);
int32_t credgate_gate_credential_header(const struct credgate_gate *gate,
                                        size_t index,
                                        const char **out_name,
                                        size_t *out_len);
void credgate_gate_free(struct credgate_gate *gate);
int32_t credgate_gate_deny(const struct credgate_gate *gate,
                           int32_t code,
                           struct credgate_outcome *outcome);
int32_t credgate_gate_bypass(const struct credgate_gate *gate,
                             struct credgate_outcome *outcome);
int32_t credgate_outcome_headers(struct credgate_outcome *outcome,
                                 size_t first,
                                 struct credgate_header *headers,
                                 size_t capacity,
                                 size_t header_size,
                                 size_t *out_count);
int32_t credgate_outcome_claim(struct credgate_outcome *outcome,
                               const char *name,
                               size_t name_len,
                               const char **out_value,
                               size_t *out_len);
int32_t credgate_outcome_expires_in(const struct credgate_outcome *outcome,
                                    uint64_t *out_seconds);
int32_t credgate_outcome_upstream_status(const struct credgate_outcome *outcome,
                                         const struct credgate_engine *engine,
                                         uint32_t http_status,
                                         bool *out_dropped);
int32_t credgate_outcome_token_response(struct credgate_outcome *outcome,
                                        const char **out_json,
                                        size_t *out_len);
void credgate_outcome_release(struct credgate_outcome *outcome);
int32_t credgate_engine_new(const char *json,
                            size_t json_len,
                            struct credgate_engine **out_engine,
                            struct credgate_error **out_error);
int32_t credgate_engine_check(const char *json,
                              size_t json_len,
                              struct credgate_error **out_error);
void credgate_engine_free(struct credgate_engine *engine);
int32_t credgate_queue_new(const struct credgate_engine *engine,
                           struct credgate_queue **out_queue,
                           struct credgate_error **out_error);
int32_t credgate_queue_fd(const struct credgate_queue *queue, int *out_fd);
int32_t credgate_queue_listen(const struct credgate_queue *queue,
                              char *out_path,
                              size_t capacity,
                              size_t *out_len,
                              struct credgate_error **out_error);
int32_t credgate_queue_accept(const struct credgate_queue *queue,
                              struct credgate_error **out_error);
int32_t credgate_queue_hang_up(const struct credgate_queue *queue);
size_t credgate_doorbells(void);
int32_t credgate_authenticate_at_once(const struct credgate_gate *gate,
                                      const struct credgate_queue *queue,
                                      const struct credgate_request *request,
                                      struct credgate_outcome *outcome);
int32_t credgate_authenticate(const struct credgate_gate *gate,
                              const struct credgate_queue *queue,
                              const struct credgate_request *request,
                              void *user_data,
                              struct credgate_outcome *outcome,
                              uint64_t *out_ticket);
int32_t credgate_queue_next(const struct credgate_queue *queue,
                            struct credgate_completion *completion);
int32_t credgate_ticket_cancel(const struct credgate_queue *queue,
                               uint64_t ticket);
void credgate_queue_free(struct credgate_queue *queue);
int32_t credgate_gate_hide_query(const struct credgate_gate *gate,
                                 const char *query,
                                 size_t query_len,
                                 char *out,
                                 size_t capacity,
                                 size_t *out_len);
int32_t credgate_gate_hide_body(const struct credgate_gate *gate,
                                const char *content_type,
                                size_t content_type_len,
                                const char *body,
                                size_t body_len,
                                char *out,
                                size_t capacity,
                                size_t *out_len);
int32_t credgate_query_redact(char *query, size_t query_len);
int32_t credgate_text_redact(char *text, size_t text_len);
int32_t credgate_text_contains_secret(const char *text,
                                      size_t text_len,
                                      bool *out_contains);
int32_t credgate_engine_counters(const struct credgate_engine *engine,
                                 uint64_t *out_counters,
                                 size_t count);
int32_t credgate_counters_deny(uint64_t *counters, size_t count, int32_t code);
int32_t credgate_counters_text(const uint64_t *counters,
                               size_t count,
                               char *out,
                               size_t capacity,
                               size_t *out_len);
int32_t credgate_counters_report(const uint64_t *counters,
                                 size_t count,
                                 char *out,
                                 size_t capacity,
                                 size_t *out_len);
int32_t credgate_engine_record(const struct credgate_engine *engine,
                               uint32_t *out_level,
                               char *out,
                               size_t capacity,
                               size_t *out_len);
int32_t credgate_engine_purge(const struct credgate_engine *engine,
                              const struct credgate_gate *gate,
                              const char *client_id,
                              size_t client_id_len);
int32_t credgate_engine_follow_purge(const struct credgate_engine *engine,
                                     const char *client_id,
                                     size_t client_id_len);
int32_t credgate_engine_clients(const struct credgate_engine *engine,
                                size_t first,
                                struct credgate_client *clients,
                                size_t capacity,
                                size_t client_size,
                                size_t *out_count);
int32_t credgate_clients_text(const struct credgate_client *clients,
                              size_t count,
                              size_t client_size,
                              char *out,
                              size_t capacity,
                              size_t *out_len);
int32_t credgate_engine_providers(const struct credgate_engine *engine,
                                  char *out,
                                  size_t capacity,
                                  size_t *out_len);
int32_t credgate_page_html(const struct credgate_page *page,
                           char *out,
                           size_t capacity,
                           size_t *out_len);
int32_t credgate_page_metrics(const struct credgate_page *page,
                              char *out,
                              size_t capacity,
                              size_t *out_len);
int32_t credgate_page_report(const struct credgate_page *page,
                             char *out,
                             size_t capacity,
                             size_t *out_len);
int32_t credgate_page_policy(const char **out_policy, size_t *out_len);
int32_t credgate_page_is_preferred(const char *accept,
                                   size_t accept_len,
                                   bool *out_is_preferred);
]]
end

return {
    ABI_VERSION = 1,
    OK = 0,
    PENDING = 1,
    EMPTY = 2,
    NULL_ARGUMENT = 1001,
    INVALID_ARGUMENT = 1002,
    WRONG_PROCESS = 1003,
    PANIC = 1004,
    BUFFER_TOO_SMALL = 1005,
    SYSTEM = 1006,
    CONFIG_SYNTAX = 2001,
    CONFIG_UNKNOWN_FIELD = 2002,
    CONFIG_VALUE = 2003,
    CONFIG_FILE = 2004,
    NO_CREDENTIALS = 3001,
    EMPTY_CREDENTIAL = 3002,
    MALFORMED_BASIC = 3003,
    MALFORMED_PARAMETER = 3004,
    INCOMPLETE_PAIR = 3005,
    REPEATED_PARAMETER = 3006,
    TWO_PLACES = 3007,
    INVALID_CHARACTERS = 3008,
    TOO_LONG = 3009,
    CLIENT_NOT_ALLOWED = 3010,
    TOKEN_REQUEST_INVALID = 3101,
    UNSUPPORTED_GRANT_TYPE = 3102,
    SCOPE_NOT_ALLOWED = 3103,
    TARGET_NOT_ALLOWED = 3104,
    CREDENTIALS_REFUSED = 4001,
    CLIENT_FORBIDDEN = 4002,
    REQUEST_REFUSED = 4003,
    TOO_MANY_REFUSALS = 4004,
    TOKEN_INVALID = 4005,
    TOKEN_INSUFFICIENT = 4006,
    PROVIDER_UNREACHABLE = 4101,
    PROVIDER_FAILED = 4102,
    PROVIDER_RESPONSE_INVALID = 4103,
    PROVIDER_BUSY = 4104,
    PROVIDER_TIMEOUT = 4105,
    TOKEN_UNVERIFIABLE = 4106,
    PROVIDER_PAUSED = 4107,
    INTERNAL = 5001,
    ENGINE_UNAVAILABLE = 5002,
    OVERLOADED = 5003,
    CACHE_STATUS_NONE = 0,
    CACHE_STATUS_HIT = 1,
    CACHE_STATUS_MISS = 2,
    CACHE_STATUS_JOINED = 3,
    CACHE_STATUS_STALE = 4,
    CACHE_STATUS_NEGATIVE = 5,
    CACHE_STATUS_ANONYMOUS = 6,
    CACHE_STATUS_PREFLIGHT = 7,
    CACHE_STATUS_SHARED = 8,
    SOURCE_NONE = 0,
    SOURCE_HEADER = 1,
    SOURCE_QUERY = 2,
    SOURCE_BODY = 3,
    SOURCE_HOST = 4,
    SOURCE_HEADERS = 5,
    COUNTERS = 138,
    COUNTERS_V1 = 138,
    GAUGES = 8,
    LEVEL_NOTICE = 1,
    LEVEL_WARNING = 2,
    LEVEL_ERROR = 3,
}
