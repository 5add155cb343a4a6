/*
 * credgate.h: client credentials at a gateway, exchanged, cached, forwarded.
 *
 * Generated from ffi/src by `tests/run.sh header --update`. Do not edit.
 *
 * Conventions. Functions answer a status: CREDGATE_OK, CREDGATE_PENDING,
 * CREDGATE_EMPTY, or an error (credgate_status_name tells its name). Outputs
 * come last and are written on success only. Strings are a pointer and a
 * length, never NUL-terminated unless it is said; a NULL pointer is "none". A
 * NULL handle is answered CREDGATE_NULL_ARGUMENT; freeing NULL is fine. Plain
 * structs begin with struct_size, which the caller sets to the struct's
 * sizeof; they only ever grow at their end.
 *
 * Ownership. What the caller passes is used within the call and never kept.
 * What the library hands out as a borrowed string names its owner, and lives
 * as long as that.
 *
 * Threads and processes. Gates and engines may be used from any thread; a
 * queue is drained by one thread at a time. Loading the library starts
 * nothing; making a gate starts nothing; an engine starts one thread with the
 * first request that needs the provider. That thread blocks all signals and
 * never calls the host. An engine and its queues belong to the process that
 * made them: after a fork they answer CREDGATE_WRONG_PROCESS, and freeing them
 * there is safe. A gate may be made before a fork and used after it.
 *
 * Completions. credgate_authenticate answers at once when the token is cached
 * or the request holds no credentials. Else it answers CREDGATE_PENDING and a
 * ticket. Watch credgate_queue_fd for reading; when it is readable, call
 * credgate_queue_next until it answers CREDGATE_EMPTY. A ticket that was
 * cancelled never surfaces: user_data may point to what the host then frees.
 *
 * Errors. What a client of the gateway is told is an outcome, never an error:
 * an error is for those who write the host or its configuration. Status codes
 * are never reused: 1000 is the use of the library, 2000 the configuration;
 * outcome codes are 3000 for the request, 4000 for the provider's refusal,
 * 4100 for its failure, 5000 for the library.
 *
 * Versions. The soname is the ABI version. A host that loads the library at
 * run time compares credgate_abi_version() with CREDGATE_ABI_VERSION.
 */


#ifndef CREDGATE_H
#define CREDGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The version of this ABI, and of the soname.
#define CREDGATE_ABI_VERSION 1

// Done.
#define CREDGATE_OK 0

// The outcome will come through the queue.
#define CREDGATE_PENDING 1

// No outcome has arrived.
#define CREDGATE_EMPTY 2

// A pointer that must not be NULL is.
#define CREDGATE_NULL_ARGUMENT 1001

// An argument cannot be: a struct_size too small, a NULL string with a
// length, text that is not UTF-8.
#define CREDGATE_INVALID_ARGUMENT 1002

// The handle was made in another process.
#define CREDGATE_WRONG_PROCESS 1003

// A defect of the library, caught.
#define CREDGATE_PANIC 1004

// The output does not fit.
#define CREDGATE_BUFFER_TOO_SMALL 1005

// The operating system refused something.
#define CREDGATE_SYSTEM 1006

// The configuration is not a JSON object.
#define CREDGATE_CONFIG_SYNTAX 2001

// The configuration has a field that does not exist.
#define CREDGATE_CONFIG_UNKNOWN_FIELD 2002

// A field of the configuration has a value that cannot be.
#define CREDGATE_CONFIG_VALUE 2003

// A file that the configuration names cannot be used.
#define CREDGATE_CONFIG_FILE 2004

// There are no credentials in any place that is looked at.
#define CREDGATE_NO_CREDENTIALS 3001

// An id or a secret is empty, or Basic holds no colon.
#define CREDGATE_EMPTY_CREDENTIAL 3002

// Authorization: Basic is not followed by base64.
#define CREDGATE_MALFORMED_BASIC 3003

// client_id, client_secret or an argument that the caller may give does not
// decode, or is no string.
#define CREDGATE_MALFORMED_PARAMETER 3004

