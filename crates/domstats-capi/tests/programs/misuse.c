/*
 * Misuses the functions in every way, and prints for each what was returned and libvirt's numbers of
 * the error. Compiled with WITH_LIBVIRT it does the same to libvirt, but for what would crash there.
 */
#include <stdio.h>
#include <stdlib.h>

#ifdef WITH_LIBVIRT
# include <libvirt/libvirt.h>
# include <libvirt/virterror.h>

/* As shipped they return records. */
static int all_stats(virConnectPtr conn, unsigned int stats, unsigned int flags)
{
    virDomainStatsRecordPtr *records = NULL;
    int count = virConnectGetAllDomainStats(conn, stats, &records, flags);
    virDomainStatsRecordListFree(records);
    return count < 0 ? -1 : 0;
}

static int list_stats(virDomainPtr *doms, unsigned int stats, unsigned int flags)
{
    virDomainStatsRecordPtr *records = NULL;
    int count = virDomainListGetStats(doms, stats, &records, flags);
    virDomainStatsRecordListFree(records);
    return count < 0 ? -1 : 0;
}
#else
# include <domstats.h>

static int document(char *text)
{
    free(text);
    return text ? 0 : -1;
}
# define all_stats(conn, stats, flags) document(virConnectGetAllDomainStats(conn, stats, flags))
# define list_stats(doms, stats, flags) document(virDomainListGetStats(doms, stats, flags))
#endif

#define UNKNOWN_FLAG (1 << 20)
#define FLAG_OF_ANOTHER_CALL (1 << 8) /* VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE */
#define UNKNOWN_GROUP (1 << 20)
#define ENFORCE VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS
/* No domain is both. */
#define NOBODY (VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | VIR_CONNECT_GET_ALL_DOMAINS_STATS_SHUTOFF)

static int told;

static void tell(void *user_data, virErrorPtr error)
{
    (void)error;
    ++*(int *)user_data;
}

static void row(const char *what, long long result)
{
    virErrorPtr error = virGetLastError();
    printf("%s = %lld: error %d of %d, level %d, told %d\n", what, result,
           error ? error->code : 0, error ? error->domain : 0, error ? (int)error->level : 0, told);
    if (error && (!error->message || !*error->message))
        printf("no message\n");
    if (virGetLastErrorCode() != (error ? error->code : 0)
        || virGetLastErrorDomain() != (error ? error->domain : 0))
        printf("virGetLastError and its kin differ\n");
    virResetLastError();
    if (virGetLastError() || virGetLastErrorCode())
        printf("the error is not forgotten\n");
    told = 0;
}
#define ROW(call) row(#call, (long long)(call))
/* Only whether there is a result counts. */
#define PTR(call) row(#call, (call) != NULL)

static void connections(const char *uri)
{
    virConnectPtr conn = virConnectOpenReadOnly(uri);
    virConnectPtr none = NULL;

    PTR(virConnectOpen("qemu:///session?socket=/nonexistent"));
    PTR(virConnectOpenReadOnly("qemu+tcp://localhost:1/session"));
    PTR(virConnectOpen("qemu:///session?mode=fast"));

    ROW(virConnectClose(none));
    ROW(virConnectRef(none));
    PTR(virConnectGetURI(none));
    PTR(virConnectGetType(none));
    PTR(virConnectGetHostname(none));
    ROW(virConnectIsAlive(none));
    ROW(virConnectListAllDomains(none, NULL, 0));
    ROW(virConnectListAllDomains(conn, NULL, UNKNOWN_FLAG));
    ROW(virConnectIsAlive(conn));
    ROW(virConnectRef(conn));
    ROW(virConnectClose(conn));
    ROW(virConnectClose(conn));
}

static void lookups(virConnectPtr conn)
{
    PTR(virDomainLookupByName(NULL, "x"));
    PTR(virDomainLookupByName(conn, NULL));
    PTR(virDomainLookupByName(conn, "no such name"));
    PTR(virDomainLookupByUUIDString(NULL, "x"));
    PTR(virDomainLookupByUUIDString(conn, NULL));
    PTR(virDomainLookupByUUIDString(conn, "no UUID"));
    PTR(virDomainLookupByUUIDString(conn, "5e65a5ee-0d8e-4e6b-9b3c-3b1f6b8f8a11"));
    PTR(virDomainLookupByID(NULL, 1));
    PTR(virDomainLookupByID(conn, -1));
    PTR(virDomainLookupByID(conn, 4711));
}

static void domains(virConnectPtr conn, virDomainPtr dom)
{
    virDomainPtr none = NULL;
    char uuid[VIR_UUID_STRING_BUFLEN];

    PTR(virDomainGetName(none));
    ROW(virDomainGetID(none));
    PTR(virDomainGetConnect(none));
    ROW(virDomainGetUUIDString(none, uuid));
    ROW(virDomainGetUUIDString(dom, NULL));
    ROW(virDomainRef(none));
    ROW(virDomainFree(none));
    /* Of another kind. */
    PTR(virDomainGetName((virDomainPtr)conn));
    ROW(virDomainFree((virDomainPtr)conn));
    PTR(virConnectGetType((virConnectPtr)dom));
    ROW(virConnectClose((virConnectPtr)dom));
    ROW(virDomainGetConnect(dom) == conn);
    ROW(virDomainRef(dom));
    ROW(virDomainFree(dom));
}

