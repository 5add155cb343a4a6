/*
 * One exchange for a client whose id and secret the program has: sends a
 * request with the token.
 *
 *   CLIENT_ID=... CLIENT_SECRET=... forward CONFIG.json URL
 *
 * Prints the response of the URL. Exits with 0, with 1 if the client is
 * denied, and with 2 on an error. A gateway takes id and secret from requests,
 * and has more duties: see poll_loop.c.
 */

#include <credgate.h>
#include <curl/curl.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static char config[65536];


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


/* Sends the request with the headers of an allowed outcome. */
static int forward(credgate_outcome *outcome, const char *url)
{
    static char line[131072]; /* A token has at most 64 KiB. */
    size_t count = 0, i;
    credgate_header header;
    struct curl_slist *lines = NULL;
    CURL *curl = curl_easy_init();
    CURLcode code;

    for (i = 0;
         credgate_outcome_headers(outcome, i, &header, 1, sizeof(header),
                                  &count) == CREDGATE_OK && count == 1;
         i++)
    {
        if (header.value != NULL) {
            snprintf(line, sizeof(line), "%.*s: %.*s",
                     (int) header.name_len, header.name,
                     (int) header.value_len, header.value);
            lines = curl_slist_append(lines, line);
        }
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
    code = curl_easy_perform(curl);
    curl_slist_free_all(lines);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        fprintf(stderr, "%s: %s\n", url, curl_easy_strerror(code));
        return 2;
    }
    return 0;
}


/* Exchanges the credentials, and waits for the outcome if it is not cached. */
static int32_t authenticate(credgate_gate *gate, credgate_queue *queue,
    const char *id, const char *secret, credgate_outcome *outcome)
{
    credgate_request request = { .struct_size = sizeof(request) };
    credgate_completion completion = {
        .struct_size = sizeof(completion), .outcome = outcome,
    };
    struct pollfd watched = { .events = POLLIN };
    uint64_t ticket;
    int32_t status;

    request.method = "GET";
    request.method_len = strlen("GET");
    request.client_id = id;
    request.client_id_len = strlen(id);
    request.client_secret = secret;
    request.client_secret_len = strlen(secret);
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
    const char *id = getenv("CLIENT_ID"), *secret = getenv("CLIENT_SECRET");
    int32_t status;
    long len;
    int result;

    if (argc != 3 || id == NULL || secret == NULL) {
        fprintf(stderr, "usage: CLIENT_ID=... CLIENT_SECRET=..."
                        " forward CONFIG.json URL\n");
        return 2;
    }
    len = read_config(argv[1]);
    if (len < 0) {
        perror(argv[1]);
        return 2;
    }
    status = credgate_gate_new(config, (size_t) len, &gate, &error);
    if (status != CREDGATE_OK) {
        return fail(argv[1], status, error);
    }
    status = credgate_engine_new(NULL, 0, &engine, &error);
    if (status == CREDGATE_OK) {
        status = credgate_queue_new(engine, &queue, &error);
    }
    if (status == CREDGATE_OK) {
        status = authenticate(gate, queue, id, secret, &outcome);
    }
    if (status != CREDGATE_OK) {
        result = fail("forward", status, error);
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
