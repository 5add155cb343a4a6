/*
 * Forwards a request with a token in place of the client's credentials.
 *
 *   CLIENT_ID=... CLIENT_SECRET=... forward CONFIG.json URL
 *
 * Prints the response of the URL. Exits with 0, with 1 if the client is
 * denied, and with 2 on an error. A gateway with an event loop keeps gate,
 * engine and queue, and polls for many requests at a time: see poll_loop.c.
 */

#include <credgate.h>
#include <curl/curl.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static char config[65536];


static int fail(const char *what, credgate_error *error)
{
    const char *message = "";
    size_t len = 0;

    if (error != NULL) {
        credgate_error_message(error, &message, &len);
    }
    fprintf(stderr, "%s: %.*s\n", what, (int) len, message);
    credgate_error_free(error);
    return 2;
}


/* Reads a file into `config`; 0: it is empty or cannot be read. */
static size_t read_config(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t len = 0;

    if (file != NULL) {
        len = fread(config, 1, sizeof(config), file);
        fclose(file);
    }
    return len;
}


/* Sends the request with the headers of an allowed outcome. */
static int forward(credgate_outcome *outcome, const char *url)
{
    char line[32768];
    size_t first = 0, count = 0;
    credgate_header header;
    struct curl_slist *lines = NULL;
    CURL *curl = curl_easy_init();
    CURLcode code;

    credgate_outcome_headers(outcome, 0, &header, 1, sizeof(header), &count);
    while (first < count) {
        credgate_outcome_headers(outcome, first, &header, 1, sizeof(header),
                                 &count);
        if (header.value != NULL) {
            snprintf(line, sizeof(line), "%.*s: %.*s",
                     (int) header.name_len, header.name,
                     (int) header.value_len, header.value);
            lines = curl_slist_append(lines, line);
        }
        first++;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    code = curl_easy_perform(curl);
    curl_slist_free_all(lines);
    curl_easy_cleanup(curl);
    return code == CURLE_OK ? 0 : fail(curl_easy_strerror(code), NULL);
}


/* Exchanges the credentials, and waits for the outcome if it is not cached. */
static int authenticate(credgate_gate *gate, credgate_queue *queue,
    credgate_outcome *outcome)
{
    const char *id = getenv("CLIENT_ID"), *secret = getenv("CLIENT_SECRET");
    credgate_request request = { .struct_size = sizeof(request) };
    credgate_completion completion = {
        .struct_size = sizeof(completion), .outcome = outcome,
    };
    struct pollfd watched = { .events = POLLIN };
    uint64_t ticket;
    int32_t status;

    request.method = "GET";
    request.method_len = strlen("GET");
    request.client_id = id != NULL ? id : "";
    request.client_id_len = strlen(request.client_id);
    request.client_secret = secret != NULL ? secret : "";
    request.client_secret_len = strlen(request.client_secret);
    status = credgate_authenticate(gate, queue, &request, NULL, outcome,
                                   &ticket);
    if (status != CREDGATE_PENDING) {
        return status;
    }
    credgate_queue_fd(queue, &watched.fd);
    do {
        poll(&watched, 1, -1);
        status = credgate_queue_next(queue, &completion);
    } while (status == CREDGATE_EMPTY);
    return status;
}


int main(int argc, char **argv)
{
    credgate_gate *gate = NULL;
    credgate_engine *engine = NULL;
    credgate_queue *queue = NULL;
    credgate_error *error = NULL;
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    size_t len;
    int result;

    if (argc != 3) {
        return fail("usage: forward CONFIG.json URL", NULL);
    }
    len = read_config(argv[1]);
    if (len == 0) {
        perror(argv[1]);
        return 2;
    }
    if (credgate_gate_new(config, len, &gate, &error) != CREDGATE_OK
        || credgate_engine_new(NULL, 0, &engine, &error) != CREDGATE_OK
        || credgate_queue_new(engine, &queue, &error) != CREDGATE_OK)
    {
        result = fail(argv[1], error);
    } else if (authenticate(gate, queue, &outcome) != CREDGATE_OK) {
        result = fail("credgate_authenticate", NULL);
    } else if (outcome.http_status != 0) {
        fprintf(stderr, "%u %s: %.*s\n", (unsigned) outcome.http_status,
                credgate_cause_name(outcome.code),
                (int) outcome.detail_len, outcome.detail);
        result = 1;
    } else {
        result = forward(&outcome, argv[2]);
    }
    credgate_outcome_release(&outcome);
    credgate_queue_free(queue);
    credgate_engine_free(engine);
    credgate_gate_free(gate);
    return result;
}
