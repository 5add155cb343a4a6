/*
 * credgate.h: exchanges client credentials for tokens at a gateway, caches the
 * tokens and forwards them.
 *
 * Generated from ffi/src by `tests/run.sh header --update`. Do not edit.
 *
 * Conventions. Functions return a status: CREDGATE_OK, CREDGATE_PENDING,
 * CREDGATE_EMPTY, or an error; credgate_status_name returns its name. Outputs
 * are the last parameters, and are written on success only; some functions
 * write *out_len when they return CREDGATE_BUFFER_TOO_SMALL, as their comments
 * say. A string is a pointer and a length in bytes, and is not NUL-terminated
 * unless its comment says so. A NULL pointer means no string. Functions return
 * CREDGATE_NULL_ARGUMENT for a NULL handle; freeing NULL does nothing.
 *
 * Ownership. The library uses the host's strings and structs within the call
 * only. A string that it returns is borrowed: the comment names its owner, and
 * the string lives until the owner is freed or released.
 *
 * Threads and processes. Any thread may use a gate or an engine. Only one
 * thread at a time may call credgate_queue_next for a queue. Loading the
 * library and making a gate start no thread. An engine starts one thread with
 * the first request that needs the provider; that thread blocks all signals
 * and never calls the host. An engine and its queues belong to the process
 * that made them: in a forked child they return CREDGATE_WRONG_PROCESS, and
 * freeing them is safe. A gate may be made before a fork and used after it.
 *
 * Completions. credgate_authenticate returns CREDGATE_OK and the outcome if no
 * exchange is needed: on a cache hit, or if the request has no credentials.
 * Otherwise it returns CREDGATE_PENDING and a ticket. Poll the descriptor of
 * credgate_queue_fd for reading; when it is readable, call credgate_queue_next
 * until it returns CREDGATE_EMPTY. A cancelled ticket never completes, so the
 * host may free the memory that its user_data points to.
 *
 * The end of memory. If an allocation of the library fails, the library ends
 * the process with abort(3), as Rust does, after a line on stderr that holds
 * the size of the request and nothing else. It returns no error, because no
 * code could go on, and it never continues with damaged memory. Failures inside
 * SQLite and TLS are a miss, a denial, or an error. A host that must
 * survive bounds the library instead: see cache_max_bytes, cache_max_entries
 * and max_waiting of credgate_engine_new.
 *
 * Errors. A denial is an outcome for the client, not an error. Errors are for
 * the developers of the host and for its operators. Numbers are never reused.
 * Statuses: from 1001 for misuse of the library and system errors, from 2001
 * for the configuration. Codes of denials: from 3001 for the request, from
 * 4001 for refusals by the provider, from 4101 for its failures, from 5001 for
 * the library.
 *
 * Versions. The soname is the ABI version. A host that loads the library at
 * run time must compare credgate_abi_version() with CREDGATE_ABI_VERSION.
 * Within one ABI version a host may be older or newer than the library:
 * functions and numbers are only added, and structs grow at their end.
 *
 * A struct that begins with struct_size has the size that the host states
 * there, its sizeof. The library reads and writes no byte behind it, treats
 * fields that the host does not have as 0, and leaves bytes that the library
 * does not know untouched; a newer host zeroes its structs first. The elements
 * of an array have the size that is passed with the array: arg_size,
 * header_size, client_size, string_size and record_size. The sizes of version
 * 1 are the minimum; a smaller size is CREDGATE_INVALID_ARGUMENT. Arrays of
 * counters may have any length from CREDGATE_COUNTERS_V1 on; for a shorter one
 * credgate_engine_counters returns CREDGATE_BUFFER_TOO_SMALL, and other
 * functions CREDGATE_INVALID_ARGUMENT.
 */


#ifndef CREDGATE_H
#define CREDGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The version of this ABI, and of the soname.
#define CREDGATE_ABI_VERSION 1

// Success.
#define CREDGATE_OK 0

// The outcome will arrive in the queue.
#define CREDGATE_PENDING 1

// There is nothing to return: no outcome, no further element, no such value.
#define CREDGATE_EMPTY 2

// A required pointer is NULL.
#define CREDGATE_NULL_ARGUMENT 1001

// An argument is invalid: a size below the minimum, a NULL string with a
// length, text that is not UTF-8, an unknown code.
#define CREDGATE_INVALID_ARGUMENT 1002

// The handle was made in another process, before a fork.
#define CREDGATE_WRONG_PROCESS 1003

// The library caught a panic: a defect of the library.
#define CREDGATE_PANIC 1004

// The output does not fit into the capacity.
#define CREDGATE_BUFFER_TOO_SMALL 1005

// The operating system returned an error.
#define CREDGATE_SYSTEM 1006

// The configuration is not a JSON object.
#define CREDGATE_CONFIG_SYNTAX 2001

// The configuration has an unknown field.
#define CREDGATE_CONFIG_UNKNOWN_FIELD 2002

// A field of the configuration has an invalid value.
#define CREDGATE_CONFIG_VALUE 2003

// A file that the configuration names is unusable.
#define CREDGATE_CONFIG_FILE 2004

