/*
 * A host whose memory ends: in every run another allocation of the process
 * fails, from loading the configuration to freeing the engine.
 *
 *   exhaustion GATE.json AUTHORIZATION CLIENT STRIDE once|on [STORE]
 *
 * once: one allocation fails; on: so do all that follow it.  STRIDE 1 tries
 * each allocation, STRIDE n every n-th.  Each run has a new SQLite file STORE:
 * in an old one it would wait for the lease of the aborted run.  A run must end in one of three ways:
 * with a correct outcome, with a documented status or denial, or by abort(3).
 * Prints the messages of the aborts and a count of each way, and exits at the
 * first run that ends in another.
 *
 * This program replaces malloc.  Its blocks have a mark on both sides, which
 * free compares, and freed memory is overwritten: a write past the end, a
 * second free, or a use after free shows.
 */

#include <credgate.h>

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK    UINT64_C(0x6372656467617465)
#define CORRUPT 66
#define WRONG   67
#define SECONDS 30

void *__libc_malloc(size_t size);
void __libc_free(void *memory);


/* Before each block; the same mark is behind it. */
typedef struct {
    void *base;
    size_t size;
    uint64_t mark;
    uint64_t unused;
} block_head;

/* The result of a run, in memory that parent and child share. */
typedef struct {
    atomic_long seen;
    atomic_bool failed;
    int32_t status;
    int32_t code;
    bool allowed;
} run_result;

static run_result *result;
static atomic_long fatal;
static bool from_then_on;


static bool is_out_of_memory(void)
{
    long nth = atomic_load(&fatal), at;

    if (nth == 0) {
        return false;
    }
    at = atomic_fetch_add(&result->seen, 1) + 1;
    if (at != nth && !(from_then_on && at > nth)) {
        return false;
    }
    atomic_store(&result->failed, true);
    errno = ENOMEM;
    return true;
}


static void *allocate(size_t alignment, size_t size)
{
    uint64_t mark = MARK;
    block_head *head;
    char *base, *memory;

    if (size > PTRDIFF_MAX / 2 || is_out_of_memory()) {
        errno = ENOMEM;
        return NULL;
    }
    base = __libc_malloc(size + alignment + sizeof(*head) + sizeof(mark));
    if (base == NULL) {
        return NULL;
    }
    memory = base + sizeof(*head) + alignment - 1;
    memory -= (uintptr_t) memory % alignment;
    head = (block_head *) (void *) (memory - sizeof(*head));
    *head = (block_head) { .base = base, .size = size, .mark = MARK };
    memcpy(memory + size, &mark, sizeof(mark));
    return memory;
}


static block_head *head_of(void *memory)
{
    static const char message[] = "a block is damaged, or freed twice\n";
    block_head *head = (block_head *) memory - 1;
    uint64_t mark = MARK;

    if (head->mark != MARK
        || memcmp((char *) memory + head->size, &mark, sizeof(mark)) != 0)
    {
        if (write(STDERR_FILENO, message, sizeof(message) - 1) < 0) {
            _exit(CORRUPT + 1);
        }
        _exit(CORRUPT);
    }
    return head;
}


void *malloc(size_t size)
{
    return allocate(16, size);
}


void free(void *memory)
{
    block_head *head;
    void *base;

    if (memory != NULL) {
        head = head_of(memory);
        base = head->base;
        memset(memory, 0xa5, head->size + sizeof(head->mark));
        head->mark = 0;
        __libc_free(base);
    }
}


void *calloc(size_t count, size_t size)
{
    size_t all;
    void *memory;

    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    memory = allocate(16, all);
    return memory != NULL ? memset(memory, 0, all) : NULL;
}


void *realloc(void *memory, size_t size)
{
    void *larger = allocate(16, size);
    size_t old;

    if (larger != NULL && memory != NULL) {
        old = head_of(memory)->size;
        memcpy(larger, memory, old < size ? old : size);
        free(memory);
    }
    return larger;
}


