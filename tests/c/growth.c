/*
 * A host whose structs differ in size from the library's: an older host with a
 * newer library, or the reverse. The bytes behind each struct are canaries that
 * the library must neither use nor overwrite.
 *
 *   growth CONFIG.json AUTHORIZATION
 *
 * GROWN is the number of canary bytes that the stated sizes include, as if a
 * later header had more fields.
 */

#include <credgate.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANARIES 64
#define CANARY 0xA5

/* The size of version 1, the minimum. */
#define COMPLETION_V1_SIZE 24

#define check(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "growth.c:%d: %s\n", __LINE__, #condition);       \
            abort();                                                          \
        }                                                                     \
    } while (0)

/* Declares a struct with canaries behind it. */
#define guarded(type, name)                                                   \
    struct {                                                                  \
        type known;                                                           \
        unsigned char canaries[CANARIES];                                     \
    } name

#define init(name)                                                            \
    do {                                                                      \
        memset(&(name).known, 0, sizeof((name).known));                       \
        memset((name).canaries, CANARY, CANARIES);                            \
    } while (0)

#define STATED(name) (sizeof((name).known) + GROWN)

#define check_canaries(name) check(are_untouched((name).canaries))


static int are_untouched(const unsigned char *canaries)
{
    int i;

    for (i = 0; i < CANARIES; i++) {
        if (canaries[i] != CANARY) {
            return 0;
        }
    }
    return 1;
}


static credgate_gate *make_gate(const char *path)
{
    static char json[4096];
    credgate_gate *gate = NULL;
    FILE *file = fopen(path, "rb");
    size_t len;

    check(file != NULL);
    len = fread(json, 1, sizeof(json), file);
    fclose(file);
    check(credgate_gate_new(json, len, &gate, NULL) == CREDGATE_OK);
    return gate;
}


typedef guarded(credgate_outcome, guarded_outcome);
typedef guarded(credgate_request, guarded_request);


static void init_outcome(guarded_outcome *outcome)
{
    init(*outcome);
    outcome->known.struct_size = STATED(*outcome);
}


static void read_allowed_outcome(credgate_engine *engine,
    guarded_outcome *outcome)
{
    struct {
        credgate_header known;
        unsigned char canaries[GROWN + 8];
    } headers[4];
    const char *value;
    size_t count, len;
    uint64_t seconds;
    bool dropped;

    memset(headers, CANARY, sizeof(headers));
    check(outcome->known.http_status == 0);
    check(outcome->known.struct_size == STATED(*outcome));
    check(memcmp(outcome->known.client_id, "alice", 5) == 0);
    check(outcome->known.authorization_len > strlen("Bearer "));
    check(outcome->known.authorization_only == 0);
    check(credgate_outcome_headers(&outcome->known, 0, &headers[0].known, 4,
                                   sizeof(credgate_header) - 1, &count)
          == CREDGATE_INVALID_ARGUMENT);
    if (GROWN == 0) {
        /* an array of today's headers, without canaries between them */
        credgate_header plain[4];

        memset(plain, CANARY, sizeof(plain));
        check(credgate_outcome_headers(&outcome->known, 0, plain, 3,
                                       sizeof(credgate_header), &count)
              == CREDGATE_OK);
        check(count == 2);
        check(plain[0].name_len == strlen("authorization"));
        check(memcmp(plain[1].value, "alice", 5) == 0);
        check(((unsigned char *) &plain[2])[0] == CANARY);
    } else {
        check(credgate_outcome_headers(&outcome->known, 0, &headers[0].known,
                                       4, sizeof(headers[0]), &count)
              == CREDGATE_OK);
        check(count == 2);
        check(headers[0].known.name_len == strlen("authorization"));
        check(memcmp(headers[1].known.value, "alice", 5) == 0);
        check(headers[0].canaries[0] == CANARY);
        check(headers[1].canaries[0] == CANARY);
    }
    check(credgate_outcome_claim(&outcome->known, "sub", 3, &value, &len)
          == CREDGATE_OK);
    check(len == 5 && memcmp(value, "alice", 5) == 0);
    check(credgate_outcome_expires_in(&outcome->known, &seconds)
          == CREDGATE_OK);
    check(seconds > 0);
    check(credgate_outcome_upstream_status(&outcome->known, engine, 200,
                                           &dropped) == CREDGATE_OK);
    check_canaries(*outcome);
    credgate_outcome_release(&outcome->known);
    check(outcome->known.authorization == NULL);
    check(outcome->known.struct_size == STATED(*outcome));
    credgate_outcome_release(&outcome->known);
    check_canaries(*outcome);
}