// The request has no credentials in any place that the gate searches.
#define CREDGATE_NO_CREDENTIALS 3001

// The id or the secret is empty, or the Basic credentials have no colon.
#define CREDGATE_EMPTY_CREDENTIAL 3002

// The value after "Authorization: Basic" is not base64.
#define CREDGATE_MALFORMED_BASIC 3003

// client_id, client_secret or a caller's argument does not decode, or is not a
// string.
#define CREDGATE_MALFORMED_PARAMETER 3004

// The request has only one of client_id and client_secret.
#define CREDGATE_INCOMPLETE_PAIR 3005

// client_id or client_secret is repeated, in any spelling.
#define CREDGATE_REPEATED_PARAMETER 3006

// The request has credentials in two places.
#define CREDGATE_TWO_PLACES 3007

// The id or the secret contains a byte that is not printable ASCII.
#define CREDGATE_INVALID_CHARACTERS 3008

// The id, the secret and the request's arguments together exceed 2,048 bytes.
#define CREDGATE_TOO_LONG 3009

// The client id is not in clients_allowed.
#define CREDGATE_CLIENT_NOT_ALLOWED 3010

// A token endpoint got something else than a form with grant_type, or
// credentials in the query.
#define CREDGATE_TOKEN_REQUEST_INVALID 3101

// A token endpoint got another grant_type than client_credentials.
#define CREDGATE_UNSUPPORTED_GRANT_TYPE 3102

// A token endpoint got another scope than the gate requests.
#define CREDGATE_SCOPE_NOT_ALLOWED 3103

// A token endpoint got another audience or resource than the gate requests.
#define CREDGATE_TARGET_NOT_ALLOWED 3104

// The provider refused these credentials.
#define CREDGATE_CREDENTIALS_REFUSED 4001

// The provider knows the client, but does not grant what the gate requests.
#define CREDGATE_CLIENT_FORBIDDEN 4002

// The provider rejected the token request itself, or the gateway's own client:
// the gate's configuration or the provider is at fault.
#define CREDGATE_REQUEST_REFUSED 4003

// The provider refused too many exchanges of this client, this source address
// or this gate; it is not contacted.
#define CREDGATE_TOO_MANY_REFUSALS 4004

// The client's own token is invalid.
#define CREDGATE_TOKEN_INVALID 4005

// The token lacks a claim that the gate requires.
#define CREDGATE_TOKEN_INSUFFICIENT 4006

// The provider is unreachable, or its certificate is not trusted.
#define CREDGATE_PROVIDER_UNREACHABLE 4101

// The provider responded with 5xx, or closed the connection.
#define CREDGATE_PROVIDER_FAILED 4102

// The provider's response is invalid or must not be used.
#define CREDGATE_PROVIDER_RESPONSE_INVALID 4103

// The provider responded with 429.
#define CREDGATE_PROVIDER_BUSY 4104

// The provider did not respond before the deadline.
#define CREDGATE_PROVIDER_TIMEOUT 4105

// The provider's token does not verify: its signature, issuer or times.
#define CREDGATE_TOKEN_UNVERIFIABLE 4106

// The provider's circuit breaker is open after repeated failures.
#define CREDGATE_PROVIDER_PAUSED 4107

// A defect of the library.
#define CREDGATE_INTERNAL 5001

// The engine is closing or could not be started, or the secret of the
// gateway's own client is unreadable.
#define CREDGATE_ENGINE_UNAVAILABLE 5002

// More requests are waiting than max_waiting allows.
#define CREDGATE_OVERLOADED 5003

// No lookup: the request has no usable credentials.
#define CREDGATE_CACHE_STATUS_NONE 0

// The token was in the token cache.
#define CREDGATE_CACHE_STATUS_HIT 1

// This request caused an exchange.
#define CREDGATE_CACHE_STATUS_MISS 2

// This request waited for the exchange of another request with the same
// credentials.
#define CREDGATE_CACHE_STATUS_JOINED 3

// The token was in the token cache, and its refresh has failed: it is served
// until it expires.
#define CREDGATE_CACHE_STATUS_STALE 4

// The same credentials were refused recently, in this process or in one that
// shares its store.
#define CREDGATE_CACHE_STATUS_NEGATIVE 5

// The request passes without a token, because the gate allows anonymous
// requests.
#define CREDGATE_CACHE_STATUS_ANONYMOUS 6

// The request passes without a token, because the gate ignores OPTIONS.
#define CREDGATE_CACHE_STATUS_PREFLIGHT 7

// The token was in the shared store.
#define CREDGATE_CACHE_STATUS_SHARED 8

// The request is denied, or passes without a token.
#define CREDGATE_SOURCE_NONE 0

// The Authorization header.
#define CREDGATE_SOURCE_HEADER 1

// The query string.
#define CREDGATE_SOURCE_QUERY 2

// The body: a form or a JSON object.
#define CREDGATE_SOURCE_BODY 3

// The host supplied the credentials; there is nothing to hide.
#define CREDGATE_SOURCE_HOST 4

// The two headers that the gate names.
#define CREDGATE_SOURCE_HEADERS 5

// The number of numbers that this header knows.
#define CREDGATE_COUNTERS 138

