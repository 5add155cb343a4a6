/*
 * Compares how long the library takes for two classes of requests, as dudect
 * does (Reparaz, Balasch and Verbauwhede, 2017).
 *
 *   timing GATE.json CLIENT_ID CLIENT_SECRET SAMPLES
 *
 * The requests of two classes alternate at random, and are built in batches
 * before their time begins.  Welch's t-test compares the classes several
 * times: with all times, and with the shortest 99, 90, 75 and 50 per cent,
 * which leaves interruptions out.  The largest |t| counts.  Below 4.5, the
 * times show no difference; above 10, they surely do.
 *
 * Ends with 1 if classes that must be alike differ, or if the test does not
 * find the planted comparison that ends at the first difference.
 */

#include <credgate.h>

#include <assert.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define SURELY   10.0
#define CACHED   8
#define BATCH    512
#define LONGEST  128

/* The two halves of a request's credentials. */
typedef struct {
    char client_id[LONGEST];
    char client_secret[LONGEST];
} credentials;

/* A request, and the class that it is of. */
typedef struct {
    int class;
    size_t len;
    char header[4 * LONGEST];
    char client_secret[LONGEST];
} prepared;

typedef void (*build)(credentials *out);

typedef enum { LIBRARY, PLANTED } subject;

static credgate_gate *gate;
static credgate_engine *engine;
static credgate_queue *queue;
static credentials right;
/* In nanoseconds. */
static double tick = 1;
static credentials refused[2][CACHED];


/* xorshift64*: the classes alternate by it, and secrets come from it. */
static uint64_t random_bits(void)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}


/* Replaces what follows the first `kept` characters by random ones. */
static void randomize(char *text, size_t kept)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789-_";
    size_t at;

    for (at = kept; text[at] != '\0'; at++) {
        text[at] = digits[random_bits() >> 58];
    }
}


static void build_hit(credentials *out)
{
    *out = right;
}


static void build_wrong_secret(credentials *out)
{
    *out = right;
    randomize(out->client_secret, 0);
}


/* The first half of the secret is right. */
static void build_half_right_secret(credentials *out)
{
    *out = right;
    randomize(out->client_secret, strlen(right.client_secret) / 2);
}


static void build_unknown_client(credentials *out)
{
    *out = right;
    randomize(out->client_id, 0);
    randomize(out->client_secret, 0);
}


static void build_refused_secret(credentials *out)
{
    *out = refused[0][random_bits() % CACHED];
}


static void build_refused_client(credentials *out)
{
    *out = refused[1][random_bits() % CACHED];
}


/* Returns the header's length. */
static size_t basic(const credentials *of, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                 "qrstuvwxyz0123456789+/";
    char pair[2 * LONGEST + 2];
    size_t at, len, written;
    uint32_t bits;

    len = (size_t) snprintf(pair, sizeof(pair), "%s:%s", of->client_id,
                            of->client_secret);
    written = (size_t) sprintf(out, "Basic ");
    for (at = 0; at < len; at += 3) {
        bits = (uint32_t) (unsigned char) pair[at] << 16;
        bits |= at + 1 < len ? (uint32_t) (unsigned char) pair[at + 1] << 8 : 0;
        bits |= at + 2 < len ? (uint32_t) (unsigned char) pair[at + 2] : 0;
        out[written++] = digits[bits >> 18];
        out[written++] = digits[bits >> 12 & 63];
        out[written++] = at + 1 < len ? digits[bits >> 6 & 63] : '=';
        out[written++] = at + 2 < len ? digits[bits & 63] : '=';
    }
    return written;
}


/* A comparison that ends at the first difference. */
static __attribute__((noinline)) bool is_same(const char *a, const char *b)
{
    const volatile char *left = a;

    while (*left != '\0' && *left == *b) {
        left++, b++;
    }
    return *left == *b;
}


