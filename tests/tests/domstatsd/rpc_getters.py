"""Prints the results of libvirt-python's getters for a host and its domains, errors included. Of what
changes between two readings, prints only the type."""

import sys

import libvirt

libvirt.registerErrorHandler(lambda *_: None, None)
conn = libvirt.openReadOnly(sys.argv[1])


def ask(name, question, shown=lambda answer: answer):
    try:
        print(name, shown(question()))
    except libvirt.libvirtError as error:
        print(name, "refused", error.err)


ask("info", conn.getInfo)
ask("hostname", conn.getHostname)
ask("version", conn.getVersion)
ask("security", conn.getSecurityModel)
ask("most vCPUs", lambda: conn.getMaxVcpus(None))
ask("map", lambda: conn.getCPUMap(0))
ask("free", conn.getFreeMemory, lambda free: free > 0)
for cpu in (-1, 0, 4095, -5):
    ask(f"cpu {cpu}", lambda: conn.getCPUStats(cpu), list)
for node in (-1, 0, 4095, -9):
    ask(f"memory {node}", lambda: conn.getMemoryStats(node), list)
ask("memory", lambda: conn.getMemoryStats(-1)["total"])
ask("memory of a node", lambda: conn.getMemoryStats(0)["total"])


def ask_of(domain, disks):
    print("==", domain.name())
    for flags in range(9):
        ask(f"count {flags}", lambda: domain.vcpusFlags(flags))
    for disk in disks:
        ask(f"{disk} info", lambda: domain.blockInfo(disk))
        ask(f"{disk} limits", lambda: domain.blockIoTune(disk))
        ask(f"{disk} stats", lambda: domain.blockStats(disk))
        ask(f"{disk} params", lambda: domain.blockStatsFlags(disk))
    for flags in (0, 1, 2, 8):
        ask(f"description {flags}", lambda: domain.XMLDesc(flags))
    ask("state", domain.state)
    ask("summary", domain.info, lambda info: info[:4])
    ask("vCPUs", domain.vcpus, lambda vcpus: ([vcpu[:2] for vcpu in vcpus[0]], vcpus[1]))
    ask("pins", domain.vcpuPinInfo)
    ask("most vCPUs", domain.maxVcpus)
    ask("most memory", domain.maxMemory)
    ask("memory", domain.memoryStats, lambda stats: {k: v for k, v in stats.items() if k != "rss"})
    ask("cpu", lambda: domain.getCPUStats(True), lambda stats: [list(each) for each in stats])
    ask("cpus", lambda: domain.getCPUStats(False), lambda stats: [list(each) for each in stats])
    ask("persistent", domain.isPersistent)
    ask("active", domain.isActive)
    ask("type", domain.OSType)
    ask("autostart", domain.autostart)
    ask("saved", domain.hasManagedSaveImage)
    ask("messages", domain.messages)
    ask("label", domain.securityLabel)
    ask("title", lambda: domain.metadata(libvirt.VIR_DOMAIN_METADATA_TITLE, None))
    ask("job", domain.jobInfo)
    ask("job's numbers", domain.jobStats)
    ask("errors", domain.diskErrors)
    ask("control", domain.controlInfo, lambda info: info[:2])
    ask("I/O threads", domain.ioThreadInfo)
    ask("no network", lambda: domain.interfaceStats("none"))


for domain in sorted(conn.listAllDomains(), key=lambda domain: domain.name()):
    ask_of(domain, sys.argv[2:])