// The number of numbers in version 1: the minimum for the functions that take
// an array of them.
#define CREDGATE_COUNTERS_V1 138

// The first numbers are gauges. All numbers behind them only grow. Reserved
// numbers are 0; later versions use them, or append theirs at the end. A host
// that adds up several processes keeps the growing numbers of a process that
// has ended, and drops its gauges.
#define CREDGATE_GAUGES 8

// Something works again, or was changed on purpose.
#define CREDGATE_LEVEL_NOTICE 1

// Something needs attention.
#define CREDGATE_LEVEL_WARNING 2

// Something fails for clients.
#define CREDGATE_LEVEL_ERROR 3

// The token cache, the connections to providers and the thread of a process.
//
// Methods: credgate_engine_new, credgate_engine_check,
// credgate_engine_counters, credgate_engine_record, credgate_engine_purge,
// credgate_engine_follow_purge, credgate_engine_clients,
// credgate_engine_providers, credgate_engine_free.
typedef struct credgate_engine credgate_engine;

// The description of an error. It contains no secret.
//
// Methods: credgate_error_message, credgate_error_problem,
// credgate_error_free.
typedef struct credgate_error credgate_error;

// A compiled configuration: the issuer, the places of credentials, the token
// request, the requirements on tokens.
//
// Methods: credgate_gate_new, credgate_gate_token_endpoint,
// credgate_gate_external, credgate_gate_wants_body,
// credgate_gate_wants_traceparent, credgate_gate_presented_client_id,
// credgate_gate_timeout, credgate_gate_config, credgate_gate_warning,
// credgate_gate_searches_requests, credgate_gate_arg,
// credgate_gate_credential_header, credgate_gate_deny, credgate_gate_bypass,
// credgate_gate_hide_query, credgate_gate_hide_body, credgate_gate_free.
typedef struct credgate_gate credgate_gate;

// The outcomes for one event loop.
//
// Methods: credgate_queue_new, credgate_queue_fd, credgate_queue_listen,
// credgate_queue_accept, credgate_queue_hang_up,
// credgate_authenticate_at_once, credgate_authenticate, credgate_queue_next,
// credgate_ticket_cancel, credgate_queue_free.
typedef struct credgate_queue credgate_queue;

// The name of a header, as lua-nginx-module lays it out.
typedef struct credgate_header_name {
    // Its length in bytes.
    uint32_t len;
    // The name.
    const char *data;
} credgate_header_name;

// A string.
typedef struct credgate_string {
    // Its first byte.
    const char *data;
    // Its length in bytes.
    size_t len;
} credgate_string;

// An HTTP request as the host received it. The library uses the strings within
// the call only.
typedef struct credgate_request {
    // sizeof(credgate_request).
    uint32_t struct_size;
    // The method, such as POST.
    const char *method;
    // Its length in bytes.
    size_t method_len;
    // The value of the Authorization header, or NULL. A host must refuse a
    // request with more than one.
    const char *authorization;
    // Its length in bytes.
    size_t authorization_len;
    // The query string as sent, without '?', or NULL.
    const char *query;
    // Its length in bytes.
    size_t query_len;
    // The value of the Content-Type header, or NULL.
    const char *content_type;
    // Its length in bytes.
    size_t content_type_len;
    // The whole body if credgate_gate_wants_body wants it; NULL: there is no
    // body, or the host has not read it.
    const char *body;
    // Its length in bytes.
    size_t body_len;
    // The values of the gate's token_post_args_host, in that order, UTF-8. The
    // token request omits empty values. NULL if the gate has none.
    const struct credgate_string *args;
    // The number of token_post_args_host. Another number is a denial (internal).
    size_t args_len;
    // sizeof(credgate_string), if there are values.
    size_t arg_size;
    // A client id that the host already knows, or NULL: the library extracts
    // id and secret from the request, or uses the gate's own. An empty one is
    // a denial.
    const char *client_id;
    // Its length in bytes.
    size_t client_id_len;
    // The secret of client_id.
    const char *client_secret;
    // Its length in bytes.
    size_t client_secret_len;
    // The IP address of the client as text, or NULL. Exchanges without a token
    // are counted for it; other text is ignored.
    const char *peer;
    // Its length in bytes.
    size_t peer_len;
    // The value of the traceparent header, or NULL. Ignored unless
    // credgate_gate_wants_traceparent returns true.
    const char *traceparent;
    // Its length in bytes.
    size_t traceparent_len;
    // The value of the header that credgate_gate_credential_header names first,
    // the client's id, or NULL.
    const char *client_id_header;
    // Its length in bytes.
    size_t client_id_header_len;
    // The value of the header that it names second, the client's secret, or
    // NULL.
    const char *client_secret_header;
    // Its length in bytes.
    size_t client_secret_header_len;
    // 1: the request has one of these headers more than once, also with '_' in
    // place of '-' or the reverse, and is denied. 0: it has not.
    uint32_t repeated_header;
} credgate_request;

