/*
 * A resolver for tests, loaded before libc's: the names that end in ".test" are files in the directory
 * CREDGATE_TEST_NAMES. A file holds addresses separated by spaces, or one of the words "unknown" (no such name), "again"
 * (the resolver fails) and "hangs" (until the file has another content).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static char directory[256];

/* nginx hides its environment from its workers. */
__attribute__((constructor)) static void remember(void)
{
    const char *value = getenv("CREDGATE_TEST_NAMES");

    snprintf(directory, sizeof(directory), "%s", value ? value : "");
}

static void content(const char *name, char *text, size_t size)
{
    char path[512];
    FILE *file;

    text[0] = '\0';
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    file = fopen(path, "re");

    if (file == NULL) {
        return;
    }

    if (fgets(text, (int) size, file) == NULL) {
        text[0] = '\0';
    }

    fclose(file);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    lookup real = (lookup) dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = name ? strlen(name) : 0;
    char text[256], *rest = text, *address;
    struct addrinfo **end = out;

    if (length < 5 || strcmp(name + length - 5, ".test") != 0) {
        return real(name, service, hints, out);
    }

    for (content(name, text, sizeof(text)); strcmp(text, "hangs") == 0; content(name, text, sizeof(text))) {
        usleep(20000);
    }

    if (strcmp(text, "again") == 0) {
        return EAI_AGAIN;
    }

    if (text[0] == '\0' || strcmp(text, "unknown") == 0) {
        return EAI_NONAME;
    }

    for (*out = NULL; (address = strsep(&rest, " ")) != NULL; /* void */) {
        int status = real(address, service, hints, end);

        if (status != 0) {
            return status;
        }

        while (*end != NULL) {
            end = &(*end)->ai_next;
        }
    }

    return 0;
}