int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *memory = allocate(alignment < 16 ? 16 : alignment, size);

    if (memory == NULL) {
        return ENOMEM;
    }
    *out = memory;
    return 0;
}


void *memalign(size_t alignment, size_t size)
{
    return allocate(alignment < 16 ? 16 : alignment, size);
}


void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}


size_t malloc_usable_size(void *memory)
{
    return memory != NULL ? head_of(memory)->size : 0;
}


/* Ends the program, or the run: its result is none of those allowed. */
static void wrong(const char *format, ...)
{
    va_list arguments;

    atomic_store(&fatal, 0);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(WRONG);
}


/* Keeps the result of an outcome, which must be correct, and releases it. */
static void settle(credgate_outcome *outcome, const char *client)
{
    static const char start[] = "Bearer ";

    result->code = outcome->code;
    result->allowed = outcome->http_status == 0;
    if (!result->allowed) {
        if (outcome->http_status < 500 || outcome->http_status > 504
            || strcmp(credgate_cause_name(outcome->code), "") == 0)
        {
            wrong("a denial with %u and code %d",
                  (unsigned) outcome->http_status, (int) outcome->code);
        }
    } else if (outcome->client_id_len != strlen(client)
               || memcmp(outcome->client_id, client, strlen(client)) != 0
               || outcome->authorization_len < sizeof(start) + 40
               || memcmp(outcome->authorization, start, sizeof(start) - 1))
    {
        wrong("an allowed request with a token or a client of another");
    }
    credgate_outcome_release(outcome);
}


/* Authenticates once, and waits for the outcome. */
static int32_t authenticate(credgate_gate *gate, credgate_queue *queue,
    const char *authorization, const char *client)
{
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_completion completion = { .struct_size = sizeof(completion),
                                       .outcome = &outcome };
    credgate_request request = {
        .struct_size = sizeof(request),
        .method = "GET",
        .method_len = 3,
        .authorization = authorization,
        .authorization_len = strlen(authorization),
    };
    struct pollfd watched = { .events = POLLIN };
    uint64_t ticket;
    int32_t status;

    status = credgate_authenticate(gate, queue, &request, NULL, &outcome,
                                   &ticket);
    if (status == CREDGATE_PENDING) {
        status = credgate_queue_fd(queue, &watched.fd);
        while (status == CREDGATE_OK) {
            if (poll(&watched, 1, SECONDS * 1000) != 1) {
                wrong("no outcome in time");
            }
            status = credgate_queue_next(queue, &completion);
            if (status == CREDGATE_OK) {
                break;
            }
            if (status == CREDGATE_EMPTY) {
                status = CREDGATE_OK;
            }
        }
    }
    if (status == CREDGATE_OK) {
        settle(&outcome, client);
    }
    return status;
}


/* With PAST_THE_END or FREED_TWICE, a defect that must be found. */
static void plant(void)
{
#if defined(PAST_THE_END) || defined(FREED_TWICE)
    char *volatile block = malloc(10);

    if (block != NULL) {
#ifdef PAST_THE_END
        ((volatile char *) block)[10] = 'x';
#else
        free(block);
#endif
        free(block);
    }
#endif
}


/* The life of a host: returns the first status that is not CREDGATE_OK. */
static int32_t live(const char *json, const char *options,
    const char *authorization, const char *client)
{
    credgate_gate *gate = NULL;
    credgate_engine *engine = NULL;
    credgate_queue *queue = NULL;
    credgate_error *error = NULL;
    const char *message;
    int32_t status;
    size_t len;
    int i;

    plant();
    status = credgate_gate_new(json, strlen(json), &gate, &error);
    if (status == CREDGATE_OK) {
        status = credgate_engine_new(options, strlen(options), &engine,
                                     &error);
    }
    if (status == CREDGATE_OK) {
        status = credgate_queue_new(engine, &queue, &error);
    }
    if (error != NULL) {
        if (credgate_error_message(error, &message, &len) != CREDGATE_OK) {
            wrong("an error without a message");
        }
        credgate_error_free(error);
    }
    /* An exchange, and a hit. */
    for (i = 0; i < 2 && status == CREDGATE_OK; i++) {
        status = authenticate(gate, queue, authorization, client);
    }
    credgate_queue_free(queue);
    credgate_engine_free(engine);
    credgate_gate_free(gate);
    return status;
}