// The result of authenticating a request: allow or deny. Strings belong to the
// outcome and live until credgate_outcome_release.
//
// Methods: credgate_outcome_headers, credgate_outcome_claim,
// credgate_outcome_expires_in, credgate_outcome_upstream_status,
// credgate_outcome_token_response, credgate_outcome_release.
typedef struct credgate_outcome {
    // In: sizeof(credgate_outcome).
    uint32_t struct_size;
    // 0: allow. Otherwise deny, with this HTTP status.
    uint32_t http_status;
    // CREDGATE_CACHE_STATUS_*.
    uint32_t cache_status;
    // CREDGATE_SOURCE_*: the place of the credentials, which the host must
    // hide from the upstream.
    uint32_t source;
    // Allow: CREDGATE_OK. Deny: the code of the cause.
    int32_t code;
    // Deny: the value of the Retry-After header in seconds; 0: no such header.
    uint32_t retry_after;
    // 1: credgate_outcome_headers would return the Authorization header with
    // the value of authorization and nothing else, so the host need not call
    // it. 0: call it.
    uint32_t authorization_only;
    // Allow: the id of the client. Empty on a denial and if the request passes
    // without a token.
    const char *client_id;
    // Its length in bytes.
    size_t client_id_len;
    // Allow: the token as the value of an Authorization header, "Bearer ...".
    // Empty if the request passes without a token. credgate_outcome_headers
    // returns the headers for the upstream.
    const char *authorization;
    // Its length in bytes.
    size_t authorization_len;
    // Deny: the value of the WWW-Authenticate header: one challenge, or two with
    // a comma between them. Empty: no such header.
    const char *challenge;
    // Its length in bytes.
    size_t challenge_len;
    // Deny: the media type of the body.
    const char *content_type;
    // Its length in bytes.
    size_t content_type_len;
    // Deny: the body of the response, JSON. Of a token endpoint: the error
    // response of RFC 6749 section 5.2.
    const char *body;
    // Its length in bytes.
    size_t body_len;
    // Deny: one line for the operator's log, without secrets; empty: log
    // nothing.
    const char *detail;
    // Its length in bytes.
    size_t detail_len;
    // Private: an owner of strings.
    const void *owner_rules;
    // Private: an owner of strings.
    const void *owner_grant;
    // Private: an owner of strings.
    void *owner_texts;
    // Private: an owner of strings.
    void *owner_deny;
} credgate_outcome;

// A header of an allowed request. Strings belong to the outcome.
typedef struct credgate_header {
    // The name, in lower case.
    const char *name;
    // Its length in bytes.
    size_t name_len;
    // The value, or NULL: the host only removes the client's headers of this
    // name.
    const char *value;
    // Its length in bytes.
    size_t value_len;
} credgate_header;

// An outcome that has arrived.
typedef struct credgate_completion {
    // In: sizeof(credgate_completion).
    uint32_t struct_size;
    // Out: the pointer that the host gave to credgate_authenticate.
    void *user_data;
    // In: the host's struct for the outcome, with its struct_size. The host
    // releases the outcome.
    struct credgate_outcome *outcome;
} credgate_completion;

// The requests of a client: see the engine option "metrics_clients".
typedef struct credgate_client {
    // Its id: printable ASCII, at most 255 bytes. "other": all requests
    // without counters of their own.
    const char *client_id;
    // Its length in bytes.
    size_t client_id_len;
    // Its allowed requests.
    uint64_t allowed;
    // Its denied requests.
    uint64_t denied;
} credgate_client;

// A log record on a status page.
typedef struct credgate_record {
    // Its time, in seconds since the Unix epoch.
    uint64_t time;
    // Its text, which may be any bytes.
    const char *text;
    // The length of the text in bytes.
    size_t text_len;
    // Its CREDGATE_LEVEL_*.
    uint32_t level;
} credgate_record;

// The contents of a status page, of one process or of several.
typedef struct credgate_page {
    // sizeof(credgate_page).
    uint32_t struct_size;
    // The number of processes.
    uint32_t processes;
    // The time at which they began to count, in seconds since the Unix epoch.
    // 0: the page does not show it.
    uint64_t since;
    // The sums of the numbers of credgate_engine_counters.
    const uint64_t *counters;
    // The number of numbers.
    size_t counters_len;
    // The counters of clients; NULL: none.
    const struct credgate_client *clients;
    // The number of clients.
    size_t clients_len;
    // sizeof(credgate_client), if there are clients.
    size_t client_size;
    // The texts of credgate_engine_providers, one for each process; NULL:
    // none.
    const struct credgate_string *providers;
    // The number of texts.
    size_t providers_len;
    // sizeof(credgate_string), if there are texts.
    size_t string_size;
    // The latest log records, the oldest first; NULL: none.
    const struct credgate_record *records;
    // The number of records.
    size_t records_len;
    // sizeof(credgate_record), if there are records.
    size_t record_size;
    // The number of processes without an engine, which deny all requests.
    uint32_t without_engine;
} credgate_page;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the ABI version of the library.
uint32_t credgate_abi_version(void);

// Returns the version of the library, such as "0.1.0". NUL-terminated, static.
const char *credgate_version(void);

// Returns the name of a status of a function, such as "WRONG_PROCESS", or
// "UNKNOWN". NUL-terminated, static.
const char *credgate_status_name(int32_t status);

