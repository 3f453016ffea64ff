"""Measures libvirt's calls: reads names of calls, one per line, and prints nanoseconds."""

import sys
import time
import xml.etree.ElementTree as xml

import libvirt

connect = libvirt.open(sys.argv[1])
groups = int(sys.argv[2])
domains = connect.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)


def targets(domain, devices):
    tree = xml.fromstring(domain.XMLDesc())
    return [target.get("dev") for target in tree.findall(f"devices/{devices}/target")]


# A program that makes split calls knows these beforehand: read in the first call, which is not
# counted.
devices = []


def bulk():
    records = connect.getAllDomainStats(groups, 0)
    # libvirt silently leaves out what it could not get: checks for the last group.
    assert all("dirtyrate.calc_status" in stats for _, stats in records)
    return len(records)


def split():
    if not devices:
        devices.extend((of, targets(of, "disk"), targets(of, "interface")) for of in domains)
    for domain, disks, interfaces in devices:
        domain.state()
        domain.info()
        domain.memoryStats()
        domain.vcpus()
        domain.ioThreadInfo()
        for disk in disks:
            domain.blockStats(disk)
            domain.blockInfo(disk)
        for interface in interfaces:
            domain.interfaceStats(interface)
    return len(devices)


for line in sys.stdin:
    call = {"bulk": bulk, "split": split}[line.strip()]
    start = time.monotonic_ns()
    count = call()
    print(time.monotonic_ns() - start, count, flush=True)