// client_id stands without client_secret, or the other way round.
#define CREDGATE_INCOMPLETE_PAIR 3005

// client_id or client_secret stands twice.
#define CREDGATE_REPEATED_PARAMETER 3006

// There are credentials in two places.
#define CREDGATE_TWO_PLACES 3007

// An id or a secret is not printable ASCII.
#define CREDGATE_INVALID_CHARACTERS 3008

// Id, secret and the arguments that come with them are longer than 2,048
// bytes together.
#define CREDGATE_TOO_LONG 3009

// The client id is none of those that may try.
#define CREDGATE_CLIENT_NOT_ALLOWED 3010

// The provider refused these credentials.
#define CREDGATE_CREDENTIALS_REFUSED 4001

// The provider does not grant this client what the gate asks for.
#define CREDGATE_CLIENT_FORBIDDEN 4002

// The provider found the gateway's request wrong.
#define CREDGATE_REQUEST_REFUSED 4003

// Too many exchanges have ended in a refusal: the provider is not asked.
#define CREDGATE_TOO_MANY_REFUSALS 4004

// The token that the client brings is not valid.
#define CREDGATE_TOKEN_INVALID 4005

// The token does not hold what the gate requires.
#define CREDGATE_TOKEN_INSUFFICIENT 4006

// The provider cannot be reached, or is not trusted.
#define CREDGATE_PROVIDER_UNREACHABLE 4101

// The provider answered 5xx, or hung up.
#define CREDGATE_PROVIDER_FAILED 4102

// The provider's answer cannot be used.
#define CREDGATE_PROVIDER_ANSWER_INVALID 4103

// The provider answered 429.
#define CREDGATE_PROVIDER_BUSY 4104

// The provider did not answer in time.
#define CREDGATE_PROVIDER_TIMEOUT 4105

// The provider's token does not verify.
#define CREDGATE_TOKEN_UNVERIFIABLE 4106

// The provider has failed so often that it is left alone for a while.
#define CREDGATE_PROVIDER_PAUSED 4107

// A defect of the library.
#define CREDGATE_INTERNAL 5001

// The engine is being shut down.
#define CREDGATE_ENGINE_UNAVAILABLE 5002

// More requests wait for the provider than may.
#define CREDGATE_OVERLOADED 5003

// Nothing was looked up: the request holds no usable credentials.
#define CREDGATE_CACHE_STATUS_NONE 0

// The token cache had it.
#define CREDGATE_CACHE_STATUS_HIT 1

// An exchange was made for this request.
#define CREDGATE_CACHE_STATUS_MISS 2

// An exchange was under way for another request with the same credentials.
#define CREDGATE_CACHE_STATUS_JOINED 3

// The token cache had it, and its renewal has failed.
#define CREDGATE_CACHE_STATUS_STALE 4

// The same credentials have just been refused.
#define CREDGATE_CACHE_STATUS_NEGATIVE 5

// The request passes without a token: the gate lets it.
#define CREDGATE_CACHE_STATUS_ANONYMOUS 6

// The request passes without a token: the gate does not look at OPTIONS.
#define CREDGATE_CACHE_STATUS_PREFLIGHT 7

// Another process had it: it comes from the shared store.
#define CREDGATE_CACHE_STATUS_SHARED 8

// Denied, or passed without a token.
#define CREDGATE_SOURCE_NONE 0

// The Authorization header.
#define CREDGATE_SOURCE_HEADER 1

// The query string.
#define CREDGATE_SOURCE_QUERY 2

// A form or a JSON object.
#define CREDGATE_SOURCE_BODY 3

// The host gave them: nothing has to be hidden.
#define CREDGATE_SOURCE_HOST 4

// The number of numbers that this header knows.
#define CREDGATE_COUNTERS 86

// The number of numbers in version 1: the minimum for the functions that take
// an array of them.
#define CREDGATE_COUNTERS_V1 86

// The first numbers are gauges, three in use and the others reserved and zero.
// All numbers behind them only grow; later versions append theirs at the end. A
// host that adds up several processes keeps the growing numbers of a process
// that has ended, and drops its gauges.
#define CREDGATE_GAUGES 8