// Returns the name of a cause by its code, such as "credentials_refused", or
// "unknown". NUL-terminated, static.
const char *credgate_cause_name(int32_t code);

// Returns the name of a CREDGATE_CACHE_STATUS_* number, such as "HIT", or
// "UNKNOWN". NUL-terminated, static.
const char *credgate_cache_status_name(uint32_t cache_status);

// Returns the message: a line of UTF-8 that describes the error and its
// remedy. A configuration with several problems has a line for each,
// "FIELD: MESSAGE"; a newline separates them. The string belongs to the error.
int32_t credgate_error_message(const struct credgate_error *error,
                               const char **out_message,
                               size_t *out_len);

// Returns a problem of the configuration, one for each index from 0;
// CREDGATE_EMPTY after the last one, and for an error of the system. The field
// is empty if the whole configuration is at fault. The strings belong to the
// error.
int32_t credgate_error_problem(const struct credgate_error *error,
                               size_t index,
                               const char **out_field,
                               size_t *out_field_len,
                               const char **out_message,
                               size_t *out_message_len);

// Frees an error.
void credgate_error_free(struct credgate_error *error);

// Finds the only header of a name in an array of `count` headers, whose elements
// have `header_size` bytes and begin with a credgate_header_name. Names are
// compared byte by byte, so all must be in lower case. *out_index is the
// position. CREDGATE_EMPTY: no header has the name, or several have.
int32_t credgate_header_find(const struct credgate_header_name *headers,
                             size_t count,
                             size_t header_size,
                             const char *name,
                             size_t name_len,
                             size_t *out_index);

// Compiles a configuration: a JSON object, or Kong's plugin object. Starts no
// thread and opens no connection, so it works before a fork and while the
// provider is down. If the configuration is invalid, *out_error (out_error may
// be NULL) names the field to change.
int32_t credgate_gate_new(const char *json,
                          size_t json_len,
                          struct credgate_gate **out_gate,
                          struct credgate_error **out_error);

// Returns the fields of a configuration, and those of Kong that Credgate does
// not have, as JSON: an array of objects with "name", "type" and "kong" (Kong
// has it), and with "elements", "keys", "values", "fields", "one_of", "default",
// "secret", "description" and "remedy" where they apply. A field with a remedy
// must not be set. The types are those of Kong's schemas. The string is static.
int32_t credgate_config_fields(const char **out_json,
                               size_t *out_len);

// Derives the gate of a token endpoint that answers from the cache (RFC 6749
// section 3.2). It allows only token requests: POST of a form with
// grant_type=client_credentials, with the credentials in Authorization: Basic
// or in the form. scope, audience and resource must be in
// token_post_args_client or equal what the gate requests. Its denials are
// error responses (section 5.2), and credgate_outcome_token_response returns
// the body of a success. Every response needs "Cache-Control: no-store".
//
// Both gates share their tokens. The caller frees both, in any order. A gate
// that exchanges no credentials of clients is a configuration error.
int32_t credgate_gate_token_endpoint(const struct credgate_gate *gate,
                                     struct credgate_gate **out_gate,
                                     struct credgate_error **out_error);

// Derives the gate of a service that other proxies ask about their requests
// (nginx's auth_request, Traefik's ForwardAuth, Envoy's ext_authz). It searches
// headers only: such a service sees neither query nor body of the original
// request, or can remove nothing from them. The service responds with the
// denial, or with 200 and the headers of credgate_outcome_headers.
//
// Both gates share their tokens. The caller frees both, in any order. A gate
// that searches no header is a configuration error.
int32_t credgate_gate_external(const struct credgate_gate *gate,
                               struct credgate_gate **out_gate,
                               struct credgate_error **out_error);

// Returns whether the body of this request may contain credentials, so that
// the host must read it and set it in the request: depends on the method, the
// media type and the length in bytes (-1: not known yet). A body of unknown
// length is not wanted beside a header that the gate searches, unless clients
// may set arguments of the token request. Ignores the body in *request.
int32_t credgate_gate_wants_body(const struct credgate_gate *gate,
                                 const struct credgate_request *request,
                                 int64_t content_length,
                                 bool *out_wants);

// Returns whether the gate forwards a request's traceparent to the provider,
// so that the host must look the header up and set it in the request.
int32_t credgate_gate_wants_traceparent(const struct credgate_gate *gate,
                                        bool *out_wants);

// Copies the client id that the request presents to out, with any secret: for
// the log of a denial. It is printable ASCII and may contain quotation marks.
// Returns CREDGATE_EMPTY if there are no credentials, or malformed ones.
int32_t credgate_gate_presented_client_id(const struct credgate_gate *gate,
                                          const struct credgate_request *request,
                                          char *out,
                                          size_t capacity,
                                          size_t *out_len);

// Returns the maximum time that a request waits for its token, in
// milliseconds: no outcome takes longer.
int32_t credgate_gate_timeout(const struct credgate_gate *gate,
                              uint32_t *out_milliseconds);

// Returns the effective configuration as JSON, with defaults, and with the
// operator's secrets masked. The string belongs to the gate.
int32_t credgate_gate_config(const struct credgate_gate *gate,
                             const char **out_json,
                             size_t *out_len);

