/*
 * Authenticates requests in a poll(2) loop, with each duty of a gateway.
 *
 *   poll_loop CONFIG.json METHOD [AUTHORIZATION [QUERY [FORM]]] ...
 *
 * Each further AUTHORIZATION, QUERY and FORM make another request; an empty one
 * is none. All requests run concurrently. A gateway gets them from clients:
 * this program prints what it would send, to the upstream or back to the
 * client, in order of arrival and without tokens. Its log is stderr. Exits with
 * 0 if all requests are allowed, 1 if one is denied, and 2 on an error.
 *
 * Some settings need more of a host: see credgate_gate_credential_header,
 * credgate_gate_arg and credgate_gate_wants_traceparent.
 */

#include <credgate.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static char config[65536];


/* The parts of the library that an event loop uses. */
typedef struct {
    credgate_gate *gate;
    credgate_engine *engine;
    credgate_queue *queue;
} gateway;


/* A request from its arrival to its outcome. */
typedef struct {
    int number;
    credgate_request request;
    const char *form;
    /* If the client disconnects: credgate_ticket_cancel. */
    uint64_t ticket;
} exchange;


static int fail(const char *name, int32_t status, credgate_error *error)
{
    const char *message = "";
    size_t len = 0;

    if (error != NULL) {
        credgate_error_message(error, &message, &len);
    }
    fprintf(stderr, "%s: %s %.*s\n", name, credgate_status_name(status),
            (int) len, message);
    credgate_error_free(error);
    return 2;
}


/* Reads a file into `config`. Returns its length, or -1 with errno. */
static long read_config(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t len;
    int failed;

    if (file == NULL) {
        return -1;
    }
    errno = EFBIG;
    len = fread(config, 1, sizeof(config), file);
    failed = ferror(file) || len == sizeof(config);
    fclose(file);
    return failed ? -1 : (long) len;
}


/* Logs the dangerous settings of a gate, when it is made. */
static void log_warnings(const credgate_gate *gate)
{
    const char *text;
    size_t len, i;

    for (i = 0; credgate_gate_warning(gate, i, &text, &len) == CREDGATE_OK; i++) {
        fprintf(stderr, "warning: %.*s\n", (int) len, text);
    }
}


/* Logs the records of the engine. A gateway also does so with a timer. */
static void log_records(const credgate_engine *engine)
{
    char text[1024];
    size_t len;
    uint32_t level;

    while (credgate_engine_record(engine, &level, text, sizeof(text), &len)
           == CREDGATE_OK)
    {
        fprintf(stderr, "%s: %.*s\n",
                level == CREDGATE_LEVEL_ERROR ? "error"
                : level == CREDGATE_LEVEL_WARNING ? "warning" : "notice",
                (int) len, text);
    }
}


/* A host refuses a request with several Authorization headers with 400. */
static void make_request(const gateway *on, exchange *made, const char *method,
    const char *authorization, const char *query, const char *form)
{
    credgate_request *request = &made->request;
    bool wants_body;

    request->struct_size = sizeof(*request);
    request->method = method;
    request->method_len = strlen(method);
    if (*authorization != '\0') {
        request->authorization = authorization;
        request->authorization_len = strlen(authorization);
    }
    request->query = query;
    request->query_len = strlen(query);
    if (*form != '\0') {
        request->content_type = "application/x-www-form-urlencoded";
        request->content_type_len = strlen(request->content_type);
    }
    /* The address of the client's connection. */
    request->peer = "127.0.0.1";
    request->peer_len = strlen(request->peer);
    made->form = form;
    /* Only now a gateway reads the body, and only if the gate wants it. */
    if (credgate_gate_wants_body(on->gate, request, (int64_t) strlen(form),
                                 &wants_body) == CREDGATE_OK && wants_body)
    {
        request->body = form;
        request->body_len = strlen(form);
    }
}


/* Sends an allowed request to the upstream; returns the upstream's status. */
static uint32_t forward(const gateway *on, const exchange *allowed,
    credgate_outcome *outcome)
{
    const credgate_request *request = &allowed->request;
    size_t form_len = strlen(allowed->form);
    char *query = malloc(request->query_len + 1);
    char *form = malloc(form_len + 1);
    size_t query_len = 0, len = 0, count = 0, i;
    credgate_header header;

    if (query == NULL || form == NULL) {
        abort();
    }
    credgate_gate_hide_query(on->gate, request->query, request->query_len,
                             query, request->query_len, &query_len);
    credgate_gate_hide_body(on->gate, request->content_type,
                            request->content_type_len, allowed->form, form_len,
                            form, form_len, &len);
    printf("  %s /%s%.*s\n", request->method, query_len > 0 ? "?" : "",
           (int) query_len, query);
    for (i = 0;
         credgate_outcome_headers(outcome, i, &header, 1, sizeof(header),
                                  &count) == CREDGATE_OK && count == 1;
         i++)
    {
        /* In place of the client's headers of this name, in any spelling. */
        if (header.value == NULL) {
            printf("  without %.*s\n", (int) header.name_len, header.name);
        } else {
            printf("  %.*s: %zu bytes\n", (int) header.name_len, header.name,
                   header.value_len);
        }
    }
    printf("  %.*s\n", (int) len, form);
    free(query);
    free(form);
    return 200;
}


