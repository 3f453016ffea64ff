/* The half of the program that knows libvirt alone: a shared library. */
#include <stdio.h>

#include <libvirt/libvirt.h>

int ask_libvirt(char *name, size_t size)
{
    virConnectPtr conn = virConnectOpen("test:///default");
    virDomainPtr dom = virDomainLookupByID(conn, 1);
    virDomainStatsRecordPtr *records = NULL;
    int count = virConnectGetAllDomainStats(conn, VIR_DOMAIN_STATS_STATE, &records, 0);

    snprintf(name, size, "%s, %d", virDomainGetName(dom), count);
    virDomainStatsRecordListFree(records);
    virDomainFree(dom);
    virConnectClose(conn);
    return count;
}