// Returns a warning about a dangerous setting in the configuration, one line
// for each index from 0; CREDGATE_EMPTY after the last one. The string is
// static.
int32_t credgate_gate_warning(const struct credgate_gate *gate,
                              size_t index,
                              const char **out_text,
                              size_t *out_len);

// Returns whether the gate searches requests for credentials. If not
// (client_id, or the place host), something else must decide which requests
// may pass, and the warning of index 0 says so: a host that knows of another
// guard may leave it out.
int32_t credgate_gate_searches_requests(const struct credgate_gate *gate,
                                        bool *out_searches);

// Returns the name of an argument of the token request that takes its value
// from credgate_request's args, one for each index from 0; CREDGATE_EMPTY
// after the last one. The string belongs to the gate.
int32_t credgate_gate_arg(const struct credgate_gate *gate,
                          size_t index,
                          const char **out_name,
                          size_t *out_len);

// Returns the name of a header with the client's credentials, in lower case:
// the id for index 0, the secret for index 1; CREDGATE_EMPTY after that, and if
// the gate names no headers. Their values belong into credgate_request's
// client_id_header and client_secret_header. The string belongs to the gate.
int32_t credgate_gate_credential_header(const struct credgate_gate *gate,
                                        size_t index,
                                        const char **out_name,
                                        size_t *out_len);

// Frees a gate. Waiting requests are not affected.
void credgate_gate_free(struct credgate_gate *gate);

// Fills *outcome with this gate's denial for a cause (a code from 3001 on):
// for a host that must deny a request without an engine, or after its own
// timeout. CREDGATE_INVALID_ARGUMENT: no cause has this code.
int32_t credgate_gate_deny(const struct credgate_gate *gate,
                           int32_t code,
                           struct credgate_outcome *outcome);

// Fills *outcome for a request that the host lets in without this gate's
// decision, for example because of its address: an allow without a token,
// whose headers only remove those of the client.
int32_t credgate_gate_bypass(const struct credgate_gate *gate,
                             struct credgate_outcome *outcome);

// Copies the headers of an allowed request, from number `first` on, at most
// `capacity` of them, to an array whose elements have `header_size` bytes:
// sizeof(credgate_header). *out_count is the number of headers copied: 0 after
// the last one. For each header the host removes the client's headers of that
// name, in any case and with "_" for "-", and sets the value if there is one. A
// denial has no headers.
int32_t credgate_outcome_headers(struct credgate_outcome *outcome,
                                 size_t first,
                                 struct credgate_header *headers,
                                 size_t capacity,
                                 size_t header_size,
                                 size_t *out_count);

// Finds a claim of the token by its name, or by a path: names and positions in
// lists, counted from 1, joined by "__". A string is returned as text, any
// other value as JSON. CREDGATE_EMPTY: the token has no such claim or is not a
// JWT, or there is no token. The string belongs to the outcome.
int32_t credgate_outcome_claim(struct credgate_outcome *outcome,
                               const char *name,
                               size_t name_len,
                               const char **out_value,
                               size_t *out_len);

// The number of seconds for which the gate still serves this token from its
// cache. CREDGATE_EMPTY: the token is not cached, or there is no token.
int32_t credgate_outcome_expires_in(const struct credgate_outcome *outcome,
                                    uint64_t *out_seconds);

// Reports the HTTP status of the upstream's response to a request that was
// allowed with this outcome. If the gate drops tokens on that status, the
// token leaves the cache, unless a newer token has replaced it or it was
// issued only just now. *out_dropped (which may be NULL) is true if it was
// dropped.
int32_t credgate_outcome_upstream_status(const struct credgate_outcome *outcome,
                                         const struct credgate_engine *engine,
                                         uint32_t http_status,
                                         bool *out_dropped);

// Returns the body of a token endpoint's success response (RFC 6749 section
// 5.1): a JSON object with access_token, token_type, expires_in (the rest of
// the provider's lifetime in whole seconds; absent if it is unknown) and scope
// (absent if it is unknown). Its media type is application/json, and the
// response needs the header "Cache-Control: no-store". CREDGATE_EMPTY: there
// is no token. The string contains the token and belongs to the outcome.
int32_t credgate_outcome_token_response(struct credgate_outcome *outcome,
                                        const char **out_json,
                                        size_t *out_len);

// Releases the strings of an outcome and empties it. Does nothing to an
// outcome that was released before, or that was zeroed and never filled.
void credgate_outcome_release(struct credgate_outcome *outcome);

// Makes the engine of this process; a host that forks calls it after the fork.
// Another call with the same options returns another handle of the same
// engine. The options are a JSON object, or NULL for the defaults:
// {"cache_max_bytes": 67108864, "cache_max_entries": 100000, "max_waiting":
// 10000, "max_exchanges": 64, "provider_pause_max": 5}, and the options of the
// store in which processes share tokens: "store"
// ("sqlite:/run/credgate/tokens.db", or "redis://host:6379/0", "rediss://...",
// "redis+unix:///path/to/socket", "redis+sentinel://host:26379/name/0"),
// "store_password_file" (of Redis, read at each connect), "store_pepper_file",
// "store_previous_pepper_files" (a list), "store_timeout" (milliseconds),
// "store_prefix", "store_ca_file", "store_client_cert_file",
// "store_client_key_file", "store_max_bytes", "store_metrics" (true or false).
// "metrics_clients" is the maximum number of clients that have counters of
// their own (0, the default: none; see credgate_engine_clients).
int32_t credgate_engine_new(const char *json,
                            size_t json_len,
                            struct credgate_engine **out_engine,
                            struct credgate_error **out_error);