// Something works again, or has been settled.
#define CREDGATE_LEVEL_NOTICE 1

// Something should be looked at.
#define CREDGATE_LEVEL_WARNING 2

// Something fails for clients.
#define CREDGATE_LEVEL_ERROR 3

// The machinery of a process: token cache, provider connections, one thread.
//
// Methods: credgate_engine_new, credgate_engine_check, credgate_engine_free.
typedef struct credgate_engine credgate_engine;

// What went wrong. Holds no secret.
//
// Methods: credgate_error_message, credgate_error_free.
typedef struct credgate_error credgate_error;

// One compiled configuration: an issuer, how credentials are found, what is
// asked for.
//
// Methods: credgate_gate_new, credgate_gate_config, credgate_gate_warning,
// credgate_gate_arg, credgate_gate_wants_body, credgate_gate_timeout,
// credgate_gate_free.
typedef struct credgate_gate credgate_gate;

// Where one event loop finds its outcomes.
//
// Methods: credgate_queue_new, credgate_queue_fd, credgate_queue_listen,
// credgate_queue_accept, credgate_queue_hang_up, credgate_authenticate,
// credgate_queue_next, credgate_ticket_cancel, credgate_queue_free.
typedef struct credgate_queue credgate_queue;

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
    // The values of the gate's token_post_args_host, in that order, UTF-8, or
    // NULL. The token request omits empty values.
    const struct credgate_string *args;
    // The number of values: 0, or the number of token_post_args_host.
    size_t args_len;
    // sizeof(credgate_string), if there are values.
    size_t arg_size;
    // A client id that the host already knows, or NULL: the library extracts id
    // and secret from the request.
    const char *client_id;
    // Its length in bytes.
    size_t client_id_len;
    // The secret of client_id.
    const char *client_secret;
    // Its length in bytes.
    size_t client_secret_len;
} credgate_request;

// What becomes of a request. Strings belong to the outcome, and live until
// credgate_outcome_release.
//
// Methods: credgate_outcome_headers, credgate_outcome_claim,
// credgate_outcome_expires_in, credgate_outcome_upstream_status,
// credgate_outcome_release.
typedef struct credgate_outcome {
    // In: sizeof(credgate_outcome).
    uint32_t struct_size;
    // 0: allow. Else deny: the status to answer with.
    uint32_t http_status;
    // CREDGATE_CACHE_STATUS_*: how it came about.
    uint32_t cache_status;
    // CREDGATE_SOURCE_*: where the credentials were, and so what has to be
    // hidden from the upstream.
    uint32_t source;
    // CREDGATE_OK on allow, else the cause.
    int32_t code;
    // Seconds for Retry-After; 0: no such header.
    uint32_t retry_after;
    // 1: `authorization`, in the header of that name, is all that
    // credgate_outcome_headers would tell, which need not be asked. 0: ask it.
    uint32_t authorization_only;
    // Allow: whose token it is. Empty where nobody has been authenticated: on
    // a denial, and where the request passes without a token.
    const char *client_id;
    // Its length in bytes.
    size_t client_id_len;
    // Allow: the token as the value of an Authorization header, "Bearer
    // ...". Empty where the request passes without a token. What goes
    // upstream is told by credgate_outcome_headers.
    const char *authorization;
    // Its length in bytes.
    size_t authorization_len;
    // Deny: the value of the WWW-Authenticate header; empty: no such header.
    const char *challenge;
    // Its length in bytes.
    size_t challenge_len;
    // Deny: the media type of the body.
    const char *content_type;
    // Its length in bytes.
    size_t content_type_len;
    // Deny: the body to answer with, JSON.
    const char *body;
    // Its length in bytes.
    size_t body_len;
    // Deny: one line for the operator's log, without a secret; empty: nothing
    // worth a line.
    const char *detail;
    // Its length in bytes.
    size_t detail_len;
    // Private: what keeps the strings alive.
    const void *owner_rules;
    // Private: what keeps the strings alive.
    const void *owner_grant;
    // Private: what keeps the strings alive.
    void *owner_texts;
    // Private: what keeps the strings alive.
    void *owner_deny;
} credgate_outcome;