static void check_requests(credgate_gate *gate, credgate_engine *engine,
    credgate_queue *queue, const char *authorization)
{
    guarded_request request;
    guarded_outcome outcome;
    guarded(credgate_completion, completion);
    struct {
        credgate_string known;
        unsigned char canaries[GROWN];
    } args[2];
    struct pollfd watched = { .events = POLLIN };
    uint64_t ticket;
    bool wants;

    init(request);
    init_outcome(&outcome);
    init(completion);
    memset(args, CANARY, sizeof(args));
    args[0].known.data = "one";
    args[0].known.len = 3;
    args[1].known.data = "second";
    args[1].known.len = 6;
    request.known.struct_size = STATED(request);
    request.known.method = "GET";
    request.known.method_len = 3;
    request.known.authorization = authorization;
    request.known.authorization_len = strlen(authorization);
    request.known.args = &args[0].known;
    request.known.args_len = 2;
    request.known.arg_size = sizeof(args[0]);
    completion.known.struct_size = STATED(completion);
    completion.known.outcome = &outcome.known;

    check(credgate_gate_wants_body(gate, &request.known, -1, &wants)
          == CREDGATE_OK);
    check(credgate_authenticate(gate, queue, &request.known, &ticket,
                                &outcome.known, &ticket) == CREDGATE_PENDING);
    check(credgate_queue_fd(queue, &watched.fd) == CREDGATE_OK);
    check(poll(&watched, 1, 30000) == 1);
    completion.known.struct_size = COMPLETION_V1_SIZE - 1;
    check(credgate_queue_next(queue, &completion.known)
          == CREDGATE_INVALID_ARGUMENT);
    completion.known.struct_size = STATED(completion);
    check(credgate_queue_next(queue, &completion.known) == CREDGATE_OK);
    check(completion.known.user_data == &ticket);
    check(completion.known.outcome == &outcome.known);
    check(outcome.known.cache_status == CREDGATE_CACHE_STATUS_MISS);
    check_canaries(completion);
    read_allowed_outcome(engine, &outcome);
    puts("a completion");

    check(credgate_authenticate(gate, queue, &request.known, NULL,
                                &outcome.known, &ticket) == CREDGATE_OK);
    check(outcome.known.cache_status == CREDGATE_CACHE_STATUS_HIT);
    read_allowed_outcome(engine, &outcome);
    puts("a hit");

    request.known.authorization = NULL;
    request.known.authorization_len = 0;
    check(credgate_authenticate(gate, queue, &request.known, NULL,
                                &outcome.known, &ticket) == CREDGATE_OK);
    check(outcome.known.code == CREDGATE_NO_CREDENTIALS);
    check(outcome.known.body_len > 0);
    check_canaries(outcome);
    credgate_outcome_release(&outcome.known);
    check(credgate_gate_deny(gate, CREDGATE_PROVIDER_TIMEOUT, &outcome.known)
          == CREDGATE_OK);
    check(outcome.known.http_status == 504);
    credgate_outcome_release(&outcome.known);
    check_canaries(outcome);
    check_canaries(request);
    puts("a denial");

    check(credgate_gate_bypass(gate, &outcome.known) == CREDGATE_OK);
    check(outcome.known.http_status == 0);
    check(outcome.known.authorization_len == 0);
    check(outcome.known.authorization_only == 0);
    credgate_outcome_release(&outcome.known);
    check_canaries(outcome);
    puts("a bypass");
}


