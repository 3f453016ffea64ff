/* Many threads on one connection, each with its own objects and its own errors. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <domstats.h>

#define THREADS 8
#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition,              \
                    virGetLastErrorMessage());                                       \
            exit(EXIT_FAILURE);                                                      \
        }                                                                            \
    } while (0)

static int rounds;
static virConnectPtr conn;
static virDomainPtr shared;

static void *work(void *opaque)
{
    long number = (long)opaque;

    for (int round = 0; round < rounds; round++) {
        virDomainPtr dom, *all, list[2] = { NULL, NULL };
        char *document, *text, name[20];
        const char *message;

        /* An error that no other thread makes. */
        snprintf(name, sizeof(name), "nobody-%ld", number);
        CHECK(!virDomainLookupByName(conn, name));

        message = virGetLastErrorMessage();
        CHECK(virGetLastErrorCode() == VIR_ERR_NO_DOMAIN && strstr(message, name));

        CHECK((dom = virDomainLookupByID(conn, 1)));
        CHECK(!virGetLastError());
        list[0] = round % 2 ? dom : shared;
        CHECK((document = virDomainListGetStats(list, VIR_DOMAIN_STATS_STATE, 0)));
        CHECK(strstr(document, virDomainGetName(list[0])));
        free(document);
        CHECK(virDomainRef(shared) == 0 && virDomainFree(shared) == 0);
        CHECK(virDomainFree(dom) == 0 && virDomainFree(dom) == -1);

        CHECK(virConnectListAllDomains(conn, &all, 0) == 4);
        for (int i = 0; i < 4; i++)
            CHECK(virDomainFree(all[i]) == 0);
        free(all);
        CHECK((text = virConnectGetURI(conn)));
        free(text);
        CHECK(virConnectClose(NULL) == -1);
    }
    /* The last reference ends the connection, in one of the threads. */
    CHECK(virConnectClose(conn) >= 0);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];

    rounds = argc > 1 ? atoi(argv[1]) : 1;
    CHECK((conn = virConnectOpen("test:///default")));
    CHECK((shared = virDomainLookupByName(conn, "vm2")));
    for (long i = 0; i < THREADS; i++) {
        CHECK(virConnectRef(conn) == 0);
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    }
    CHECK(virConnectClose(conn) == 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(virConnectIsAlive(conn) == 1);
    CHECK(virDomainFree(shared) == 0);
    CHECK(virConnectIsAlive(conn) == -1);
    return EXIT_SUCCESS;
}