static void stats(virConnectPtr conn, virDomainPtr dom, virDomainPtr elsewhere)
{
    virDomainPtr nobody[] = { NULL };
    virDomainPtr twice[] = { dom, dom, NULL };
    virDomainPtr two_connections[] = { dom, elsewhere, NULL };
    virDomainPtr not_a_domain[] = { dom, (virDomainPtr)conn, NULL };

    ROW(all_stats(NULL, 0, 0));
    ROW(all_stats((virConnectPtr)dom, 0, 0));
    ROW(all_stats(conn, 0, UNKNOWN_FLAG));
    ROW(all_stats(conn, 0, FLAG_OF_ANOTHER_CALL));
    ROW(all_stats(conn, UNKNOWN_GROUP, 0));
    ROW(all_stats(conn, UNKNOWN_GROUP, ENFORCE));
    ROW(all_stats(conn, 0, ENFORCE));
    ROW(all_stats(conn, 0, NOBODY));
    ROW(all_stats(conn, UNKNOWN_GROUP, ENFORCE | NOBODY));
    ROW(list_stats(NULL, 0, 0));
    ROW(list_stats(nobody, 0, 0));
    ROW(list_stats(twice, VIR_DOMAIN_STATS_STATE, 0));
    ROW(list_stats(two_connections, 0, 0));
    ROW(list_stats(not_a_domain, 0, 0));
    ROW(list_stats(twice, 0, UNKNOWN_FLAG));
    ROW(list_stats(twice, 0, FLAG_OF_ANOTHER_CALL));
    ROW(list_stats(twice, UNKNOWN_GROUP, 0));
    ROW(list_stats(twice, UNKNOWN_GROUP, ENFORCE));
    ROW(list_stats(twice, UNKNOWN_GROUP, ENFORCE | NOBODY));
}

#ifndef WITH_LIBVIRT
/* What libvirt does not survive, or does not have. */
static int visit(const domstatsValue *value, void *opaque)
{
    (void)value;
    return ++*(int *)opaque == 3;
}

static void ours(virConnectPtr conn, virDomainPtr dom)
{
    virConnectPtr closed = virConnectOpen("test:///default");
    virDomainPtr freed = virDomainLookupByName(conn, virDomainGetName(dom));
    virDomainPtr nobody[] = { NULL };
    virDomainPtr first_is_wrong[] = { (virDomainPtr)conn, dom, NULL };
    virDomainPtr one_is_freed[] = { dom, freed, NULL };
    char *foreign = malloc(100);
    int visits = 0;

    virConnectClose(closed);
    virDomainFree(freed);
    ROW(virConnectClose(closed));
    ROW(virConnectRef(closed));
    PTR(virConnectGetType(closed));
    ROW(all_stats(closed, 0, 0));
    PTR(virDomainLookupByName(closed, "vm1"));
    PTR(virDomainGetName(freed));
    ROW(virDomainRef(freed));
    ROW(virDomainFree(freed));
    ROW(document(virDomainGetStats(freed, 0, 0)));
    ROW(document(virDomainGetStats(NULL, 0, 0)));
    ROW(document(virDomainGetStats((virDomainPtr)conn, 0, 0)));
    ROW(list_stats(first_is_wrong, 0, 0));
    ROW(list_stats(one_is_freed, 0, 0));
    PTR(virDomainGetName((virDomainPtr)foreign));
    ROW(virConnectClose((virConnectPtr)(foreign + 1)));
    PTR(virDomainGetName((virDomainPtr)-1));
    ROW(domstatsConnectSetTimeout(closed, 5));
    ROW(domstatsConnectVisitAllDomainStats(closed, 0, 0, visit, &visits));
    ROW(domstatsConnectVisitAllDomainStats(conn, 0, 0, NULL, NULL));
    ROW(domstatsConnectVisitAllDomainStats(conn, 0, DOMSTATS_FORMAT_JSON, visit, &visits));
    ROW(domstatsDomainListVisitStats(NULL, 0, 0, visit, &visits));
    ROW(domstatsDomainListVisitStats(nobody, 0, 0, visit, &visits));
    ROW(visits);
    ROW(domstatsConnectVisitAllDomainStats(conn, 0, 0, visit, &visits));
    ROW(visits);
    PTR(virConnectOpen("foo:///system"));
    PTR(virConnectOpen("\xff"));
    free(foreign);
}
#endif

int main(int argc, char **argv)
{
    const char *uri = argc > 1 ? argv[1] : "test:///default";
    virConnectPtr conn, other;
    virDomainPtr *list, *elsewhere, dom;

    virSetErrorFunc(&told, tell);
    conn = virConnectOpen(uri);
    other = virConnectOpen(uri);
    if (virConnectListAllDomains(conn, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE) < 1
        || virConnectListAllDomains(other, &elsewhere, VIR_CONNECT_LIST_DOMAINS_ACTIVE) < 1)
        return EXIT_FAILURE;
    dom = list[0];
#ifndef WITH_LIBVIRT
    /* valgrind makes a second short. */
    domstatsConnectSetTimeout(conn, 60000);
#endif

    connections(uri);
    lookups(conn);
    domains(conn, dom);
    stats(conn, dom, elsewhere[0]);
#ifndef WITH_LIBVIRT
    printf("\n");
    ours(conn, dom);
#endif
    virSetErrorFunc(NULL, NULL);

    /* Each domain is a reference to its connection. */
    for (int i = 0; list[i]; i++)
        if (list[i] != dom)
            virDomainFree(list[i]);
    if (virConnectClose(conn) != 1 || virConnectIsAlive(conn) != 1 || virDomainFree(dom) != 0)
        return EXIT_FAILURE;
    for (int i = 0; elsewhere[i]; i++)
        virDomainFree(elsewhere[i]);
    if (virConnectClose(other) != 0)
        return EXIT_FAILURE;
    free(list);
    free(elsewhere);
    return EXIT_SUCCESS;
}
