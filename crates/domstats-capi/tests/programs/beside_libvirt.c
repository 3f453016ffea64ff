/* Asks libdomstats, and through the other half of the program libvirt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <domstats.h>

int ask_libvirt(char *name, size_t size);

int main(void)
{
    virConnectPtr conn = virConnectOpen("test:///default");
    virDomainPtr dom = virDomainLookupByID(conn, 1);
    char *document = virConnectGetAllDomainStats(conn, VIR_DOMAIN_STATS_STATE, 0);
    char name[20] = "";

    if (ask_libvirt(name, sizeof(name)) < 0 || !document)
        return EXIT_FAILURE;
    printf("libdomstats: %s, %.12s\n", virDomainGetName(dom), document);
    printf("libvirt: %s\n", name);
    free(document);
    virDomainFree(dom);
    return virConnectClose(conn);
}