// Checks the options of an engine, and the files that they name, without
// making one, for hosts that read their configuration before they fork.
// Processes that run as another user may still be unable to read the files.
int32_t credgate_engine_check(const char *json,
                              size_t json_len,
                              struct credgate_error **out_error);

// Frees a handle of an engine. Freeing the last handle or queue of the engine
// ends its thread; the call waits at most two seconds for it.
void credgate_engine_free(struct credgate_engine *engine);

// Makes a queue: one for each event loop.
int32_t credgate_queue_new(const struct credgate_engine *engine,
                           struct credgate_queue **out_queue,
                           struct credgate_error **out_error);

// Returns a descriptor that is readable while outcomes are in the queue. The
// host polls it, but must not read, write or close it; it closes with the
// queue.
int32_t credgate_queue_fd(const struct credgate_queue *queue, int *out_fd);

// Makes a Unix stream socket and returns its path: for event loops that can
// wait only for connections of their own. The host connects to it, then calls
// credgate_queue_accept. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity
// that the path needs.
int32_t credgate_queue_listen(const struct credgate_queue *queue,
                              char *out_path,
                              size_t capacity,
                              size_t *out_len,
                              struct credgate_error **out_error);

// Accepts the host's connection to the socket of credgate_queue_listen, and
// removes the socket. The library then sends a byte when outcomes arrive: read
// all available bytes, and call credgate_queue_next until it returns
// CREDGATE_EMPTY.
int32_t credgate_queue_accept(const struct credgate_queue *queue,
                              struct credgate_error **out_error);

// Closes the connection of credgate_queue_accept, which wakes its reader.
int32_t credgate_queue_hang_up(const struct credgate_queue *queue);

// Returns the number of queues in this process with such a connection.
size_t credgate_doorbells(void);

// Authenticates a request if that needs no exchange. CREDGATE_OK: *outcome is
// filled. CREDGATE_EMPTY: an exchange is needed, and has not begun. For hosts
// that prepare a wait, or request.peer, only for credgate_authenticate.
int32_t credgate_authenticate_at_once(const struct credgate_gate *gate,
                                      const struct credgate_queue *queue,
                                      const struct credgate_request *request,
                                      struct credgate_outcome *outcome);

// Authenticates a request. CREDGATE_OK: *outcome is filled, *out_ticket is
// not. CREDGATE_PENDING: *out_ticket is filled, and the outcome will arrive in
// the queue with user_data. Never blocks; a cache hit makes no allocation and
// no system call.
int32_t credgate_authenticate(const struct credgate_gate *gate,
                              const struct credgate_queue *queue,
                              const struct credgate_request *request,
                              void *user_data,
                              struct credgate_outcome *outcome,
                              uint64_t *out_ticket);

// Takes the next outcome that has arrived. CREDGATE_OK: *completion and the
// outcome that it points to are filled. CREDGATE_EMPTY: none has arrived.
// Never blocks.
int32_t credgate_queue_next(const struct credgate_queue *queue,
                            struct credgate_completion *completion);

// Cancels a request: credgate_queue_next does not return its outcome, even if
// it has already arrived. Its exchange continues for other requests. An
// unknown or completed ticket is not an error.
int32_t credgate_ticket_cancel(const struct credgate_queue *queue,
                               uint64_t ticket);

// Frees a queue, and cancels the requests that wait in it.
void credgate_queue_free(struct credgate_queue *queue);

// Copies a query string to out as the upstream should receive it: without its
// client_id and client_secret parameters if the gate accepts credentials in
// the query, and otherwise byte for byte. The capacity must be at least
// query_len.
int32_t credgate_gate_hide_query(const struct credgate_gate *gate,
                                 const char *query,
                                 size_t query_len,
                                 char *out,
                                 size_t capacity,
                                 size_t *out_len);

// Copies a body to out without its credentials, which are parameters of a form
// or members of a JSON object, according to its media type. The rest stays
// byte for byte. The capacity must be at least body_len.
int32_t credgate_gate_hide_body(const struct credgate_gate *gate,
                                const char *content_type,
                                size_t content_type_len,
                                const char *body,
                                size_t body_len,
                                char *out,
                                size_t capacity,
                                size_t *out_len);

// Overwrites the value of every client_secret in a query string in place with
// '*', in any spelling of the name, for logging. The length stays the same.
int32_t credgate_query_redact(char *query, size_t query_len);

// Overwrites the value of every client_secret in any text in place with '*': in
// a log line, a URI, a form or a JSON object. The length stays the same.
int32_t credgate_text_redact(char *text,
                             size_t text_len);

// Returns whether credgate_text_redact would change the text.
int32_t credgate_text_contains_secret(const char *text,
                                      size_t text_len,
                                      bool *out_contains);