/* Runs with the nth allocation failing; keeps the text that the child wrote. */
static int run(long nth, char **argv, const char *json, const char *options,
    char *text, size_t capacity)
{
    int ends[2], status;
    size_t len = 0;
    ssize_t n;
    pid_t pid;

    *result = (run_result) { 0 };
    if (pipe(ends) != 0 || (pid = fork()) < 0) {
        wrong("cannot start a run: %s", strerror(errno));
    }
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        alarm(2 * SECONDS);
        atomic_store(&fatal, nth);
        result->status = live(json, options, argv[2], argv[3]);
        atomic_store(&fatal, 0);
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], text + len, capacity - 1 - len)) > 0) {
        len += (size_t) n;
    }
    text[len] = '\0';
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid) {
        wrong("cannot wait: %s", strerror(errno));
    }
    return status;
}


/* Removes the files of SQLite. */
static void forget(const char *store)
{
    static const char *const ends[] = { "", "-shm", "-wal" };
    char path[4096];
    size_t i;

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        snprintf(path, sizeof(path), "%s%s", store, ends[i]);
        if (unlink(path) != 0 && errno != ENOENT) {
            wrong("cannot remove %s", path);
        }
    }
}


static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 65536);

    if (file == NULL || text == NULL || fread(text, 1, 65535, file) == 0) {
        wrong("cannot read %s", path);
    }
    fclose(file);
    return text;
}


int main(int argc, char **argv)
{
    long allowed = 0, denied = 0, refused = 0, aborted = 0, stride, nth;
    const char *store;
    char *json;
    char options[4096] = "{}", text[4096];
    int status;

    if (argc < 6 || argc > 7) {
        fputs("usage: exhaustion GATE AUTHORIZATION CLIENT STRIDE once|on"
              " [STORE]\n", stderr);
        return 2;
    }
    json = read_file(argv[1]);
    stride = atol(argv[4]);
    from_then_on = strcmp(argv[5], "on") == 0;
    store = argc == 7 ? argv[6] : NULL;
    if (store != NULL) {
        snprintf(options, sizeof(options), "{\"store\": \"sqlite:%s\"}",
                 store);
    }
    result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (result == MAP_FAILED || stride < 1) {
        wrong("cannot start");
    }
    for (nth = 1; ; nth += stride) {
        if (store != NULL) {
            forget(store);
        }
        status = run(nth, argv, json, options, text, sizeof(text));
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
            fputs(text, stdout);
            aborted++;
            continue;
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || *text != '\0') {
            wrong("allocation %ld: %s %d, %s", nth,
                  WIFEXITED(status) ? "exit" : "signal",
                  WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                  text);
        }
        if (!atomic_load(&result->failed)) {
            break;
        }
        if (result->status != CREDGATE_OK) {
            if (strcmp(credgate_status_name(result->status), "") == 0) {
                wrong("allocation %ld: status %d", nth, (int) result->status);
            }
            refused++;
        } else if (result->allowed) {
            allowed++;
        } else {
            denied++;
        }
    }
    if (result->status != CREDGATE_OK || !result->allowed) {
        wrong("without a failure: status %d, code %d", (int) result->status,
              (int) result->code);
    }
    printf("%ld allocations: aborted %ld, allowed %ld, denied %ld, error %ld\n",
           atomic_load(&result->seen), aborted, allowed, denied, refused);
    return 0;
}