static void check_counters(credgate_engine *engine)
{
    uint64_t numbers[CREDGATE_COUNTERS + GROWN + 1];
    char text[32768];
    size_t count = CREDGATE_COUNTERS + GROWN, len, i;

    memset(numbers, CANARY, sizeof(numbers));
    check(credgate_engine_counters(engine, numbers, CREDGATE_COUNTERS_V1 - 1)
          == CREDGATE_BUFFER_TOO_SMALL);
    check(credgate_engine_counters(engine, numbers, count) == CREDGATE_OK);
    check(numbers[0] == 1);                      /* tokens in the cache */
    for (i = 3; i < CREDGATE_GAUGES; i++) {
        check(numbers[i] == 0);
    }
    for (i = CREDGATE_COUNTERS; i < count; i++) {
        check(numbers[i] == 0);
    }
    check(((unsigned char *) &numbers[count])[0] == CANARY);
    check(credgate_counters_text(numbers, CREDGATE_COUNTERS_V1 - 1, text,
                                 sizeof(text), &len)
          == CREDGATE_INVALID_ARGUMENT);
    check(credgate_counters_text(numbers, count, text, sizeof(text) - 1, &len)
          == CREDGATE_OK);
    text[len] = '\0';
    check(strstr(text, "\ncredgate_cache_entries 1\n") != NULL);
    check(credgate_counters_report(numbers, count, text, sizeof(text), &len)
          == CREDGATE_OK);
    puts("counters");
}


static void check_clients(credgate_engine *engine)
{
    struct {
        credgate_client known;
        unsigned char canaries[GROWN];
    } clients[3];
    size_t count, len;
    char text[4096];

    memset(clients, CANARY, sizeof(clients));
    check(credgate_engine_clients(engine, 0, &clients[0].known, 3,
                                  sizeof(clients[0]), &count) == CREDGATE_OK);
    check(count == 2);
    check(memcmp(clients[0].known.client_id, "other", 5) == 0);
    check(memcmp(clients[1].known.client_id, "alice", 5) == 0);
    check(clients[1].known.allowed == 2);
    check(clients[1].known.denied == 0);
    check(((unsigned char *) (&clients[1].known + 1))[0] == CANARY);
    check(credgate_clients_text(&clients[0].known, count, sizeof(clients[0]),
                                text, sizeof(text) - 1, &len) == CREDGATE_OK);
    text[len] = '\0';
    check(strstr(text, "{client_id=\"alice\",result=\"allowed\"} 2\n")
          != NULL);
    puts("clients");
}


static void check_page(credgate_engine *engine)
{
    uint64_t numbers[CREDGATE_COUNTERS] = { 0 };
    guarded(credgate_page, page);
    struct {
        credgate_record known;
        unsigned char canaries[GROWN];
    } records[2];
    struct {
        credgate_string known;
        unsigned char canaries[GROWN];
    } states[2];
    static char state[1024], text[65536];
    size_t len;

    init(page);
    memset(records, CANARY, sizeof(records));
    memset(states, CANARY, sizeof(states));
    check(credgate_engine_providers(engine, state, sizeof(state), &len)
          == CREDGATE_OK);
    states[0].known.data = states[1].known.data = state;
    states[0].known.len = states[1].known.len = len;
    records[0].known = (credgate_record) { 1, "first", 5,
                                           CREDGATE_LEVEL_NOTICE };
    records[1].known = (credgate_record) { 2, "second", 6,
                                           CREDGATE_LEVEL_ERROR };
    page.known.struct_size = STATED(page);
    page.known.processes = 2;
    page.known.counters = numbers;
    page.known.counters_len = CREDGATE_COUNTERS;
    page.known.providers = &states[0].known;
    page.known.providers_len = 2;
    page.known.string_size = sizeof(states[0]);
    page.known.records = &records[0].known;
    page.known.records_len = 2;
    page.known.record_size = sizeof(records[0]);
    check(credgate_page_html(&page.known, text, sizeof(text) - 1, &len)
          == CREDGATE_OK);
    check_canaries(page);
    text[len] = '\0';
    check(strstr(text, "<td class=n>2</td>") != NULL);      /* granted */
    check(strstr(text, "second</td></tr>\n<tr>") != NULL);
    check(strstr(text, "first</td></tr>\n</tbody>") != NULL);
    puts("a page");
}


int main(int argc, char **argv)
{
    static const char options[] = "{\"metrics_clients\": 2}";
    credgate_gate *gate;
    credgate_engine *engine = NULL;
    credgate_queue *queue = NULL;

    check(argc == 3);
    gate = make_gate(argv[1]);
    check(credgate_engine_new(options, sizeof(options) - 1, &engine, NULL)
          == CREDGATE_OK);
    check(credgate_queue_new(engine, &queue, NULL) == CREDGATE_OK);
    check_requests(gate, engine, queue, argv[2]);
    check_counters(engine);
    check_clients(engine);
    check_page(engine);
    credgate_queue_free(queue);
    credgate_engine_free(engine);
    credgate_gate_free(gate);
    return 0;
}