// Writes an engine's counters and gauges as `count` numbers, at least
// CREDGATE_COUNTERS_V1; numbers that the library does not know are 0. A host
// may add up the numbers of several processes one by one.
// credgate_counters_text gives their meaning.
int32_t credgate_engine_counters(const struct credgate_engine *engine,
                                 uint64_t *out_counters,
                                 size_t count);

// Adds a denial by credgate_gate_deny, which no engine counts, to numbers of
// credgate_engine_counters: by its code, and by CREDGATE_CACHE_STATUS_NONE.
// CREDGATE_INVALID_ARGUMENT: the code is no cause, or the numbers are fewer
// than CREDGATE_COUNTERS_V1.
int32_t credgate_counters_deny(uint64_t *counters, size_t count, int32_t code);

// Writes numbers of credgate_engine_counters in Prometheus's text format,
// version 0.0.4. Numbers missing behind `count` are 0; numbers that the
// library does not know are ignored. CREDGATE_BUFFER_TOO_SMALL: *out_len is
// the capacity that the text needs.
int32_t credgate_counters_text(const uint64_t *counters,
                               size_t count,
                               char *out,
                               size_t capacity,
                               size_t *out_len);

// Writes numbers of credgate_engine_counters as a short report in JSON, with
// the same rules as credgate_counters_text.
int32_t credgate_counters_report(const uint64_t *counters,
                                 size_t count,
                                 char *out,
                                 size_t capacity,
                                 size_t *out_len);

// Takes the next line for the operator's log: its CREDGATE_LEVEL_*, and a text
// without secrets, truncated to the capacity. CREDGATE_EMPTY: there is no
// line.
int32_t credgate_engine_record(const struct credgate_engine *engine,
                               uint32_t *out_level,
                               char *out,
                               size_t capacity,
                               size_t *out_len);

// Purges the tokens and cached refusals of a gate (NULL: of all gates), of a
// client (NULL: of all clients). Returns at once, for any number of tokens:
// they are no longer served, and leave the memory shortly afterwards. A purge
// of all gates and clients also forgets the metadata and keys of providers.
int32_t credgate_engine_purge(const struct credgate_engine *engine,
                              const struct credgate_gate *gate,
                              const char *client_id,
                              size_t client_id_len);

// Follows a purge of all gates that another process of the host has made with
// credgate_engine_purge at most two seconds ago: purges the tokens of a client
// (NULL: of all clients) in this engine. The other process purges the shared
// store.
int32_t credgate_engine_follow_purge(const struct credgate_engine *engine,
                                     const char *client_id,
                                     size_t client_id_len);

// Copies the counters of clients, from position `first` on, at most `capacity`
// of them, to an array whose elements have `client_size` bytes:
// sizeof(credgate_client). *out_count is their number. Position 0 is "other";
// the clients follow in the order of their first token, and never change their
// position. All numbers only grow, and a host may add up those of several
// processes by their ids. Without the option "metrics_clients" there are none.
// The strings belong to the engine.
int32_t credgate_engine_clients(const struct credgate_engine *engine,
                                size_t first,
                                struct credgate_client *clients,
                                size_t capacity,
                                size_t client_size,
                                size_t *out_count);

// Writes the counters of `count` clients in Prometheus's text format, version
// 0.0.4: to append to the text of credgate_counters_text. No clients: an empty
// text. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity that the text
// needs.
int32_t credgate_clients_text(const struct credgate_client *clients,
                              size_t count,
                              size_t client_size,
                              char *out,
                              size_t capacity,
                              size_t *out_len);

// Writes the states of the engine's providers, for a status page: as many as
// fit, those with an open circuit breaker first. The text is the library's
// own, and changes with its version.
int32_t credgate_engine_providers(const struct credgate_engine *engine,
                                  char *out,
                                  size_t capacity,
                                  size_t *out_len);

// Writes a status page as an HTML document in UTF-8, whatever the bytes of its
// strings are. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity that the
// page needs; a page of the next second may need more.
int32_t credgate_page_html(const struct credgate_page *page,
                           char *out,
                           size_t capacity,
                           size_t *out_len);

// Writes the contents of a status page in Prometheus's text format, version
// 0.0.4: the text of credgate_counters_text, with the counters of clients and
// the states of providers. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity
// that the text needs.
int32_t credgate_page_metrics(const struct credgate_page *page,
                              char *out,
                              size_t capacity,
                              size_t *out_len);

// Writes the contents of a status page in JSON: the report of
// credgate_counters_report, with the states of providers, and with the same
// rules as credgate_page_metrics.
int32_t credgate_page_report(const struct credgate_page *page,
                             char *out,
                             size_t capacity,
                             size_t *out_len);

// Returns the Content-Security-Policy of status pages. Static.
int32_t credgate_page_policy(const char **out_policy, size_t *out_len);

// Tells whether a client prefers a status page to the JSON of
// credgate_counters_report, by its header Accept (RFC 9110 section 12.5.1;
// several headers joined by commas). A client without a preference does not.
int32_t credgate_page_is_preferred(const char *accept,
                                   size_t accept_len,
                                   bool *out_is_preferred);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CREDGATE_H */