// A header of a request that is allowed. Strings belong to the outcome.
typedef struct credgate_header {
    // The name, in lower case.
    const char *name;
    // Its length in bytes.
    size_t name_len;
    // The value; NULL: there is none, and what the client sent under this
    // name is to be taken away.
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

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the ABI that the library speaks.
uint32_t credgate_abi_version(void);

// The version of the library, such as "0.1.0". NUL-terminated, static.
const char *credgate_version(void);

// The name of a status that a function returns, such as "WRONG_PROCESS";
// "UNKNOWN" for any other number. NUL-terminated, static.
const char *credgate_status_name(int32_t status);

// The name of a cause, the code of a denial, such as "credentials_refused";
// "unknown" for any other number. NUL-terminated, static.
const char *credgate_cause_name(int32_t code);

// The name of a CREDGATE_CACHE_STATUS_* value, such as "HIT"; "UNKNOWN" for any other
// number. NUL-terminated, static.
const char *credgate_cache_status_name(uint32_t cache_status);

// What went wrong and what to do about it: one line of UTF-8. It belongs to
// the error and lives as long.
int32_t credgate_error_message(const struct credgate_error *error,
                               const char **out_message,
                               size_t *out_len);

// Frees an error.
void credgate_error_free(struct credgate_error *error);

// Compiles a configuration: a JSON object, or Kong's plugin object. Starts no
// thread and opens no connection: it may be called before a fork and while
// the provider is down. On an error of the configuration, *out_error (which
// may be NULL) says which field to change.
int32_t credgate_gate_new(const char *json,
                          size_t json_len,
                          struct credgate_gate **out_gate,
                          struct credgate_error **out_error);

// Whether the body of this request can hold credentials, and so should be
// read and shown: by method, media type and length in bytes (-1: not known
// yet). The request's own body is not looked at.
int32_t credgate_gate_wants_body(const struct credgate_gate *gate,
                                 const struct credgate_request *request,
                                 int64_t content_length,
                                 bool *out_wants);

// The deadline of a whole exchange, discovery included, in milliseconds: no
// outcome takes longer.
int32_t credgate_gate_timeout(const struct credgate_gate *gate,
                              uint32_t *out_milliseconds);

// The configuration in effect, JSON: defaults included, secrets of the
// operator's masked. The string belongs to the gate.
int32_t credgate_gate_config(const struct credgate_gate *gate,
                             const char **out_json,
                             size_t *out_len);

// What in the configuration is allowed and yet dangerous, one line for each
// index from 0: CREDGATE_OK, or CREDGATE_EMPTY after the last. The string is
// static.
int32_t credgate_gate_warning(const struct credgate_gate *gate,
                              size_t index,
                              const char **out_text,
                              size_t *out_len);

// The arguments of the token request for which credgate_request gives values,
// one name for each index from 0, in their order: CREDGATE_OK, or
// CREDGATE_EMPTY after the last. The string belongs to the gate.
int32_t credgate_gate_arg(const struct credgate_gate *gate,
                          size_t index,
                          const char **out_name,
                          size_t *out_len);

// Frees a gate. Requests that wait for an outcome keep what they need of it.
void credgate_gate_free(struct credgate_gate *gate);

// Fills *outcome with the denial of a cause (a code from 3001 on), as this
// gate words it: for a host that must deny a request itself, because it has no
// engine or gave up waiting. CREDGATE_INVALID_ARGUMENT: no cause has the code.
int32_t credgate_gate_deny(const struct credgate_gate *gate,
                           int32_t code,
                           struct credgate_outcome *outcome);

// Copies the headers of an allowed request, from number `first` on, at most
// `capacity` of them, to an array whose elements have `header_size` bytes:
// sizeof(credgate_header). *out_count is their number. For each header the host
// removes the client's headers of that name, in any case and with "_" for "-",
// and sets the value if there is one. A denial has no headers.
int32_t credgate_outcome_headers(struct credgate_outcome *outcome,
                                 size_t first,
                                 struct credgate_header *headers,
                                 size_t capacity,
                                 size_t header_size,
                                 size_t *out_count);

// Finds a claim of the token by its name, or by a path: names and positions in
// lists, counted from 1, joined by "__". A string is returned as text, any other
// value as JSON. CREDGATE_EMPTY: the token has no such claim or is not a JWT, or
// there is no token. The string belongs to the outcome.
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
// allowed with this outcome. If the gate drops tokens on that status, the token
// leaves the cache, unless a newer token has replaced it or it was issued only
// just now. *out_dropped (which may be NULL) is true if it was dropped.
int32_t credgate_outcome_upstream_status(const struct credgate_outcome *outcome,
                                         const struct credgate_engine *engine,
                                         uint32_t http_status,
                                         bool *out_dropped);

// Releases the strings of an outcome and empties it. Does nothing to an outcome
// that was released before, or that was zeroed and never filled.
void credgate_outcome_release(struct credgate_outcome *outcome);

// Makes the engine of this process, after any fork; asking again with the
// same options gives the same engine. The options are a JSON object, or NULL
// for the defaults: {"cache_max_bytes": 67108864, "cache_max_entries":
// 100000, "max_waiting": 10000, "max_exchanges": 64}, and those of the store in
// which processes share tokens: "store" ("sqlite:/run/credgate/tokens.db", or
// "redis://host:6379/0", "rediss://...", "redis+unix:///path/of/a/socket",
// "redis+sentinel://host:26379/name/0"),
// "store_pepper_file", "store_previous_pepper_files" (a list), "store_timeout"
// (milliseconds), "store_prefix", "store_ca_file", "store_client_cert_file",
// "store_client_key_file", "store_max_bytes", "store_metrics" (true or false).
int32_t credgate_engine_new(const char *json,
                            size_t json_len,
                            struct credgate_engine **out_engine,
                            struct credgate_error **out_error);

// Says whether an engine can be made with these options, and makes none: for
// hosts that read their configuration before they fork.
int32_t credgate_engine_check(const char *json,
                              size_t json_len,
                              struct credgate_error **out_error);

// Frees a handle of an engine. With the last one, and the last queue, the
// thread ends; that is waited for, no longer than two seconds.
void credgate_engine_free(struct credgate_engine *engine);

// Makes a queue: one for each event loop.
int32_t credgate_queue_new(const struct credgate_engine *engine,
                           struct credgate_queue **out_queue,
                           struct credgate_error **out_error);

// The descriptor to watch for reading: readable while outcomes wait. Never
// read, write or close it; it closes with the queue.
int32_t credgate_queue_fd(const struct credgate_queue *queue, int *out_fd);

// Makes a Unix socket of type stream, and writes its path: for event loops
// that watch only connections that they have made. Connect to it, then call
// credgate_queue_accept. CREDGATE_BUFFER_TOO_SMALL: *out_len is the room that
// is needed.
int32_t credgate_queue_listen(const struct credgate_queue *queue,
                              char *out_path,
                              size_t capacity,
                              size_t *out_len,
                              struct credgate_error **out_error);

// Takes the connection that was made to the socket of credgate_queue_listen,
// which is removed. From now on a byte comes through it when outcomes arrive:
// read what there is, and call credgate_queue_next until it answers
// CREDGATE_EMPTY.
int32_t credgate_queue_accept(const struct credgate_queue *queue,
                              struct credgate_error **out_error);

// Closes the connection that credgate_queue_accept took, which wakes who
// reads it.
int32_t credgate_queue_hang_up(const struct credgate_queue *queue);

// How many queues of this process have such a connection.
size_t credgate_doorbells(void);

// Authenticates a request. CREDGATE_OK: *outcome is filled, *out_ticket is
// not. CREDGATE_PENDING: *out_ticket is filled, and the outcome will come
// through the queue with user_data. Never blocks; a token that is cached
// costs no allocation and no system call.
int32_t credgate_authenticate(const struct credgate_gate *gate,
                              const struct credgate_queue *queue,
                              const struct credgate_request *request,
                              void *user_data,
                              struct credgate_outcome *outcome,
                              uint64_t *out_ticket);

// Takes the next outcome that has arrived. CREDGATE_OK: *completion and the
// outcome that it points to are filled. CREDGATE_EMPTY: none has arrived. Never
// blocks.
int32_t credgate_queue_next(const struct credgate_queue *queue,
                            struct credgate_completion *completion);

// Forgets a request: its outcome never surfaces, also where it has arrived
// already. Its exchange goes on for others. A ticket that is not known any
// more is no error.
int32_t credgate_ticket_cancel(const struct credgate_queue *queue,
                               uint64_t ticket);

// Frees a queue, and forgets the requests that wait in it.
void credgate_queue_free(struct credgate_queue *queue);

// Copies a query string to out as it goes upstream: without its client_id and
// client_secret parameters, where the query is a place of the gate;
// everything else stays byte for byte. The room at out must be at least that
// of the query.
int32_t credgate_gate_hide_query(const struct credgate_gate *gate,
                                 const char *query,
                                 size_t query_len,
                                 char *out,
                                 size_t capacity,
                                 size_t *out_len);

// Copies a body to out without its credentials, by its media type: parameters
// of a form, members of a JSON object. Everything else stays byte for byte.
// The room at out must be at least that of the body.
int32_t credgate_gate_hide_body(const struct credgate_gate *gate,
                                const char *content_type,
                                size_t content_type_len,
                                const char *body,
                                size_t body_len,
                                char *out,
                                size_t capacity,
                                size_t *out_len);

// Overwrites the value of every client_secret of a query string in place with
// '*', whatever its spelling: for lines that are logged. The length stays.
int32_t credgate_query_redact(char *query, size_t query_len);

// Writes an engine's counters and gauges as `count` numbers, at least
// CREDGATE_COUNTERS_V1; numbers that the library does not know are 0. A host may
// add up the numbers of several processes one by one.
// credgate_counters_text gives their meaning.
int32_t credgate_engine_counters(const struct credgate_engine *engine,
                                 uint64_t *out_counters,
                                 size_t count);

// Writes numbers of credgate_engine_counters in Prometheus's text format,
// version 0.0.4. Numbers missing behind `count` are 0; numbers that the library
// does not know are ignored. CREDGATE_BUFFER_TOO_SMALL: *out_len is the capacity
// that the text needs.
int32_t credgate_counters_text(const uint64_t *counters,
                               size_t count,
                               char *out,
                               size_t capacity,
                               size_t *out_len);

// Writes numbers of credgate_engine_counters as a short report in JSON, with the
// same rules as credgate_counters_text.
int32_t credgate_counters_report(const uint64_t *counters,
                                 size_t count,
                                 char *out,
                                 size_t capacity,
                                 size_t *out_len);

// The next line for the operator's log: a CREDGATE_LEVEL_*, and a text
// without a secret, cut where there is no more room. CREDGATE_EMPTY: there is
// none.
int32_t credgate_engine_record(const struct credgate_engine *engine,
                               uint32_t *out_level,
                               char *out,
                               size_t capacity,
                               size_t *out_len);

// Drops the tokens of a gate (NULL: of all gates) and of a client (NULL: of
// all clients) from the engine's cache, and all remembered refusals.
// *out_count (which may be NULL) says how many tokens that were.
int32_t credgate_engine_purge(const struct credgate_engine *engine,
                              const struct credgate_gate *gate,
                              const char *client_id,
                              size_t client_id_len,
                              uint64_t *out_count);

// Follows a purge of all gates that another process of the host has made with
// credgate_engine_purge and told of: drops the tokens of a client (NULL: of
// all clients) from this engine's cache, and nothing from the shared store.
int32_t credgate_engine_follow_purge(const struct credgate_engine *engine,
                                     const char *client_id,
                                     size_t client_id_len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CREDGATE_H */
