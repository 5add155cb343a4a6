/*
 * Assertions about the C ABI. Prints the name of each group that passes; a
 * failure prints its line and aborts.
 *
 *   abi ISSUER
 *
 * ISSUER is an http://127.0.0.1 URL with no listener.
 */

#include <credgate.h>

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define check(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "abi.c:%d: %s\n", __LINE__, #condition);          \
            abort();                                                          \
        }                                                                     \
    } while (0)

#define text(literal) (literal), (sizeof(literal) - 1)


static credgate_gate *make_gate(const char *issuer)
{
    char json[256];
    credgate_gate *gate = NULL;
    int len = snprintf(json, sizeof(json),
        "{\"issuer\": \"%s\", \"allow_loopback_http\": true}", issuer);

    check(credgate_gate_new(json, (size_t) len, &gate, NULL) == CREDGATE_OK);
    return gate;
}


static credgate_request make_request(const char *query)
{
    credgate_request request = { .struct_size = sizeof(request) };

    request.method = "GET";
    request.method_len = 3;
    request.query = query;
    request.query_len = query == NULL ? 0 : strlen(query);
    return request;
}


static void null_is_an_error_and_freeing_it_does_nothing(credgate_gate *gate,
    credgate_queue *queue)
{
    credgate_request request = make_request(NULL);
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_gate *new_gate;
    uint64_t ticket;
    uint32_t milliseconds;
    size_t len;
    bool wants;
    int fd;

    check(credgate_gate_new(NULL, 0, &new_gate, NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_new(NULL, 5, &new_gate, NULL)
          == CREDGATE_INVALID_ARGUMENT);
    check(credgate_gate_new(text("{}"), NULL, NULL) == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_timeout(NULL, &milliseconds)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_timeout(gate, NULL) == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_wants_body(NULL, &request, 0, &wants)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_wants_body(gate, NULL, 0, &wants)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_queue_new(NULL, NULL, NULL) == CREDGATE_NULL_ARGUMENT);
    check(credgate_queue_fd(NULL, &fd) == CREDGATE_NULL_ARGUMENT);
    check(credgate_queue_next(queue, NULL) == CREDGATE_NULL_ARGUMENT);
    check(credgate_ticket_cancel(NULL, 1) == CREDGATE_NULL_ARGUMENT);
    check(credgate_authenticate(NULL, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_authenticate(gate, NULL, &request, NULL, &outcome, &ticket)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_authenticate(gate, queue, NULL, NULL, &outcome, &ticket)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_authenticate(gate, queue, &request, NULL, NULL, &ticket)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_hide_query(gate, text("a=1"), NULL, 0, &len)
          == CREDGATE_BUFFER_TOO_SMALL);
    credgate_gate_free(NULL);
    credgate_engine_free(NULL);
    credgate_queue_free(NULL);
    credgate_error_free(NULL);
    credgate_outcome_release(NULL);
    puts("null_is_an_error_and_freeing_it_does_nothing");
}


static void only_header_of_a_name_is_found(void)
{
    struct { credgate_header_name name; const char *value; } headers[] = {
        { { 4, "host" }, "a.example" },
        { { 13, "authorization" }, "Basic YTpi" },
        { { 13, "authentication" }, "c" },
        { { 6, "accept" }, "*/*" },
        { { 6, "accept" }, "text/plain" },
    };
    const credgate_header_name *first = &headers[0].name;
    const size_t count = sizeof(headers) / sizeof(headers[0]);
    const size_t size = sizeof(headers[0]);
    size_t at = 99;

    check(credgate_header_find(first, count, size, text("accept"), &at)
          == CREDGATE_EMPTY);
    check(credgate_header_find(first, count, size, text("cookie"), &at)
          == CREDGATE_EMPTY);
    check(credgate_header_find(NULL, 0, size, text("accept"), &at)
          == CREDGATE_EMPTY);
    check(credgate_header_find(NULL, 1, size, text("accept"), &at)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_header_find(first, count, size, NULL, 0, &at)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_header_find(first, count, 8, text("accept"), &at)
          == CREDGATE_INVALID_ARGUMENT);
    check(credgate_header_find(first, count, size, text("accept"), NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(at == 99);
    check(credgate_header_find(first, count, size, text("authorization"), &at)
          == CREDGATE_OK);
    check(at == 1);
    puts("only_header_of_a_name_is_found");
}


static void traceparent_is_wanted_only_if_the_gate_forwards_it(
    credgate_gate *gate, credgate_queue *queue)
{
    static const char json[] =
        "{\"issuer\": \"https://a.example\", \"traceparent\": true}";
    credgate_request request = make_request(NULL);
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_gate *other = NULL;
    uint64_t ticket;
    bool wants = true;

    check(credgate_gate_wants_traceparent(NULL, &wants)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_wants_traceparent(gate, NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_wants_traceparent(gate, &wants) == CREDGATE_OK);
    check(!wants);
    check(credgate_gate_new(json, sizeof(json) - 1, &other, NULL)
          == CREDGATE_OK);
    check(credgate_gate_wants_traceparent(other, &wants) == CREDGATE_OK);
    check(wants);
    request.traceparent_len = 5;
    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_OK);
    credgate_outcome_release(&outcome);
    check(credgate_authenticate(other, queue, &request, NULL, &outcome,
                                &ticket) == CREDGATE_INVALID_ARGUMENT);
    credgate_gate_free(other);
    puts("traceparent_is_wanted_only_if_the_gate_forwards_it");
}


static void clients_become_text(credgate_engine *engine)
{
    static const char line[] =
        "credgate_client_requests_total{client_id=\"a\\\"b\","
        "result=\"denied\"} 2\n";
    credgate_client clients[2] = {
        { .client_id = "other", .client_id_len = 5 },
        { .client_id = "a\"b", .client_id_len = 3, .allowed = 1,
          .denied = 2 },
    };
    char out[1024];
    size_t count = 9, len;

    check(credgate_engine_clients(NULL, 0, clients, 2, sizeof(*clients),
                                  &count) == CREDGATE_NULL_ARGUMENT);
    check(credgate_engine_clients(engine, 0, NULL, 2, sizeof(*clients),
                                  &count) == CREDGATE_NULL_ARGUMENT);
    check(credgate_engine_clients(engine, 0, clients, 2, sizeof(*clients) - 1,
                                  &count) == CREDGATE_INVALID_ARGUMENT);
    check(credgate_engine_clients(engine, 0, clients, 2, sizeof(*clients),
                                  &count) == CREDGATE_OK);
    check(count == 0);
    check(credgate_clients_text(clients, 2, sizeof(*clients), NULL, 0, &len)
          == CREDGATE_BUFFER_TOO_SMALL);
    check(len < sizeof(out));
    check(credgate_clients_text(clients, 2, sizeof(*clients), out, len, &len)
          == CREDGATE_OK);
    check(len > sizeof(line));
    check(memcmp(out + len - sizeof(line) + 1, line, sizeof(line) - 1) == 0);
    check(credgate_clients_text(NULL, 0, sizeof(*clients), NULL, 0, &len)
          == CREDGATE_OK);
    check(len == 0);
    puts("clients_become_text");
}


static void page_shows_numbers_of_all_processes(credgate_engine *engine)
{
    static const char client_id[] = "<b>a";
    static const char record[] = "caf\xe9 & bar";
    uint64_t counters[CREDGATE_COUNTERS] = { 1, 2048, 3 };
    credgate_client client = { client_id, 4, 1200, 7 };
    credgate_string providers = { NULL, 0 };
    credgate_record records[1] = { { 951827696, record, 10,
                                     CREDGATE_LEVEL_WARNING } };
    credgate_page page = { 0 };
    const char *policy;
    char *out, state[64];
    size_t len, capacity;
    bool preferred;

    check(credgate_engine_providers(NULL, state, sizeof(state), &len)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_engine_providers(engine, state, 0, &len) == CREDGATE_OK);
    check(len == 0);
    check(credgate_engine_providers(engine, state, sizeof(state), &len)
          == CREDGATE_OK);
    providers.data = state;
    providers.len = len;

    page.struct_size = offsetof(credgate_page, without_engine) - 1;
    check(credgate_page_html(&page, NULL, 0, &len)
          == CREDGATE_INVALID_ARGUMENT);
    page.struct_size = sizeof(page);
    check(credgate_page_html(NULL, NULL, 0, &len) == CREDGATE_NULL_ARGUMENT);
    check(credgate_page_html(&page, NULL, 0, &len)
          == CREDGATE_INVALID_ARGUMENT);
    page.counters_len = CREDGATE_COUNTERS;
    check(credgate_page_html(&page, NULL, 0, &len) == CREDGATE_NULL_ARGUMENT);
    page.counters = counters;
    page.processes = 2;
    page.clients = &client;
    page.clients_len = 1;
    page.client_size = sizeof(client);
    page.providers = &providers;
    page.providers_len = 1;
    page.string_size = sizeof(providers);
    page.records = records;
    page.records_len = 1;
    page.record_size = sizeof(*records) - 1;
    check(credgate_page_html(&page, NULL, 0, &len)
          == CREDGATE_INVALID_ARGUMENT);
    page.record_size = sizeof(*records);
    page.string_size = 1;
    check(credgate_page_html(&page, NULL, 0, &len)
          == CREDGATE_INVALID_ARGUMENT);
    page.string_size = sizeof(providers);
    check(credgate_page_html(&page, NULL, 0, &capacity)
          == CREDGATE_BUFFER_TOO_SMALL);
    out = malloc(capacity + 1);
    check(out != NULL);
    check(credgate_page_html(&page, out, capacity, &len) == CREDGATE_OK);
    check(len == capacity);
    out[len] = '\0';
    check(strncmp(out, "<!doctype html>", 15) == 0);
    check(strstr(out, "2 processes") != NULL);
    check(strstr(out, "<code>&lt;b&gt;a</code>") != NULL);
    check(strstr(out, "2.0 KiB") != NULL);
    check(strstr(out, "2000-02-29") != NULL);
    check(strstr(out, "caf\xef\xbf\xbd &amp; bar") != NULL);
    free(out);

    check(credgate_page_metrics(NULL, NULL, 0, &len)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_page_report(NULL, NULL, 0, &len) == CREDGATE_NULL_ARGUMENT);
    page.without_engine = 1;
    check(credgate_counters_deny(counters, CREDGATE_COUNTERS, CREDGATE_OK)
          == CREDGATE_INVALID_ARGUMENT);
    check(credgate_counters_deny(counters, 1, CREDGATE_INTERNAL)
          == CREDGATE_INVALID_ARGUMENT);
    check(credgate_counters_deny(NULL, CREDGATE_COUNTERS, CREDGATE_INTERNAL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_counters_deny(counters, CREDGATE_COUNTERS,
                                 CREDGATE_INTERNAL) == CREDGATE_OK);
    check(credgate_page_metrics(&page, NULL, 0, &capacity)
          == CREDGATE_BUFFER_TOO_SMALL);
    out = malloc(capacity + 1);
    check(out != NULL);
    check(credgate_page_metrics(&page, out, capacity, &len) == CREDGATE_OK);
    out[len] = '\0';
    check(strstr(out, "\ncredgate_workers_without_engine 1\n") != NULL);
    check(strstr(out, "{cause=\"internal\"} 1\n") != NULL);
    check(strstr(out, "{outcome=\"deny\",cache_status=\"none\"} 1\n")
          != NULL);
    check(strstr(out, "{client_id=\"<b>a\",result=\"denied\"} 7\n") != NULL);
    check(credgate_page_report(&page, out, capacity, &len) == CREDGATE_OK);
    out[len] = '\0';
    check(strstr(out, "\"providers\":[") != NULL);
    free(out);

    check(credgate_page_policy(NULL, &len) == CREDGATE_NULL_ARGUMENT);
    check(credgate_page_policy(&policy, &len) == CREDGATE_OK);
    check(strncmp(policy, "default-src 'none'; ", 20) == 0);
    check(credgate_page_is_preferred(NULL, 0, NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_page_is_preferred(NULL, 0, &preferred) == CREDGATE_OK);
    check(!preferred);
    check(credgate_page_is_preferred(text("text/html, */*;q=0.8"), &preferred)
          == CREDGATE_OK);
    check(preferred);
    puts("page_shows_numbers_of_all_processes");
}


static void struct_below_the_minimum_size_is_an_error(credgate_gate *gate,
    credgate_queue *queue)
{
    credgate_request request = make_request(NULL);
    credgate_outcome outcome = { .struct_size = sizeof(outcome) - 1 };
    uint64_t ticket;

    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_INVALID_ARGUMENT);
    outcome.struct_size = sizeof(outcome);
    /* version 1 ends before this field */
    request.struct_size = offsetof(credgate_request, traceparent) - 1;
    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_INVALID_ARGUMENT);
    puts("struct_below_the_minimum_size_is_an_error");
}


static void error_names_the_field_to_change(void)
{
    credgate_gate *gate = NULL;
    credgate_error *error = NULL;
    const char *field, *message, *fields;
    size_t field_len, len;
    static const char whole[] = "isuer: unknown field; did you mean \"issuer\"?\n"
                                "timeout: invalid type: ";

    check(credgate_gate_new(text("{\"isuer\": \"https://a.example\", "
                                 "\"timeout\": \"1s\"}"),
                            &gate, &error)
          == CREDGATE_CONFIG_UNKNOWN_FIELD);
    check(gate == NULL);
    check(credgate_error_message(error, &message, &len) == CREDGATE_OK);
    check(memcmp(message, whole, sizeof(whole) - 1) == 0);
    check(credgate_error_problem(error, 0, &field, &field_len, &message, &len)
          == CREDGATE_OK);
    check(field_len == 5 && memcmp(field, "isuer", 5) == 0);
    check(memcmp(message, "unknown field; ", 15) == 0);
    check(credgate_error_problem(error, 1, &field, &field_len, &message, &len)
          == CREDGATE_OK);
    check(field_len == 7 && memcmp(field, "timeout", 7) == 0);
    check(credgate_error_problem(error, 2, &field, &field_len, &message, &len)
          == CREDGATE_EMPTY);
    check(credgate_error_problem(NULL, 0, &field, &field_len, &message, &len)
          == CREDGATE_NULL_ARGUMENT);
    credgate_error_free(error);
    error = NULL;
    check(credgate_gate_new(text("{"), &gate, &error) == CREDGATE_CONFIG_SYNTAX);
    check(credgate_error_problem(error, 0, &field, &field_len, &message, &len)
          == CREDGATE_OK);
    check(field_len == 0 && len > 0);
    credgate_error_free(error);
    check(credgate_config_fields(&fields, &len) == CREDGATE_OK);
    check(memcmp(fields, "[\n{\"", 4) == 0 && fields[len - 2] == ']');
    check(credgate_config_fields(NULL, &len) == CREDGATE_NULL_ARGUMENT);
    check(strcmp(credgate_status_name(CREDGATE_CONFIG_UNKNOWN_FIELD),
                 "CONFIG_UNKNOWN_FIELD") == 0);
    check(strcmp(credgate_status_name(77), "UNKNOWN") == 0);
    puts("error_names_the_field_to_change");
}


static void options_are_checked_without_an_engine(void)
{
    credgate_error *error = NULL;
    const char *field, *message;
    size_t field_len, len;

    check(credgate_engine_check(NULL, 0, &error) == CREDGATE_OK);
    check(credgate_engine_check(text("{\"store\": \"sqlite:/nowhere/a.db\"}"),
                                &error) == CREDGATE_OK);
    check(error == NULL);
    check(credgate_engine_check(text("{\"store\": \"redis://:s3cret@/0\"}"),
                                &error) == CREDGATE_CONFIG_VALUE);
    check(credgate_error_message(error, &message, &len) == CREDGATE_OK);
    check(len == strlen("engine options: store: is not a URL (empty host)"));
    check(memcmp(message, "engine options: store: is not a URL (empty host)", len)
          == 0);
    check(credgate_error_problem(error, 0, &field, &field_len, &message, &len)
          == CREDGATE_OK);
    check(field_len == 5 && memcmp(field, "store", 5) == 0);
    credgate_error_free(error);
    check(credgate_engine_check(text("{\"stroe\": 1}"), NULL)
          == CREDGATE_CONFIG_VALUE);
    check(credgate_engine_check(text("{\"store\": \"sqlite:/nowhere/a.db\", "
                                     "\"store_pepper_file\": \"/dev/null\"}"),
                                NULL)
          == CREDGATE_CONFIG_FILE);
    puts("options_are_checked_without_an_engine");
}


static void denial_without_credentials_is_immediate(credgate_gate *gate,
    credgate_queue *queue)
{
    credgate_request request = make_request("x=1");
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    uint64_t ticket;

    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_OK);
    check(outcome.http_status == 401);
    check(outcome.code == CREDGATE_NO_CREDENTIALS);
    check(outcome.cache_status == CREDGATE_CACHE_STATUS_NONE);
    check(outcome.client_id_len == 0 && outcome.authorization_len == 0);
    check(outcome.body_len == strlen("{\"message\":\"Unauthorized\"}"));
    check(memcmp(outcome.challenge, "Basic realm=\"127.0.0.1\"", 23) == 0);
    credgate_outcome_release(&outcome);
    credgate_outcome_release(&outcome);
    check(outcome.struct_size == sizeof(outcome) && outcome.body == NULL);
    puts("denial_without_credentials_is_immediate");
}


static void named_headers_are_a_place(credgate_queue *queue)
{
    static const char id[] = "x-client-id", secret[] = "x-client-secret";

    credgate_request request = make_request("x=1");
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_header headers[4];
    credgate_gate *gate;
    const char *name;
    uint64_t ticket;
    size_t len, count;

    check(credgate_gate_new(text("{\"issuer\": \"https://idp.example\", "
                                 "\"client_id_header\": \"X-Client-Id\", "
                                 "\"client_secret_header\": "
                                 "\"X-Client-Secret\"}"),
                            &gate, NULL) == CREDGATE_OK);
    check(credgate_gate_credential_header(gate, 0, &name, &len) == CREDGATE_OK);
    check(len == strlen(id) && memcmp(name, id, len) == 0);
    check(credgate_gate_credential_header(gate, 1, &name, &len) == CREDGATE_OK);
    check(len == strlen(secret) && memcmp(name, secret, len) == 0);
    check(credgate_gate_credential_header(gate, 2, &name, &len)
          == CREDGATE_EMPTY);

    request.client_id_header = "alice";
    request.client_id_header_len = strlen("alice");
    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_OK);
    check(outcome.code == CREDGATE_INCOMPLETE_PAIR);
    credgate_outcome_release(&outcome);

    request.client_secret_header = "";
    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_OK);
    check(outcome.code == CREDGATE_EMPTY_CREDENTIAL);
    credgate_outcome_release(&outcome);

    request.repeated_header = 1;
    check(credgate_authenticate(gate, queue, &request, NULL, &outcome, &ticket)
          == CREDGATE_OK);
    check(outcome.code == CREDGATE_REPEATED_PARAMETER);

    credgate_outcome_release(&outcome);
    check(credgate_gate_bypass(gate, &outcome) == CREDGATE_OK);
    check(outcome.authorization_only == 0);
    check(credgate_outcome_headers(&outcome, 0, headers, 4, sizeof(headers[0]),
                                   &count) == CREDGATE_OK);
    check(count == 3);
    check(memcmp(headers[0].name, id, headers[0].name_len) == 0);
    check(memcmp(headers[1].name, secret, headers[1].name_len) == 0);
    check(headers[0].value == NULL && headers[1].value == NULL);

    credgate_outcome_release(&outcome);
    credgate_gate_free(gate);
    puts("named_headers_are_a_place");
}


/* Waits for one completion; returns its user_data. */
static void *wait_for_one(credgate_queue *queue)
{
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_completion completion = {
        .struct_size = sizeof(completion),
        .outcome = &outcome,
    };
    struct pollfd watched = { .events = POLLIN };

    check(credgate_queue_fd(queue, &watched.fd) == CREDGATE_OK);
    check(poll(&watched, 1, 30000) == 1);
    check(credgate_queue_next(queue, &completion) == CREDGATE_OK);
    check(outcome.http_status == 502);
    check(outcome.retry_after > 0);
    check(outcome.detail_len > 0);
    credgate_outcome_release(&outcome);
    check(credgate_queue_next(queue, &completion) == CREDGATE_EMPTY);
    check(poll(&watched, 1, 0) == 0);
    return completion.user_data;
}


static void cancelled_ticket_never_completes(credgate_gate *gate,
    credgate_queue *queue)
{
    credgate_request request = make_request("client_id=a&client_secret=b");
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    uint64_t cancelled, kept;
    int one, two;

    check(credgate_authenticate(gate, queue, &request, &one, &outcome,
                                &cancelled) == CREDGATE_PENDING);
    check(credgate_authenticate(gate, queue, &request, &two, &outcome, &kept)
          == CREDGATE_PENDING);
    check(credgate_ticket_cancel(queue, cancelled) == CREDGATE_OK);
    check(credgate_ticket_cancel(queue, cancelled) == CREDGATE_OK);
    check(credgate_ticket_cancel(queue, UINT64_MAX) == CREDGATE_OK);
    check(wait_for_one(queue) == &two);
    puts("cancelled_ticket_never_completes");
}


static void connection_receives_a_byte_when_an_outcome_arrives(
    credgate_gate *gate, credgate_queue *queue)
{
    credgate_request request = make_request("client_id=not&client_secret=this");
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    uint64_t ticket;
    size_t len;
    char byte;
    int bell = socket(AF_UNIX, SOCK_STREAM, 0);

    check(credgate_doorbells() == 0);
    check(credgate_queue_accept(queue, NULL) == CREDGATE_SYSTEM);
    check(credgate_queue_listen(queue, address.sun_path, 3, &len, NULL)
          == CREDGATE_BUFFER_TOO_SMALL);
    check(credgate_queue_listen(queue, address.sun_path,
                                sizeof(address.sun_path) - 1, &len, NULL)
          == CREDGATE_OK);
    check(connect(bell, (struct sockaddr *) &address, sizeof(address)) == 0);
    check(credgate_queue_accept(queue, NULL) == CREDGATE_OK);
    check(access(address.sun_path, F_OK) == -1);
    check(credgate_doorbells() == 1);

    request.client_id = "bell";
    request.client_id_len = 4;
    check(credgate_authenticate(gate, queue, &request, &byte, &outcome,
                                &ticket) == CREDGATE_NULL_ARGUMENT);
    request.client_secret = "s3cret";
    request.client_secret_len = 6;
    check(credgate_authenticate(gate, queue, &request, &byte, &outcome,
                                &ticket) == CREDGATE_PENDING);
    check(read(bell, &byte, 1) == 1);
    check(wait_for_one(queue) == &byte);
    check(credgate_queue_hang_up(queue) == CREDGATE_OK);
    check(read(bell, &byte, 1) == 0);
    check(credgate_doorbells() == 0);
    close(bell);
    puts("connection_receives_a_byte_when_an_outcome_arrives");
}


static void credentials_are_hidden_and_redacted(credgate_gate *gate)
{
    char out[64], query[] = "a=1&client_secret=b&client_id=c&d=%20";
    char line[] = "GET /?client_secret=b HTTP/1.1";
    bool contains;
    const char json[] = "{\"client_id\":\"a\",\"x\":1,\"client_secret\":\"b\"}";
    size_t len;

    check(credgate_gate_hide_query(gate, query, strlen(query), out, sizeof(out), &len)
          == CREDGATE_OK);
    check(len == 9 && memcmp(out, "a=1&d=%20", 9) == 0);
    check(credgate_gate_hide_body(gate, text("application/json"), text(json), out,
                             sizeof(out), &len) == CREDGATE_OK);
    check(len == 7 && memcmp(out, "{\"x\":1}", 7) == 0);
    check(credgate_gate_hide_body(gate, NULL, 0, text(json), out, sizeof(out), &len)
          == CREDGATE_OK);
    check(len == strlen(json));
    check(credgate_query_redact(query, strlen(query)) == CREDGATE_OK);
    check(strcmp(query, "a=1&client_secret=*&client_id=c&d=%20") == 0);
    check(credgate_text_contains_secret(text(line), &contains) == CREDGATE_OK
          && contains);
    check(credgate_text_redact(line, strlen(line)) == CREDGATE_OK);
    check(strcmp(line, "GET /?client_secret=* HTTP/1.1") == 0);
    check(credgate_text_contains_secret(text(line), &contains) == CREDGATE_OK
          && !contains);
    puts("credentials_are_hidden_and_redacted");
}


/* Counts the threads named "credgate*"; returns one's blocked signals too. */
static int count_threads(unsigned long long *signals_blocked)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int count = 0;

    check(tasks != NULL);
    while ((task = readdir(tasks)) != NULL) {
        char path[300], line[128];
        unsigned long long blocked = 0;
        int is_ours = 0;
        FILE *status;

        if (task->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/self/task/%s/status",
                 task->d_name);
        status = fopen(path, "r");
        check(status != NULL);
        while (fgets(line, sizeof(line), status) != NULL) {
            is_ours |= strncmp(line, "Name:\tcredgate", 14) == 0;
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(status);
        if (is_ours) {
            count++;
            *signals_blocked = blocked;
        }
    }
    closedir(tasks);
    return count;
}


static void handles_return_wrong_process_after_a_fork(credgate_gate *gate,
    credgate_engine *engine, credgate_queue *queue)
{
    credgate_request request = make_request("client_id=a&client_secret=b");
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_completion completion = {
        .struct_size = sizeof(completion),
        .outcome = &outcome,
    };
    credgate_engine *own = NULL;
    credgate_queue *new_queue = NULL;
    uint64_t ticket;
    int fd, status;
    pid_t child = fork();

    check(child != -1);
    if (child == 0) {
        alarm(30);
        check(credgate_authenticate(gate, queue, &request, NULL, &outcome,
                                    &ticket) == CREDGATE_WRONG_PROCESS);
        check(credgate_queue_next(queue, &completion)
              == CREDGATE_WRONG_PROCESS);
        check(credgate_queue_fd(queue, &fd) == CREDGATE_WRONG_PROCESS);
        check(credgate_ticket_cancel(queue, 1) == CREDGATE_WRONG_PROCESS);
        check(credgate_queue_new(engine, &new_queue, NULL)
              == CREDGATE_WRONG_PROCESS);
        credgate_queue_free(queue);
        credgate_engine_free(engine);
        check(credgate_engine_new(NULL, 0, &own, NULL) == CREDGATE_OK);
        check(credgate_queue_new(own, &new_queue, NULL) == CREDGATE_OK);
        check(credgate_authenticate(gate, new_queue, &request, &fd, &outcome,
                                    &ticket) == CREDGATE_PENDING);
        check(wait_for_one(new_queue) == &fd);
        credgate_queue_free(new_queue);
        credgate_engine_free(own);
        credgate_gate_free(gate);
        _exit(0);
    }
    check(waitpid(child, &status, 0) == child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check(credgate_authenticate(gate, queue, &request, &fd, &outcome, &ticket)
          == CREDGATE_PENDING);
    check(wait_for_one(queue) == &fd);
    puts("handles_return_wrong_process_after_a_fork");
}


static void derived_gates_have_places_and_responses_of_their_own(
    credgate_gate *gate, credgate_queue *queue)
{
    credgate_request request = make_request("client_id=a&client_secret=b");
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_gate *endpoint = NULL, *check_gate = NULL, *bearer = NULL;
    credgate_error *error = NULL;
    const char *said;
    size_t len;
    static const char form[] = "grant_type=password";
    static const char body[] = "{\"error\":\"unsupported_grant_type\",";

    check(credgate_gate_token_endpoint(NULL, &endpoint, NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_token_endpoint(gate, NULL, NULL)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_gate_external(gate, &check_gate, NULL) == CREDGATE_OK);
    check(credgate_authenticate_at_once(check_gate, queue, &request, &outcome)
          == CREDGATE_OK);
    check(outcome.code == CREDGATE_NO_CREDENTIALS);
    credgate_outcome_release(&outcome);

    check(credgate_gate_token_endpoint(gate, &endpoint, NULL) == CREDGATE_OK);
    request = make_request(NULL);
    request.method = "POST";
    request.method_len = 4;
    request.content_type = "application/x-www-form-urlencoded";
    request.content_type_len = strlen(request.content_type);
    request.body = form;
    request.body_len = sizeof(form) - 1;
    check(credgate_authenticate_at_once(endpoint, queue, &request, &outcome)
          == CREDGATE_OK);
    check(outcome.code == CREDGATE_UNSUPPORTED_GRANT_TYPE);
    check(outcome.http_status == 400);
    check(memcmp(outcome.body, body, sizeof(body) - 1) == 0);
    check(credgate_outcome_token_response(&outcome, &said, &len)
          == CREDGATE_EMPTY);
    check(credgate_outcome_token_response(NULL, &said, &len)
          == CREDGATE_NULL_ARGUMENT);
    credgate_outcome_release(&outcome);
    credgate_gate_free(endpoint);
    credgate_gate_free(check_gate);

    check(credgate_gate_new(text("{\"issuer\": \"https://a.example\","
                                 "\"auth_methods\": [\"bearer\"],"
                                 "\"audience_required\": [\"a\"]}"),
                            &bearer, NULL) == CREDGATE_OK);
    endpoint = NULL;
    check(credgate_gate_token_endpoint(bearer, &endpoint, &error)
          == CREDGATE_CONFIG_VALUE);
    check(endpoint == NULL);
    check(credgate_error_message(error, &said, &len) == CREDGATE_OK);
    check(memcmp(said, "auth_methods: ", 14) == 0);
    credgate_error_free(error);
    credgate_gate_free(bearer);
    puts("derived_gates_have_places_and_responses_of_their_own");
}


int main(int argc, char **argv)
{
    credgate_gate *gate;
    credgate_engine *engine = NULL, *again = NULL;
    credgate_queue *queue = NULL;
    unsigned long long blocked;
    int tries;

    check(argc == 2);
    check(credgate_abi_version() == CREDGATE_ABI_VERSION);
    gate = make_gate(argv[1]);
    check(credgate_engine_new(NULL, 0, &engine, NULL) == CREDGATE_OK);
    check(credgate_engine_new(NULL, 0, &again, NULL) == CREDGATE_OK);
    credgate_engine_free(again);
    check(credgate_queue_new(engine, &queue, NULL) == CREDGATE_OK);
    check(count_threads(&blocked) == 0);

    null_is_an_error_and_freeing_it_does_nothing(gate, queue);
    struct_below_the_minimum_size_is_an_error(gate, queue);
    only_header_of_a_name_is_found();
    traceparent_is_wanted_only_if_the_gate_forwards_it(gate, queue);
    clients_become_text(engine);
    page_shows_numbers_of_all_processes(engine);
    error_names_the_field_to_change();
    options_are_checked_without_an_engine();
    check(credgate_engine_follow_purge(NULL, NULL, 0)
          == CREDGATE_NULL_ARGUMENT);
    check(credgate_engine_follow_purge(engine, text("alice")) == CREDGATE_OK);
    denial_without_credentials_is_immediate(gate, queue);
    named_headers_are_a_place(queue);
    credentials_are_hidden_and_redacted(gate);
    derived_gates_have_places_and_responses_of_their_own(gate, queue);
    check(count_threads(&blocked) == 0);
    cancelled_ticket_never_completes(gate, queue);
    connection_receives_a_byte_when_an_outcome_arrives(gate, queue);
    check(count_threads(&blocked) == 1);
    check(blocked & (1ULL << (SIGQUIT - 1)));
    check(!(blocked & (1ULL << (SIGSEGV - 1))));
    handles_return_wrong_process_after_a_fork(gate, engine, queue);

    credgate_queue_free(queue);
    credgate_engine_free(engine);
    /* A joined thread remains in /proc for a moment. */
    for (tries = 0; count_threads(&blocked) != 0 && tries < 5000; tries++) {
        usleep(1000);
    }
    check(count_threads(&blocked) == 0);
    credgate_gate_free(gate);
    puts("thread_ends_with_the_last_handle");
    return 0;
}