/* The processor's clock, since the system's may have steps of 10 ns. */
static double ticks(void)
{
#if defined(__x86_64__)
    uint64_t now;

    _mm_lfence();
    now = __rdtsc();
    _mm_lfence();
    return (double) now;
#else
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
#endif
}


/* Measures how long a tick is. */
static void calibrate(void)
{
    struct timespec before, after, pause = { .tv_nsec = 50000000 };
    double began, ended;

    clock_gettime(CLOCK_MONOTONIC, &before);
    began = ticks();
    nanosleep(&pause, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ended = ticks();
    tick = ((double) (after.tv_sec - before.tv_sec) * 1e9
            + (double) (after.tv_nsec - before.tv_nsec))
           / (ended - began);
}


/* Returns the time that the subject takes for a request. */
static float measure(subject subject, const prepared *from)
{
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_request request = { .struct_size = sizeof(request) };
    double began, ended;
    int32_t status;

    request.method = "GET";
    request.method_len = 3;
    request.authorization = from->header;
    request.authorization_len = from->len;

    began = ticks();
    if (subject == PLANTED) {
        status = is_same(right.client_secret, from->client_secret);
    } else {
        status = credgate_authenticate_at_once(gate, queue, &request, &outcome);
    }
    ended = ticks();

    if (subject == LIBRARY && status == CREDGATE_OK) {
        credgate_outcome_release(&outcome);
    }
    return (float) (ended - began);
}


/* Builds a batch whose requests are of a class at random. */
static void prepare(prepared *batch, build builders[2])
{
    credentials built;
    size_t at;

    for (at = 0; at < BATCH; at++) {
        batch[at].class = (int) (random_bits() >> 63);
        builders[batch[at].class](&built);
        batch[at].len = basic(&built, batch[at].header);
        strcpy(batch[at].client_secret, built.client_secret);
    }
}


static int compare(const void *a, const void *b)
{
    float left = *(const float *) a, right = *(const float *) b;

    return (left > right) - (left < right);
}


/* Welch's t of the times that are at most `limit`. */
static double welch(float *const times[2], const size_t count[2], float limit)
{
    double mean[2] = { 0, 0 }, square[2] = { 0, 0 }, number[2] = { 0, 0 };
    double change, error = 0;
    size_t at;
    int class;

    for (class = 0; class < 2; class++) {
        for (at = 0; at < count[class] && times[class][at] <= limit; at++) {
            number[class]++;
            change = times[class][at] - mean[class];
            mean[class] += change / number[class];
            square[class] += change * (times[class][at] - mean[class]);
        }
        if (number[class] < 2) {
            return 0;
        }
        error += square[class] / (number[class] - 1) / number[class];
    }
    return error > 0 ? (mean[0] - mean[1]) / sqrt(error) : 0;
}


/* Prints a comparison, and returns its largest |t|. */
static double contrast(const char *name, subject subject, build a, build b,
    size_t samples)
{
    static const double parts[] = { 1, 0.99, 0.9, 0.75, 0.5 };
    static prepared batch[BATCH];
    build builders[] = { a, b };
    float *times[2], *all, limit;
    size_t count[2] = { 0, 0 }, at;
    double t, largest = 0;
    int class;

    for (class = 0; class < 2; class++) {
        times[class] = malloc(samples * sizeof(float));
        assert(times[class] != NULL);
    }
    all = malloc(samples * sizeof(float));
    assert(all != NULL);

    for (at = 0; at < samples; at++) {
        if (at % BATCH == 0) {
            prepare(batch, builders);
            /* The first is measured twice, since its code is cold. */
            measure(subject, batch);
        }
        class = batch[at % BATCH].class;
        all[at] = measure(subject, &batch[at % BATCH]);
        times[class][count[class]++] = all[at];
    }

    qsort(all, samples, sizeof(float), compare);
    for (class = 0; class < 2; class++) {
        qsort(times[class], count[class], sizeof(float), compare);
    }
    for (at = 0; at < sizeof(parts) / sizeof(parts[0]); at++) {
        limit = all[(size_t) ((double) (samples - 1) * parts[at])];
        t = welch(times, count, limit);
        largest = fabs(t) > largest ? fabs(t) : largest;
    }
    printf("%-48s %9zu %7.0f %7.0f %8.1f\n", name, samples,
           times[0][count[0] / 2] * tick, times[1][count[1] / 2] * tick,
           largest);

    free(times[0]);
    free(times[1]);
    free(all);
    return largest;
}


/* Has the provider judge credentials, and returns the status for the client. */
static int judge(const credentials *of)
{
    char header[4 * LONGEST];
    int fd, status;
    uint64_t ticket;
    struct pollfd watched;
    credgate_outcome outcome = { .struct_size = sizeof(outcome) };
    credgate_request request = { .struct_size = sizeof(request) };
    credgate_completion completion = { .struct_size = sizeof(completion) };

    request.method = "GET";
    request.method_len = 3;
    request.authorization_len = basic(of, header);
    request.authorization = header;

    status = credgate_authenticate(gate, queue, &request, NULL, &outcome,
                                   &ticket);
    if (status == CREDGATE_PENDING) {
        assert(credgate_queue_fd(queue, &fd) == CREDGATE_OK);
        watched = (struct pollfd) { .fd = fd, .events = POLLIN };
        assert(poll(&watched, 1, 60000) == 1);
        completion.outcome = &outcome;
        status = credgate_queue_next(queue, &completion);
    }
    assert(status == CREDGATE_OK);
    status = outcome.http_status;
    credgate_outcome_release(&outcome);
    return status;
}


int main(int argc, char **argv)
{
    static char config[65536];
    size_t len, samples;
    bool failed = false;
    FILE *file;
    int at;

    assert(argc == 5);
    file = fopen(argv[1], "r");
    assert(file != NULL);
    len = fread(config, 1, sizeof(config), file);
    fclose(file);
    snprintf(right.client_id, LONGEST, "%s", argv[2]);
    snprintf(right.client_secret, LONGEST, "%s", argv[3]);
    samples = strtoul(argv[4], NULL, 10);

    assert(credgate_gate_new(config, len, &gate, NULL) == CREDGATE_OK);
    assert(credgate_engine_new("{}", 2, &engine, NULL) == CREDGATE_OK);
    assert(credgate_queue_new(engine, &queue, NULL) == CREDGATE_OK);

    assert(judge(&right) == 0);
    for (at = 0; at < CACHED; at++) {
        build_wrong_secret(&refused[0][at]);
        assert(judge(&refused[0][at]) == 401);
        build_unknown_client(&refused[1][at]);
        assert(judge(&refused[1][at]) == 401);
    }

    calibrate();
    printf("%-48s %9s %7s %7s %8s\n", "median in ns of", "samples", "first",
           "second", "t");
    failed |= contrast("planted: wrong secret, half right secret", PLANTED,
                       build_wrong_secret, build_half_right_secret, samples)
              < SURELY;
    failed |= contrast("wrong secret, another wrong secret", LIBRARY,
                       build_wrong_secret, build_wrong_secret, samples)
              > SURELY;
    failed |= contrast("wrong secret, half right secret", LIBRARY,
                       build_wrong_secret, build_half_right_secret, samples)
              > SURELY;
    failed |= contrast("wrong secret, unknown client", LIBRARY,
                       build_wrong_secret, build_unknown_client, samples)
              > SURELY;
    (void) contrast("cached refusals: wrong secret, unknown client", LIBRARY,
                    build_refused_secret, build_refused_client, samples);
    (void) contrast("hit, cached refusal of a wrong secret", LIBRARY,
                    build_hit, build_refused_secret, samples);
    (void) contrast("hit, wrong secret that needs an exchange", LIBRARY,
                    build_hit, build_wrong_secret, samples);

    credgate_queue_free(queue);
    credgate_engine_free(engine);
    credgate_gate_free(gate);
    return failed;
}
