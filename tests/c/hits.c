/*
 * Makes cache hits for callgrind to count.
 *
 *   hits CONFIG AUTHORIZATION HITS
 *
 * CONFIG is the JSON of a gate.  Collects from the first of the counted hits
 * to the last.
 */

#include <credgate.h>

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>


/* The first of them lead the dynamic linker to the functions. */
#define WARMING  10


static int32_t
authenticate(credgate_gate *gate, credgate_queue *queue,
    const char *authorization, credgate_outcome *outcome)
{
    uint64_t          ticket;
    credgate_request  request = { .struct_size = sizeof(request) };

    request.method = "GET";
    request.method_len = 3;
    request.authorization = authorization;
    request.authorization_len = strlen(authorization);

    return credgate_authenticate(gate, queue, &request, NULL, outcome,
                                 &ticket);
}


static void
hit(credgate_gate *gate, credgate_queue *queue, const char *authorization)
{
    credgate_outcome  outcome = { .struct_size = sizeof(outcome) };

    assert(authenticate(gate, queue, authorization, &outcome) == CREDGATE_OK);
    assert(outcome.cache_status == CREDGATE_CACHE_STATUS_HIT);
    assert(outcome.http_status == 0);
    credgate_outcome_release(&outcome);
}


static void
fill(credgate_gate *gate, credgate_queue *queue, const char *authorization)
{
    int                  fd;
    struct pollfd        watched;
    credgate_outcome     outcome = { .struct_size = sizeof(outcome) };
    credgate_completion  completion = { .struct_size = sizeof(completion) };

    assert(authenticate(gate, queue, authorization, &outcome)
           == CREDGATE_PENDING);
    assert(credgate_queue_fd(queue, &fd) == CREDGATE_OK);

    watched = (struct pollfd) { .fd = fd, .events = POLLIN };
    assert(poll(&watched, 1, 120000) == 1);

    completion.outcome = &outcome;
    assert(credgate_queue_next(queue, &completion) == CREDGATE_OK);
    assert(outcome.http_status == 0);
    credgate_outcome_release(&outcome);
}


int
main(int argc, char **argv)
{
    int               i, hits;
    credgate_gate    *gate = NULL;
    credgate_queue   *queue = NULL;
    credgate_engine  *engine = NULL;

    assert(argc == 4);
    hits = atoi(argv[3]);

    assert(credgate_gate_new(argv[1], strlen(argv[1]), &gate, NULL)
           == CREDGATE_OK);
    assert(credgate_engine_new("{}", 2, &engine, NULL) == CREDGATE_OK);
    assert(credgate_queue_new(engine, &queue, NULL) == CREDGATE_OK);

    fill(gate, queue, argv[2]);

    for (i = 0; i < WARMING; i++) {
        hit(gate, queue, argv[2]);
    }

    CALLGRIND_TOGGLE_COLLECT;
    for (i = 0; i < hits; i++) {
        hit(gate, queue, argv[2]);
    }
    CALLGRIND_TOGGLE_COLLECT;

    credgate_queue_free(queue);
    credgate_engine_free(engine);
    credgate_gate_free(gate);

    return 0;
}