/* Sends the response to a denied request. */
static void respond(const credgate_outcome *outcome)
{
    printf("  HTTP/1.1 %u\n", (unsigned) outcome->http_status);
    if (outcome->challenge_len > 0) {
        printf("  WWW-Authenticate: %.*s\n", (int) outcome->challenge_len,
               outcome->challenge);
    }
    if (outcome->retry_after > 0) {
        printf("  Retry-After: %u\n", (unsigned) outcome->retry_after);
    }
    printf("  Content-Type: %.*s\n  %.*s\n", (int) outcome->content_type_len,
           outcome->content_type, (int) outcome->body_len, outcome->body);
}


/* Acts on an outcome, and releases it; returns whether it is a denial. */
static int settle(const gateway *on, const exchange *settled,
    credgate_outcome *outcome)
{
    int denied = outcome->http_status != 0;

    printf("request %d: %s %s", settled->number, denied ? "deny" : "allow",
           credgate_cache_status_name(outcome->cache_status));
    if (denied) {
        printf(" %s\n", credgate_cause_name(outcome->code));
        respond(outcome);
        if (outcome->detail_len > 0) {
            fprintf(stderr, "request %d: %.*s\n", settled->number,
                    (int) outcome->detail_len, outcome->detail);
        }
    } else {
        printf(" %.*s\n", (int) outcome->client_id_len, outcome->client_id);
        credgate_outcome_upstream_status(outcome, on->engine,
                                         forward(on, settled, outcome), NULL);
    }
    credgate_outcome_release(outcome);
    return denied;
}


/* Takes the outcomes that have arrived; returns their number. */
static int drain(const gateway *on, int *denied)
{
    int arrived = 0;

    for ( ;; ) {
        credgate_outcome outcome = { .struct_size = sizeof(outcome) };
        credgate_completion completion = {
            .struct_size = sizeof(completion),
            .outcome = &outcome,
        };

        if (credgate_queue_next(on->queue, &completion) != CREDGATE_OK) {
            return arrived;
        }
        *denied |= settle(on, completion.user_data, &outcome);
        arrived++;
    }
}


/* Authenticates the requests of the command line, and waits for all outcomes. */
static int run(const gateway *on, exchange *requests, int argc, char **argv)
{
    struct pollfd watched = { .events = POLLIN };
    int denied = 0, pending = 0, i;
    int32_t status = credgate_queue_fd(on->queue, &watched.fd);

    if (status != CREDGATE_OK) {
        return fail("credgate_queue_fd", status, NULL);
    }
    for (i = 3; i < argc || i == 3; i += 3) {
        credgate_outcome outcome = { .struct_size = sizeof(outcome) };
        exchange *next = &requests[i / 3 - 1];

        next->number = i / 3;
        make_request(on, next, argv[2], i < argc ? argv[i] : "",
                     i + 1 < argc ? argv[i + 1] : "",
                     i + 2 < argc ? argv[i + 2] : "");
        status = credgate_authenticate(on->gate, on->queue, &next->request,
                                       next, &outcome, &next->ticket);
        if (status == CREDGATE_PENDING) {
            pending++;
        } else if (status == CREDGATE_OK) {
            denied |= settle(on, next, &outcome);
        } else {
            return fail("credgate_authenticate", status, NULL);
        }
    }
    while (pending > 0) {
        /* No outcome takes longer than credgate_gate_timeout. */
        poll(&watched, 1, -1);
        pending -= drain(on, &denied);
        log_records(on->engine);
    }
    return denied;
}


int main(int argc, char **argv)
{
    gateway on = { NULL, NULL, NULL };
    credgate_error *error = NULL;
    exchange *requests;
    int32_t status;
    long len;
    int result;

    if (argc < 3) {
        fprintf(stderr, "usage: poll_loop CONFIG.json METHOD"
                        " [AUTHORIZATION [QUERY [FORM]]] ...\n");
        return 2;
    }
    len = read_config(argv[1]);
    if (len < 0) {
        perror(argv[1]);
        return 2;
    }
    status = credgate_gate_new(config, (size_t) len, &on.gate, &error);
    if (status != CREDGATE_OK) {
        return fail(argv[1], status, error);
    }
    log_warnings(on.gate);
    status = credgate_engine_new(NULL, 0, &on.engine, &error);
    if (status == CREDGATE_OK) {
        status = credgate_queue_new(on.engine, &on.queue, &error);
    }
    requests = calloc((size_t) argc, sizeof(*requests));
    if (requests == NULL) {
        abort();
    }
    result = status == CREDGATE_OK ? run(&on, requests, argc, argv)
                                   : fail("poll_loop", status, error);
    credgate_queue_free(on.queue);
    credgate_engine_free(on.engine);
    credgate_gate_free(on.gate);
    free(requests);
    return result;
}
