/*
 * Authenticates requests in a poll(2) loop, as a gateway's event loop does.
 *
 *   poll_loop CONFIG.json METHOD [AUTHORIZATION [QUERY]] ...
 *
 * Each further pair of arguments is another request; all requests run
 * concurrently. Prints one line for each outcome, in order of arrival. Exits
 * with 0 if all requests are allowed, 1 if one is denied, 2 on an error.
 */

#include <credgate.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int fail(const char *what, int32_t status, credgate_error *error)
{
    const char *message = "";
    size_t len = 0;

    if (error != NULL) {
        credgate_error_message(error, &message, &len);
    }
    fprintf(stderr, "%s: %s %.*s\n", what, credgate_status_name(status),
            (int) len, message);
    credgate_error_free(error);
    return 2;
}


static char *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    char *text = malloc(65536);

    *len = 0;
    if (file != NULL && text != NULL) {
        *len = fread(text, 1, 65536, file);
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}


/* Prints an outcome, but not its token, and releases it. */
static int settle(const char *name, credgate_outcome *outcome)
{
    int denied = outcome->http_status != 0;

    if (denied) {
        printf("%s: deny %u %s (%s) %.*s\n", name, (unsigned) outcome->http_status,
               credgate_cache_status_name(outcome->cache_status),
               credgate_cause_name(outcome->code),
               (int) outcome->body_len, outcome->body);
    } else {
        printf("%s: allow %s client %.*s, %zu bytes of token\n", name,
               credgate_cache_status_name(outcome->cache_status), (int) outcome->client_id_len,
               outcome->client_id,
               outcome->authorization_len - strlen("Bearer "));
    }
    credgate_outcome_release(outcome);
    return denied;
}


static credgate_request make_request(const char *method,
    const char *authorization, const char *query)
{
    credgate_request request = { .struct_size = sizeof(request) };

    request.method = method;
    request.method_len = strlen(method);
    if (authorization != NULL && *authorization != '\0') {
        request.authorization = authorization;
        request.authorization_len = strlen(authorization);
    }
    if (query != NULL && *query != '\0') {
        request.query = query;
        request.query_len = strlen(query);
    }
    return request;
}


/* Takes the outcomes that have arrived; returns their number. */
static int drain(credgate_queue *queue, int *denied)
{
    int arrived = 0;

    for ( ;; ) {
        credgate_outcome outcome = { .struct_size = sizeof(outcome) };
        credgate_completion completion = {
            .struct_size = sizeof(completion),
            .outcome = &outcome,
        };

        if (credgate_queue_next(queue, &completion) != CREDGATE_OK) {
            return arrived;
        }
        *denied |= settle(completion.user_data, &outcome);
        arrived++;
    }
}


/* Authenticates the requests of the command line, and waits for all outcomes. */
static int run(credgate_gate *gate, credgate_queue *queue, int argc,
    char **argv)
{
    int denied = 0, pending = 0, fd, i;
    int32_t status = credgate_queue_fd(queue, &fd);

    if (status != CREDGATE_OK) {
        return fail("credgate_queue_fd", status, NULL);
    }
    for (i = 3; i < argc || i == 3; i += 2) {
        credgate_outcome outcome = { .struct_size = sizeof(outcome) };
        credgate_request request = make_request(argv[2],
            i < argc ? argv[i] : NULL, i + 1 < argc ? argv[i + 1] : NULL);
        uint64_t ticket;
        char *name = "request";

        status = credgate_authenticate(gate, queue, &request, name, &outcome,
                                       &ticket);
        if (status == CREDGATE_PENDING) {
            pending++;
        } else if (status == CREDGATE_OK) {
            denied |= settle(name, &outcome);
        } else {
            return fail("credgate_authenticate", status, NULL);
        }
    }
    while (pending > 0) {
        struct pollfd watched = { .fd = fd, .events = POLLIN };

        if (poll(&watched, 1, 30000) != 1) {
            fprintf(stderr, "poll: no outcome within 30 s\n");
            return 2;
        }
        pending -= drain(queue, &denied);
    }
    return denied;
}


int main(int argc, char **argv)
{
    credgate_gate *gate = NULL;
    credgate_engine *engine = NULL;
    credgate_queue *queue = NULL;
    credgate_error *error = NULL;
    size_t len;
    char *json;
    int32_t status;
    int result;

    if (argc < 3) {
        fprintf(stderr, "usage: poll_loop CONFIG.json METHOD"
                        " [AUTHORIZATION [QUERY]] ...\n");
        return 2;
    }
    json = read_file(argv[1], &len);
    status = credgate_gate_new(json, len, &gate, &error);
    free(json);
    if (status != CREDGATE_OK) {
        return fail(argv[1], status, error);
    }
    status = credgate_engine_new(NULL, 0, &engine, &error);
    if (status == CREDGATE_OK) {
        status = credgate_queue_new(engine, &queue, &error);
    }
    result = status == CREDGATE_OK ? run(gate, queue, argc, argv)
                                   : fail("engine", status, error);
    credgate_queue_free(queue);
    credgate_engine_free(engine);
    credgate_gate_free(gate);
    return result;
}
