"""The statistics: a class for every part of a record, and the bits of the groups.

Generated from the catalogue in `crates/domstats/src/model/`; regenerate it with
`DOMSTATS_BLESS=1 cargo test -p domstats-python`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from ._section import Section

__all__ = [
    "VIR_DOMAIN_STATS_STATE",
    "VIR_DOMAIN_STATS_CPU_TOTAL",
    "VIR_DOMAIN_STATS_BALLOON",
    "VIR_DOMAIN_STATS_VCPU",
    "VIR_DOMAIN_STATS_INTERFACE",
    "VIR_DOMAIN_STATS_BLOCK",
    "VIR_DOMAIN_STATS_PERF",
    "VIR_DOMAIN_STATS_IOTHREAD",
    "VIR_DOMAIN_STATS_MEMORY",
    "VIR_DOMAIN_STATS_DIRTYRATE",
    "VIR_DOMAIN_STATS_VM",
    "DOMSTATS_CRYPTODEV",
    "VIR_DOMAIN_STATS_CPU",
    "State",
    "Cpu",
    "CacheMonitor",
    "CacheBank",
    "EnergyMonitor",
    "EnergyPackage",
    "Pressure",
    "Balloon",
    "Vcpus",
    "Vcpu",
    "HypervisorStat",
    "HypervisorHistogram",
    "Interfaces",
    "Interface",
    "Blocks",
    "Block",
    "TimedGroup",
    "LatencyHistogram",
    "LatencyBin",
    "BlockDevice",
    "Perf",
    "Iothreads",
    "Iothread",
    "Memory",
    "BandwidthMonitor",
    "BandwidthNode",
    "DirtyRate",
    "VcpuDirtyRate",
    "Vm",
    "Cryptodevs",
    "Cryptodev",
    "MissingGroup",
    "MissingDomain",
    "DomainStats",
]

# Groups: virDomainStatsTypes, and those that libvirt lacks.
VIR_DOMAIN_STATS_STATE = 1
VIR_DOMAIN_STATS_CPU_TOTAL = 2
VIR_DOMAIN_STATS_BALLOON = 4
VIR_DOMAIN_STATS_VCPU = 8
VIR_DOMAIN_STATS_INTERFACE = 16
VIR_DOMAIN_STATS_BLOCK = 32
VIR_DOMAIN_STATS_PERF = 64
VIR_DOMAIN_STATS_IOTHREAD = 128
VIR_DOMAIN_STATS_MEMORY = 256
VIR_DOMAIN_STATS_DIRTYRATE = 512
VIR_DOMAIN_STATS_VM = 1024
DOMSTATS_CRYPTODEV = 33554432
# The RFC's group of both kinds of CPU time.
VIR_DOMAIN_STATS_CPU = VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_VCPU


class State(Section):
    """State and its reason.

    state: State of the domain: 0 none, 1 running, 2 blocked, 3 paused, 4 shutting down, 5 shut off, 6 crashed, 7 suspended.
    reason: Why the domain is in its state: the number of that state's reason.
    """

    state: Literal["nostate", "running", "blocked", "paused", "shutdown", "shutoff", "crashed", "pmsuspended"] | int | None = None
    """State of the domain: 0 none, 1 running, 2 blocked, 3 paused, 4 shutting down, 5 shut off, 6 crashed, 7 suspended.

    A gauge. QMP `query-status`; libvirt `state.state`.
    """
    reason: str | int | None = None
    """Why the domain is in its state: the number of that state's reason.

    A gauge. Derived from QMP `query-status`; libvirt `state.reason`.
    """


class Cpu(Section):
    """CPU time of the whole domain, and its CPU monitors.

    time (ns): CPU time used.
    user (ns): CPU time used in user mode, running the guest included.
    system (ns): CPU time used in the host's kernel.
    cache_monitor_count: Number of cache monitors.
    cache_monitors: Cache occupancy monitors of groups of vCPUs.
    energy_monitor_count: Number of energy monitors.
    energy_monitors: Energy monitors of groups of vCPUs.
    haltpoll_success (ns): Time that vCPUs polled for work after a halt and found some.
    haltpoll_fail (ns): Time that vCPUs polled for work after a halt in vain.
    pressure: How long threads waited for a CPU.
    """

    time: int | None = None
    """CPU time used.

    A counter, in ns. cgroup `cpu.stat` `usage_usec` or `cpuacct.usage`, else `/proc/PID/stat` utime + stime; libvirt `cpu.time`.
    """
    user: int | None = None
    """CPU time used in user mode, running the guest included.

    A counter, in ns. cgroup `cpu.stat` `user_usec` or `cpuacct.stat` `user`, else `/proc/PID/stat` utime; libvirt `cpu.user`.
    """
    system: int | None = None
    """CPU time used in the host's kernel.

    A counter, in ns. cgroup `cpu.stat` `system_usec` or `cpuacct.stat` `system`, else `/proc/PID/stat` stime; libvirt `cpu.system`.
    """
    cache_monitor_count: int | None = None
    """Number of cache monitors.

    A gauge. resctrl; libvirt `cpu.cache.monitor.count`.
    """
    cache_monitors: tuple[CacheMonitor, ...] = ()
    """Cache occupancy monitors of groups of vCPUs.

    resctrl `mon_data`; libvirt `cpu.cache.monitor.<n>`.
    """
    energy_monitor_count: int | None = None
    """Number of energy monitors.

    A gauge. resctrl; libvirt `cpu.energy.monitor.count`.
    """
    energy_monitors: tuple[EnergyMonitor, ...] = ()
    """Energy monitors of groups of vCPUs.

    resctrl `mon_data/mon_PERF_PKG_*`; libvirt `cpu.energy.monitor.<n>`.
    """
    haltpoll_success: int | None = None
    """Time that vCPUs polled for work after a halt and found some.

    A counter, in ns. QMP `query-stats` `halt_poll_success_ns`, KVM only; libvirt `cpu.haltpoll.success.time`.
    """
    haltpoll_fail: int | None = None
    """Time that vCPUs polled for work after a halt in vain.

    A counter, in ns. QMP `query-stats` `halt_poll_fail_ns`, KVM only; libvirt `cpu.haltpoll.fail.time`.
    """
    pressure: Pressure | None = None
    """How long threads waited for a CPU.

    cgroup v2 `cpu.pressure` of the domain's own cgroup; not in libvirt.
    """


class CacheMonitor(Section):
    """Cache occupancy monitors of groups of vCPUs.

    name: Name of the monitor.
    vcpus: vCPUs that it watches, as a list such as `0-3`.
    bank_count: Number of caches.
    banks: The caches of the host.
    """

    index: int
    """The position."""
    name: str | None = None
    """Name of the monitor.

    A description. resctrl group; libvirt `cpu.cache.monitor.<n>.name`.
    """
    vcpus: str | None = None
    """vCPUs that it watches, as a list such as `0-3`.

    A description. libvirt `cpu.cache.monitor.<n>.vcpus`.
    """
    bank_count: int | None = None
    """Number of caches.

    A gauge. resctrl `mon_data/mon_L3_*`; libvirt `cpu.cache.monitor.<n>.bank.count`.
    """
    banks: tuple[CacheBank, ...] = ()
    """The caches of the host.

    resctrl `mon_data/mon_L3_<id>`; libvirt `cpu.cache.monitor.<n>.bank.<m>`.
    """


class CacheBank(Section):
    """The caches of the host.

    id: The host's number of the cache.
    bytes (B): Bytes of the cache that the vCPUs occupy.
    """

    index: int
    """The position."""
    id: int | None = None
    """The host's number of the cache.

    A description. resctrl `mon_L3_<id>`; libvirt `cpu.cache.monitor.<n>.bank.<m>.id`.
    """
    bytes: int | None = None
    """Bytes of the cache that the vCPUs occupy.

    A gauge, in B. resctrl `llc_occupancy`; libvirt `cpu.cache.monitor.<n>.bank.<m>.bytes`.
    """


class EnergyMonitor(Section):
    """Energy monitors of groups of vCPUs.

    name: Name of the monitor.
    vcpus: vCPUs that it watches, as a list such as `0-3`.
    package_count: Number of CPU packages.
    packages: The CPU packages of the host.
    """

    index: int
    """The position."""
    name: str | None = None
    """Name of the monitor.

    A description. resctrl group; libvirt `cpu.energy.monitor.<n>.name`.
    """
    vcpus: str | None = None
    """vCPUs that it watches, as a list such as `0-3`.

    A description. libvirt `cpu.energy.monitor.<n>.vcpus`.
    """
    package_count: int | None = None
    """Number of CPU packages.

    A gauge. resctrl `mon_data/mon_PERF_PKG_*`; libvirt `cpu.energy.monitor.<n>.pkg.count`.
    """
    packages: tuple[EnergyPackage, ...] = ()
    """The CPU packages of the host.

    resctrl `mon_data/mon_PERF_PKG_<id>`; libvirt `cpu.energy.monitor.<n>.pkg.<m>`.
    """


class EnergyPackage(Section):
    """The CPU packages of the host.

    id: The host's number of the package.
    core_energy (J): Energy that the cores used for the vCPUs.
    activity (F): Activity of the package for the vCPUs.
    """

    index: int
    """The position."""
    id: int | None = None
    """The host's number of the package.

    A description. resctrl `mon_PERF_PKG_<id>`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.id`.
    """
    core_energy: float | None = None
    """Energy that the cores used for the vCPUs.

    A counter, in J. resctrl `core_energy`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.core_energy`.
    """
    activity: float | None = None
    """Activity of the package for the vCPUs.

    A counter, in F. resctrl `activity`; libvirt `cpu.energy.monitor.<n>.pkg.<m>.activity`.
    """


class Pressure(Section):
    """How long threads waited for a CPU.

    some (ns): Time in which at least one thread waited.
    full (ns): Time in which no thread could work, because all waited.
    """

    some: int | None = None
    """Time in which at least one thread waited.

    A counter, in ns. cgroup v2 `*.pressure` `some`; not in libvirt.
    """
    full: int | None = None
    """Time in which no thread could work, because all waited.

    A counter, in ns. cgroup v2 `*.pressure` `full`; not in libvirt.
    """


class Balloon(Section):
    """Memory: balloon, guest statistics, resident set.

    current (KiB): Memory that the guest has now.
    maximum (KiB): Memory that the guest can have.
    swap_in (KiB): Memory that the guest swapped in.
    swap_out (KiB): Memory that the guest swapped out.
    major_fault: Page faults in the guest that needed its disk.
    minor_fault: Page faults in the guest that did not need its disk.
    unused (KiB): Memory that the guest leaves free.
    available (KiB): All memory that the guest's kernel sees (its MemTotal, in spite of the name).
    usable (KiB): Memory that the guest could use without swapping (its MemAvailable).
    last_update (s): When the guest last reported, in seconds since 1970; 0 means never.
    disk_caches (KiB): Memory that the guest's disk caches use.
    hugetlb_pgalloc: Huge pages that the guest allocated.
    hugetlb_pgfail: Huge pages that the guest failed to allocate.
    rss (KiB): Memory of the host that the QEMU process holds.
    actual (KiB): Memory that the balloon device leaves to the guest; absent without a balloon.
    oom_kills: Times that the guest killed a process because it had no memory left.
    alloc_stalls: Times that the guest waited for memory that it had asked for.
    async_scans (KiB): Memory that the guest looked through in the background for some to reclaim.
    direct_scans (KiB): Memory that the guest looked through for some to reclaim while a process waited.
    async_reclaims (KiB): Memory that the guest reclaimed in the background.
    direct_reclaims (KiB): Memory that the guest reclaimed while a process waited.
    pressure: How long threads waited for memory of the host.
    """

    current: int | None = None
    """Memory that the guest has now.

    A gauge, in KiB. QMP `query-balloon`, else the maximum; libvirt `balloon.current`.
    """
    maximum: int | None = None
    """Memory that the guest can have.

    A gauge, in KiB. QEMU `-m` or QMP `query-memory-size-summary`; libvirt `balloon.maximum`.
    """
    swap_in: int | None = None
    """Memory that the guest swapped in.

    A counter, in KiB. `guest-stats` `stat-swap-in`; libvirt `balloon.swap_in`.
    """
    swap_out: int | None = None
    """Memory that the guest swapped out.

    A counter, in KiB. `guest-stats` `stat-swap-out`; libvirt `balloon.swap_out`.
    """
    major_fault: int | None = None
    """Page faults in the guest that needed its disk.

    A counter. `guest-stats` `stat-major-faults`; libvirt `balloon.major_fault`.
    """
    minor_fault: int | None = None
    """Page faults in the guest that did not need its disk.

    A counter. `guest-stats` `stat-minor-faults`; libvirt `balloon.minor_fault`.
    """
    unused: int | None = None
    """Memory that the guest leaves free.

    A gauge, in KiB. `guest-stats` `stat-free-memory`; libvirt `balloon.unused`.
    """
    available: int | None = None
    """All memory that the guest's kernel sees (its MemTotal, in spite of the name).

    A gauge, in KiB. `guest-stats` `stat-total-memory`; libvirt `balloon.available`.
    """
    usable: int | None = None
    """Memory that the guest could use without swapping (its MemAvailable).

    A gauge, in KiB. `guest-stats` `stat-available-memory`; libvirt `balloon.usable`.
    """
    last_update: int | None = None
    """When the guest last reported, in seconds since 1970; 0 means never.

    A gauge, in s. `guest-stats` `last-update`; libvirt `balloon.last-update`.
    """
    disk_caches: int | None = None
    """Memory that the guest's disk caches use.

    A gauge, in KiB. `guest-stats` `stat-disk-caches`; libvirt `balloon.disk_caches`.
    """
    hugetlb_pgalloc: int | None = None
    """Huge pages that the guest allocated.

    A counter. `guest-stats` `stat-htlb-pgalloc`; libvirt `balloon.hugetlb_pgalloc`.
    """
    hugetlb_pgfail: int | None = None
    """Huge pages that the guest failed to allocate.

    A counter. `guest-stats` `stat-htlb-pgfail`; libvirt `balloon.hugetlb_pgfail`.
    """
    rss: int | None = None
    """Memory of the host that the QEMU process holds.

    A gauge, in KiB. `/proc/PID/stat` rss; libvirt `balloon.rss`.
    """
    actual: int | None = None
    """Memory that the balloon device leaves to the guest; absent without a balloon.

    A gauge, in KiB. QMP `query-balloon` `actual`; libvirt reads and discards it.
    """
    oom_kills: int | None = None
    """Times that the guest killed a process because it had no memory left.

    A counter. `guest-stats` `stat-oom-kills`, of newer QEMUs; not in libvirt.
    """
    alloc_stalls: int | None = None
    """Times that the guest waited for memory that it had asked for.

    A counter. `guest-stats` `stat-alloc-stalls`, of newer QEMUs; not in libvirt.
    """
    async_scans: int | None = None
    """Memory that the guest looked through in the background for some to reclaim.

    A counter, in KiB. `guest-stats` `stat-async-scans`, of newer QEMUs; not in libvirt.
    """
    direct_scans: int | None = None
    """Memory that the guest looked through for some to reclaim while a process waited.

    A counter, in KiB. `guest-stats` `stat-direct-scans`, of newer QEMUs; not in libvirt.
    """
    async_reclaims: int | None = None
    """Memory that the guest reclaimed in the background.

    A counter, in KiB. `guest-stats` `stat-async-reclaims`, of newer QEMUs; not in libvirt.
    """
    direct_reclaims: int | None = None
    """Memory that the guest reclaimed while a process waited.

    A counter, in KiB. `guest-stats` `stat-direct-reclaims`, of newer QEMUs; not in libvirt.
    """
    pressure: Pressure | None = None
    """How long threads waited for memory of the host.

    cgroup v2 `memory.pressure` of the domain's own cgroup; not in libvirt.
    """


class Vcpus(Section):
    """Each vCPU.

    current: Number of vCPUs plugged in.
    maximum: Number of vCPUs that can be plugged in.
    cpus: The vCPUs that are plugged in; ids may have holes.
    """

    current: int | None = None
    """Number of vCPUs plugged in.

    A gauge. Threads named after a vCPU, else QMP `query-cpus-fast`; libvirt `vcpu.current`.
    """
    maximum: int | None = None
    """Number of vCPUs that can be plugged in.

    A gauge. QEMU `-smp maxcpus`; libvirt `vcpu.maximum`.
    """
    cpus: tuple[Vcpu, ...] = ()
    """The vCPUs that are plugged in; ids may have holes.

    Threads named after a vCPU, else QMP `query-cpus-fast`; libvirt `vcpu.<n>`.
    """


class Vcpu(Section):
    """The vCPUs that are plugged in; ids may have holes.

    state: State of the vCPU: 0 offline, 1 running, 2 blocked; QEMU's are running when plugged in.
    time (ns): CPU time that the vCPU's thread used.
    wait (ns): Time that the thread waited, I/O included; needs the kernel's `sched_schedstats`.
    delay (ns): Time that the thread was ready and had no CPU: what the guest sees as steal.
    halted: Whether the vCPU is halted; s390x with KVM only.
    stats: What the hypervisor counts for the vCPU.
    histograms: What the hypervisor counts for the vCPU, by bins.
    """

    id: int
    """The number of its own."""
    state: Literal["offline", "running", "blocked"] | int | None = None
    """State of the vCPU: 0 offline, 1 running, 2 blocked; QEMU's are running when plugged in.

    A gauge. libvirt `vcpu.<n>.state`.
    """
    time: int | None = None
    """CPU time that the vCPU's thread used.

    A counter, in ns. `/proc/PID/task/TID/schedstat`; libvirt `vcpu.<n>.time`.
    """
    wait: int | None = None
    """Time that the thread waited, I/O included; needs the kernel's `sched_schedstats`.

    A counter, in ns. `/proc/PID/task/TID/sched` `wait_sum`; libvirt `vcpu.<n>.wait`.
    """
    delay: int | None = None
    """Time that the thread was ready and had no CPU: what the guest sees as steal.

    A counter, in ns. `/proc/PID/task/TID/schedstat`; libvirt `vcpu.<n>.delay`.
    """
    halted: bool | None = None
    """Whether the vCPU is halted; s390x with KVM only.

    A gauge. QMP `query-cpus-fast` `cpu-state`; libvirt `vcpu.<n>.halted`.
    """
    stats: tuple[HypervisorStat, ...] = ()
    """What the hypervisor counts for the vCPU.

    QMP `query-stats` target vcpu; libvirt `vcpu.<n>.<name>`.
    """
    histograms: tuple[HypervisorHistogram, ...] = ()
    """What the hypervisor counts for the vCPU, by bins.

    QMP `query-stats` target vcpu; libvirt discards them.
    """


class HypervisorStat(Section):
    """What the hypervisor counts for the vCPU.

    cur: A momentary value.
    sum: A sum since the start.
    max: The highest value since the start.
    """

    name: str
    """The name."""
    cur: int | None = None
    """A momentary value.

    A gauge. QMP `query-stats` type instant; libvirt `<name>.cur`.
    """
    sum: int | None = None
    """A sum since the start.

    A counter. QMP `query-stats` type cumulative; libvirt `<name>.sum`.
    """
    max: int | None = None
    """The highest value since the start.

    A gauge. QMP `query-stats` type peak; libvirt `<name>.max`.
    """


class HypervisorHistogram(Section):
    """What the hypervisor counts for the vCPU, by bins.

    unit: What is measured, such as `seconds`; absent for a plain number.
    base: Base of the factor between the values of the bins and the unit.
    exponent: Exponent of the factor between the values of the bins and the unit.
    bucket_size: Width of each bin of a linear histogram.
    linear: Numbers of values in bins of one width: bin n begins at n times that.
    log2: Numbers of values in bins of doubling widths: bin 0 is 0, bin n begins at 2 to the power of n - 1.
    """

    name: str
    """The name."""
    unit: str | None = None
    """What is measured, such as `seconds`; absent for a plain number.

    A description. QMP `query-stats-schemas` `unit`.
    """
    base: int | None = None
    """Base of the factor between the values of the bins and the unit.

    A description. QMP `query-stats-schemas` `base`.
    """
    exponent: int | None = None
    """Exponent of the factor between the values of the bins and the unit.

    A description. QMP `query-stats-schemas` `exponent`.
    """
    bucket_size: int | None = None
    """Width of each bin of a linear histogram.

    A description. QMP `query-stats-schemas` `bucket-size`.
    """
    linear: tuple[int, ...] | None = None
    """Numbers of values in bins of one width: bin n begins at n times that.

    A counter. QMP `query-stats` type linear-histogram; libvirt discards it.
    """
    log2: tuple[int, ...] | None = None
    """Numbers of values in bins of doubling widths: bin 0 is 0, bin n begins at 2 to the power of n - 1.

    A counter. QMP `query-stats` type log2-histogram; libvirt discards it.
    """


class Interfaces(Section):
    """Each network interface, seen from the guest.

    count: Number of interfaces that the guest has; some may have no entry.
    interfaces: The interfaces. One without a network device on the host has neither name nor counters.
    """

    count: int | None = None
    """Number of interfaces that the guest has; some may have no entry.

    A gauge. QMP `qom-list`, else QEMU's command line; libvirt `net.count`.
    """
    interfaces: tuple[Interface, ...] = ()
    """The interfaces. One without a network device on the host has neither name nor counters.

    libvirt `net.<n>`, for those with a network device.
    """


class Interface(Section):
    """The interfaces. One without a network device on the host has neither name nor counters.

    name: Name of the host's network device.
    rx_bytes (B): Bytes received.
    rx_pkts: Packets received.
    rx_errs: Errors while receiving.
    rx_drop: Packets dropped while receiving.
    tx_bytes (B): Bytes transmitted.
    tx_pkts: Packets transmitted.
    tx_errs: Errors while transmitting.
    tx_drop: Packets dropped while transmitting.
    """

    index: int
    """The position."""
    name: str | None = None
    """Name of the host's network device.

    A description. `/proc/PID/fdinfo` `iff`; libvirt `net.<n>.name`.
    """
    rx_bytes: int | None = None
    """Bytes received.

    A counter, in B. `/proc/net/dev`; libvirt `net.<n>.rx.bytes`.
    """
    rx_pkts: int | None = None
    """Packets received.

    A counter. `/proc/net/dev`; libvirt `net.<n>.rx.pkts`.
    """
    rx_errs: int | None = None
    """Errors while receiving.

    A counter. `/proc/net/dev`; libvirt `net.<n>.rx.errs`.
    """
    rx_drop: int | None = None
    """Packets dropped while receiving.

    A counter. `/proc/net/dev`; libvirt `net.<n>.rx.drop`.
    """
    tx_bytes: int | None = None
    """Bytes transmitted.

    A counter, in B. `/proc/net/dev`; libvirt `net.<n>.tx.bytes`.
    """
    tx_pkts: int | None = None
    """Packets transmitted.

    A counter. `/proc/net/dev`; libvirt `net.<n>.tx.pkts`.
    """
    tx_errs: int | None = None
    """Errors while transmitting.

    A counter. `/proc/net/dev`; libvirt `net.<n>.tx.errs`.
    """
    tx_drop: int | None = None
    """Packets dropped while transmitting.

    A counter. `/proc/net/dev`; libvirt `net.<n>.tx.drop`.
    """


class Blocks(Section):
    """Each disk.

    count: Number of entries: disks, or images when the backing chain was asked for.
    blocks: The disks, or their images.
    pressure: How long threads waited for storage of the host.
    device_count: Number of devices of the host that the domain used.
    devices: Devices of the host, as the domain used them: without what the host's page cache took.
    """

    count: int | None = None
    """Number of entries: disks, or images when the backing chain was asked for.

    A gauge. libvirt `block.count`.
    """
    blocks: tuple[Block, ...] = ()
    """The disks, or their images.

    QMP `query-blockstats`; libvirt `block.<n>`.
    """
    pressure: Pressure | None = None
    """How long threads waited for storage of the host.

    cgroup v2 `io.pressure` of the domain's own cgroup; not in libvirt.
    """
    device_count: int | None = None
    """Number of devices of the host that the domain used.

    A gauge. cgroup v2 `io.stat`, v1 `blkio.throttle.io_serviced`; not in libvirt.
    """
    devices: tuple[BlockDevice, ...] = ()
    """Devices of the host, as the domain used them: without what the host's page cache took.

    cgroup v2 `io.stat`, v1 `blkio.throttle.*`, of the domain's own cgroup; not in libvirt.
    """


class Block(Section):
    """The disks, or their images.

    name: Name of the disk; images of one disk share it.
    path: File or device that holds the image.
    backing_index: Number of the image in the backing chain.
    rd_reqs: Reads completed.
    rd_bytes (B): Bytes read.
    rd_times (ns): Time spent in reads.
    rd_failed: Reads that failed.
    rd_invalid: Reads that were invalid.
    rd_merged: Reads merged into others.
    wr_reqs: Writes completed.
    wr_bytes (B): Bytes written.
    wr_times (ns): Time spent in writes.
    wr_failed: Writes that failed.
    wr_invalid: Writes that were invalid.
    wr_merged: Writes merged into others.
    fl_reqs: Flushes completed.
    fl_times (ns): Time spent in flushes.
    fl_failed: Flushes that failed.
    fl_invalid: Flushes that were invalid.
    errors: Errors; Xen only.
    timed_group_count: Number of measuring intervals.
    timed_groups: Latencies over measuring intervals, where the disk was told to measure.
    read_histogram: How long read requests took, as a histogram.
    write_histogram: How long write requests took, as a histogram.
    zone_append_histogram: How long zone append requests took, as a histogram.
    flush_histogram: How long flush requests took, as a histogram.
    allocation (B): Highest offset written, in bytes.
    capacity (B): Size that the guest sees.
    physical (B): Space that the image takes on the host.
    threshold (B): Offset whose writing raises an event.
    limits_request_alignment (B): Alignment that requests need.
    limits_discard_max (B): Largest discard.
    limits_discard_alignment (B): Alignment that discards should have.
    limits_write_zeroes_max (B): Largest write of zeroes.
    limits_write_zeroes_alignment (B): Alignment that writes of zeroes should have.
    limits_transfer_optimal (B): Best size of a transfer.
    limits_transfer_max (B): Largest transfer.
    limits_transfer_hw_max (B): Largest transfer of the hardware.
    limits_iov_max: Most scatter-gather elements.
    limits_iov_hw_max: Most scatter-gather elements of the hardware.
    limits_memory_alignment_minimal (B): Least alignment of buffers in memory.
    limits_memory_alignment_optimal (B): Best alignment of buffers in memory.
    unmap_reqs: Unmaps completed.
    unmap_bytes (B): Bytes unmapped.
    unmap_times (ns): Time spent in unmaps.
    unmap_failed: Unmaps that failed.
    unmap_invalid: Unmaps that were invalid.
    unmap_merged: Unmaps merged into others.
    zone_append_reqs: Zone appends completed.
    zone_append_bytes (B): Bytes appended to zones.
    zone_append_times (ns): Time spent in zone appends.
    zone_append_failed: Zone appends that failed.
    zone_append_invalid: Zone appends that were invalid.
    zone_append_merged: Zone appends merged into others.
    idle_time (ns): Time since the last request; absent before the first.
    discard_reqs: Discards that the host's file or device did.
    discard_bytes (B): Bytes discarded in the host's file or device.
    discard_failed: Discards that the host's file or device refused.
    """

    index: int
    """The position."""
    name: str | None = None
    """Name of the disk; images of one disk share it.

    A description. Derived from QMP `query-blockstats` `qdev`; libvirt `block.<n>.name`.
    """
    path: str | None = None
    """File or device that holds the image.

    A description. QMP `query-named-block-nodes` `image.filename`; libvirt `block.<n>.path`.
    """
    backing_index: int | None = None
    """Number of the image in the backing chain.

    A description. Position in the chain, or libvirt's image id; libvirt `block.<n>.backingIndex`.
    """
    rd_reqs: int | None = None
    """Reads completed.

    A counter. QMP `query-blockstats` `stats.rd_operations`; libvirt `block.<n>.rd.reqs`.
    """
    rd_bytes: int | None = None
    """Bytes read.

    A counter, in B. QMP `query-blockstats` `stats.rd_bytes`; libvirt `block.<n>.rd.bytes`.
    """
    rd_times: int | None = None
    """Time spent in reads.

    A counter, in ns. QMP `query-blockstats` `stats.rd_total_time_ns`; libvirt `block.<n>.rd.times`.
    """
    rd_failed: int | None = None
    """Reads that failed.

    A counter. QMP `query-blockstats` `stats.failed_rd_operations`; libvirt discards it.
    """
    rd_invalid: int | None = None
    """Reads that were invalid.

    A counter. QMP `query-blockstats` `stats.invalid_rd_operations`; libvirt discards it.
    """
    rd_merged: int | None = None
    """Reads merged into others.

    A counter. QMP `query-blockstats` `stats.rd_merged`; libvirt discards it.
    """
    wr_reqs: int | None = None
    """Writes completed.

    A counter. QMP `query-blockstats` `stats.wr_operations`; libvirt `block.<n>.wr.reqs`.
    """
    wr_bytes: int | None = None
    """Bytes written.

    A counter, in B. QMP `query-blockstats` `stats.wr_bytes`; libvirt `block.<n>.wr.bytes`.
    """
    wr_times: int | None = None
    """Time spent in writes.

    A counter, in ns. QMP `query-blockstats` `stats.wr_total_time_ns`; libvirt `block.<n>.wr.times`.
    """
    wr_failed: int | None = None
    """Writes that failed.

    A counter. QMP `query-blockstats` `stats.failed_wr_operations`; libvirt discards it.
    """
    wr_invalid: int | None = None
    """Writes that were invalid.

    A counter. QMP `query-blockstats` `stats.invalid_wr_operations`; libvirt discards it.
    """
    wr_merged: int | None = None
    """Writes merged into others.

    A counter. QMP `query-blockstats` `stats.wr_merged`; libvirt discards it.
    """
    fl_reqs: int | None = None
    """Flushes completed.

    A counter. QMP `query-blockstats` `stats.flush_operations`; libvirt `block.<n>.fl.reqs`.
    """
    fl_times: int | None = None
    """Time spent in flushes.

    A counter, in ns. QMP `query-blockstats` `stats.flush_total_time_ns`; libvirt `block.<n>.fl.times`.
    """
    fl_failed: int | None = None
    """Flushes that failed.

    A counter. QMP `query-blockstats` `stats.failed_flush_operations`; libvirt discards it.
    """
    fl_invalid: int | None = None
    """Flushes that were invalid.

    A counter. QMP `query-blockstats` `stats.invalid_flush_operations`; libvirt discards it.
    """
    errors: int | None = None
    """Errors; Xen only.

    A counter. libvirt `block.<n>.errors`, which no driver of libvirt fills.
    """
    timed_group_count: int | None = None
    """Number of measuring intervals.

    A gauge. QMP `query-blockstats` `stats.timed_stats`; libvirt `block.<n>.timed_group.count`.
    """
    timed_groups: tuple[TimedGroup, ...] = ()
    """Latencies over measuring intervals, where the disk was told to measure.

    QMP `query-blockstats` `stats.timed_stats`; libvirt `block.<n>.timed_group.<g>`.
    """
    read_histogram: LatencyHistogram | None = None
    """How long read requests took, as a histogram.

    QMP `query-blockstats` `stats.rd_latency_histogram`; libvirt `block.<n>.latency_histogram.read`.
    """
    write_histogram: LatencyHistogram | None = None
    """How long write requests took, as a histogram.

    QMP `query-blockstats` `stats.wr_latency_histogram`; libvirt `block.<n>.latency_histogram.write`.
    """
    zone_append_histogram: LatencyHistogram | None = None
    """How long zone append requests took, as a histogram.

    QMP `query-blockstats` `stats.zone_append_latency_histogram`; libvirt `block.<n>.latency_histogram.zone_append`.
    """
    flush_histogram: LatencyHistogram | None = None
    """How long flush requests took, as a histogram.

    QMP `query-blockstats` `stats.flush_latency_histogram`; libvirt `block.<n>.latency_histogram.flush`.
    """
    allocation: int | None = None
    """Highest offset written, in bytes.

    A gauge, in B. QMP `query-blockstats` `parent.stats.wr_highest_offset`; libvirt `block.<n>.allocation`.
    """
    capacity: int | None = None
    """Size that the guest sees.

    A gauge, in B. QMP `query-named-block-nodes` `image.virtual-size`; libvirt `block.<n>.capacity`.
    """
    physical: int | None = None
    """Space that the image takes on the host.

    A gauge, in B. QMP `query-named-block-nodes` `image.actual-size`; libvirt `block.<n>.physical`.
    """
    threshold: int | None = None
    """Offset whose writing raises an event.

    A gauge, in B. QMP `query-named-block-nodes` `write_threshold`; libvirt `block.<n>.threshold`.
    """
    limits_request_alignment: int | None = None
    """Alignment that requests need.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.request-alignment`; libvirt `block.<n>.limits.request_alignment`.
    """
    limits_discard_max: int | None = None
    """Largest discard.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.max-discard`; libvirt `block.<n>.limits.discard_max`.
    """
    limits_discard_alignment: int | None = None
    """Alignment that discards should have.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.discard-alignment`; libvirt `block.<n>.limits.discard_alignment`.
    """
    limits_write_zeroes_max: int | None = None
    """Largest write of zeroes.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.max-write-zeroes`; libvirt `block.<n>.limits.write_zeroes_max`.
    """
    limits_write_zeroes_alignment: int | None = None
    """Alignment that writes of zeroes should have.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.write-zeroes-alignment`; libvirt `block.<n>.limits.write_zeroes_alignment`.
    """
    limits_transfer_optimal: int | None = None
    """Best size of a transfer.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.opt-transfer`; libvirt `block.<n>.limits.transfer_optimal`.
    """
    limits_transfer_max: int | None = None
    """Largest transfer.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.max-transfer`; libvirt `block.<n>.limits.transfer_max`.
    """
    limits_transfer_hw_max: int | None = None
    """Largest transfer of the hardware.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.max-hw-transfer`; libvirt `block.<n>.limits.transfer_hw_max`.
    """
    limits_iov_max: int | None = None
    """Most scatter-gather elements.

    A gauge. QMP `query-named-block-nodes` `image.limits.max-iov`; libvirt `block.<n>.limits.iov_max`.
    """
    limits_iov_hw_max: int | None = None
    """Most scatter-gather elements of the hardware.

    A gauge. QMP `query-named-block-nodes` `image.limits.max-hw-iov`; libvirt `block.<n>.limits.iov_hw_max`.
    """
    limits_memory_alignment_minimal: int | None = None
    """Least alignment of buffers in memory.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.min-mem-alignment`; libvirt `block.<n>.limits.memory_alignment_minimal`.
    """
    limits_memory_alignment_optimal: int | None = None
    """Best alignment of buffers in memory.

    A gauge, in B. QMP `query-named-block-nodes` `image.limits.opt-mem-alignment`; libvirt `block.<n>.limits.memory_alignment_optimal`.
    """
    unmap_reqs: int | None = None
    """Unmaps completed.

    A counter. QMP `query-blockstats` `stats.unmap_operations`; libvirt discards it.
    """
    unmap_bytes: int | None = None
    """Bytes unmapped.

    A counter, in B. QMP `query-blockstats` `stats.unmap_bytes`; libvirt discards it.
    """
    unmap_times: int | None = None
    """Time spent in unmaps.

    A counter, in ns. QMP `query-blockstats` `stats.unmap_total_time_ns`; libvirt discards it.
    """
    unmap_failed: int | None = None
    """Unmaps that failed.

    A counter. QMP `query-blockstats` `stats.failed_unmap_operations`; libvirt discards it.
    """
    unmap_invalid: int | None = None
    """Unmaps that were invalid.

    A counter. QMP `query-blockstats` `stats.invalid_unmap_operations`; libvirt discards it.
    """
    unmap_merged: int | None = None
    """Unmaps merged into others.

    A counter. QMP `query-blockstats` `stats.unmap_merged`; libvirt discards it.
    """
    zone_append_reqs: int | None = None
    """Zone appends completed.

    A counter. QMP `query-blockstats` `stats.zone_append_operations`; libvirt discards it.
    """
    zone_append_bytes: int | None = None
    """Bytes appended to zones.

    A counter, in B. QMP `query-blockstats` `stats.zone_append_bytes`; libvirt discards it.
    """
    zone_append_times: int | None = None
    """Time spent in zone appends.

    A counter, in ns. QMP `query-blockstats` `stats.zone_append_total_time_ns`; libvirt discards it.
    """
    zone_append_failed: int | None = None
    """Zone appends that failed.

    A counter. QMP `query-blockstats` `stats.failed_zone_append_operations`; libvirt discards it.
    """
    zone_append_invalid: int | None = None
    """Zone appends that were invalid.

    A counter. QMP `query-blockstats` `stats.invalid_zone_append_operations`; libvirt discards it.
    """
    zone_append_merged: int | None = None
    """Zone appends merged into others.

    A counter. QMP `query-blockstats` `stats.zone_append_merged`; libvirt discards it.
    """
    idle_time: int | None = None
    """Time since the last request; absent before the first.

    A gauge, in ns. QMP `query-blockstats` `stats.idle_time_ns`; libvirt discards it.
    """
    discard_reqs: int | None = None
    """Discards that the host's file or device did.

    A counter. QMP `query-blockstats` `driver-specific.discard-nb-ok`; libvirt discards it.
    """
    discard_bytes: int | None = None
    """Bytes discarded in the host's file or device.

    A counter, in B. QMP `query-blockstats` `driver-specific.discard-bytes-ok`; libvirt discards it.
    """
    discard_failed: int | None = None
    """Discards that the host's file or device refused.

    A counter. QMP `query-blockstats` `driver-specific.discard-nb-failed`; libvirt discards it.
    """


class TimedGroup(Section):
    """Latencies over measuring intervals, where the disk was told to measure.

    interval (s): Length of the interval.
    rd_latency_min (ns): Shortest read.
    rd_latency_max (ns): Longest read.
    rd_latency_avg (ns): Average read.
    wr_latency_min (ns): Shortest write.
    wr_latency_max (ns): Longest write.
    wr_latency_avg (ns): Average write.
    zone_append_latency_min (ns): Shortest zone append.
    zone_append_latency_max (ns): Longest zone append.
    zone_append_latency_avg (ns): Average zone append.
    flush_latency_min (ns): Shortest flush.
    flush_latency_max (ns): Longest flush.
    flush_latency_avg (ns): Average flush.
    rd_queue_depth_avg: Average number of reads waiting.
    wr_queue_depth_avg: Average number of writes waiting.
    zone_append_queue_depth_avg: Average number of zone appends waiting.
    """

    index: int
    """The position."""
    interval: int | None = None
    """Length of the interval.

    A description, in s. QMP `timed_stats` `interval_length`; libvirt `timed_group.<g>.interval`.
    """
    rd_latency_min: int | None = None
    """Shortest read.

    A gauge, in ns. QMP `timed_stats` `min_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_min`.
    """
    rd_latency_max: int | None = None
    """Longest read.

    A gauge, in ns. QMP `timed_stats` `max_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_max`.
    """
    rd_latency_avg: int | None = None
    """Average read.

    A gauge, in ns. QMP `timed_stats` `avg_rd_latency_ns`; libvirt `timed_group.<g>.rd_latency_avg`.
    """
    wr_latency_min: int | None = None
    """Shortest write.

    A gauge, in ns. QMP `timed_stats` `min_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_min`.
    """
    wr_latency_max: int | None = None
    """Longest write.

    A gauge, in ns. QMP `timed_stats` `max_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_max`.
    """
    wr_latency_avg: int | None = None
    """Average write.

    A gauge, in ns. QMP `timed_stats` `avg_wr_latency_ns`; libvirt `timed_group.<g>.wr_latency_avg`.
    """
    zone_append_latency_min: int | None = None
    """Shortest zone append.

    A gauge, in ns. QMP `timed_stats` `min_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_min`.
    """
    zone_append_latency_max: int | None = None
    """Longest zone append.

    A gauge, in ns. QMP `timed_stats` `max_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_max`.
    """
    zone_append_latency_avg: int | None = None
    """Average zone append.

    A gauge, in ns. QMP `timed_stats` `avg_zone_append_latency_ns`; libvirt `timed_group.<g>.zone_append_latency_avg`.
    """
    flush_latency_min: int | None = None
    """Shortest flush.

    A gauge, in ns. QMP `timed_stats` `min_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_min`.
    """
    flush_latency_max: int | None = None
    """Longest flush.

    A gauge, in ns. QMP `timed_stats` `max_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_max`.
    """
    flush_latency_avg: int | None = None
    """Average flush.

    A gauge, in ns. QMP `timed_stats` `avg_flush_latency_ns`; libvirt `timed_group.<g>.flush_latency_avg`.
    """
    rd_queue_depth_avg: float | None = None
    """Average number of reads waiting.

    A gauge. QMP `timed_stats` `avg_rd_queue_depth`; libvirt `timed_group.<g>.rd_queue_depth_avg`.
    """
    wr_queue_depth_avg: float | None = None
    """Average number of writes waiting.

    A gauge. QMP `timed_stats` `avg_wr_queue_depth`; libvirt `timed_group.<g>.wr_queue_depth_avg`.
    """
    zone_append_queue_depth_avg: float | None = None
    """Average number of zone appends waiting.

    A gauge. QMP `timed_stats` `avg_zone_append_queue_depth`; libvirt `timed_group.<g>.zone_append_queue_depth_avg`.
    """


class LatencyHistogram(Section):
    """How long read requests took, as a histogram.

    bin_count: Number of bins.
    bins: The bins, from short to long.
    """

    bin_count: int | None = None
    """Number of bins.

    A gauge. QMP `latency_histogram` `bins`; libvirt `bin.count`.
    """
    bins: tuple[LatencyBin, ...] = ()
    """The bins, from short to long.

    QMP `latency_histogram` `bins`; libvirt `bin.<b>`.
    """


class LatencyBin(Section):
    """The bins, from short to long.

    start (ns): Shortest time that counts here; the next bin's start is the end.
    value: Number of requests.
    """

    index: int
    """The position."""
    start: int | None = None
    """Shortest time that counts here; the next bin's start is the end.

    A description, in ns. QMP `latency_histogram` `boundaries`; libvirt `bin.<b>.start`.
    """
    value: int | None = None
    """Number of requests.

    A counter. QMP `latency_histogram` `bins`; libvirt `bin.<b>.value`.
    """


class BlockDevice(Section):
    """Devices of the host, as the domain used them: without what the host's page cache took.

    number: Number of the device, major and minor, as in `lsblk`.
    rd_reqs: Reads from the host's device.
    rd_bytes (B): Bytes read from the host's device.
    wr_reqs: Writes to the host's device.
    wr_bytes (B): Bytes written to the host's device.
    unmap_reqs: Unmaps on the host's device.
    unmap_bytes (B): Bytes unmapped on the host's device.
    """

    index: int
    """The position."""
    number: str | None = None
    """Number of the device, major and minor, as in `lsblk`.

    A description. cgroup v2 `io.stat`, v1 `blkio.throttle.*`; not in libvirt.
    """
    rd_reqs: int | None = None
    """Reads from the host's device.

    A counter. cgroup v2 `io.stat` `rios`, v1 `blkio.throttle.io_serviced` `Read`; not in libvirt.
    """
    rd_bytes: int | None = None
    """Bytes read from the host's device.

    A counter, in B. cgroup v2 `io.stat` `rbytes`, v1 `blkio.throttle.io_service_bytes` `Read`; not in libvirt.
    """
    wr_reqs: int | None = None
    """Writes to the host's device.

    A counter. cgroup v2 `io.stat` `wios`, v1 `blkio.throttle.io_serviced` `Write`; not in libvirt.
    """
    wr_bytes: int | None = None
    """Bytes written to the host's device.

    A counter, in B. cgroup v2 `io.stat` `wbytes`, v1 `blkio.throttle.io_service_bytes` `Write`; not in libvirt.
    """
    unmap_reqs: int | None = None
    """Unmaps on the host's device.

    A counter. cgroup v2 `io.stat` `dios`, v1 `blkio.throttle.io_serviced` `Discard`; not in libvirt.
    """
    unmap_bytes: int | None = None
    """Bytes unmapped on the host's device.

    A counter, in B. cgroup v2 `io.stat` `dbytes`, v1 `blkio.throttle.io_service_bytes` `Discard`; not in libvirt.
    """


class Perf(Section):
    """Performance counters of the host.

    cmt (B): Cache that the domain occupies.
    mbmt: Memory bandwidth of the domain, total, in bytes a second.
    mbml: Memory bandwidth of the domain, local, in bytes a second.
    cpu_cycles: CPU cycles, frequency changes included.
    instructions: Instructions retired.
    cache_references: Cache accesses.
    cache_misses: Cache misses.
    branch_instructions: Branches retired.
    branch_misses: Branches predicted wrongly.
    bus_cycles: Bus cycles.
    stalled_cycles_frontend: Cycles stalled while instructions were fetched.
    stalled_cycles_backend: Cycles stalled while instructions retired.
    ref_cpu_cycles: CPU cycles at a constant frequency.
    cpu_clock (ns): CPU clock time.
    task_clock (ns): Task clock time.
    page_faults: Page faults.
    context_switches: Context switches.
    cpu_migrations: Moves to another CPU.
    page_faults_min: Minor page faults.
    page_faults_maj: Major page faults.
    alignment_faults: Alignment faults.
    emulation_faults: Emulation faults.
    """

    cmt: int | None = None
    """Cache that the domain occupies.

    A gauge, in B. intel_cqm, gone from Linux 4.14; libvirt `perf.cmt`.
    """
    mbmt: int | None = None
    """Memory bandwidth of the domain, total, in bytes a second.

    A gauge. intel_cqm, gone from Linux 4.14; libvirt `perf.mbmt`.
    """
    mbml: int | None = None
    """Memory bandwidth of the domain, local, in bytes a second.

    A gauge. intel_cqm, gone from Linux 4.14; libvirt `perf.mbml`.
    """
    cpu_cycles: int | None = None
    """CPU cycles, frequency changes included.

    A counter. perf_event_open `PERF_COUNT_HW_CPU_CYCLES`; libvirt `perf.cpu_cycles`.
    """
    instructions: int | None = None
    """Instructions retired.

    A counter. perf_event_open `PERF_COUNT_HW_INSTRUCTIONS`; libvirt `perf.instructions`.
    """
    cache_references: int | None = None
    """Cache accesses.

    A counter. perf_event_open `PERF_COUNT_HW_CACHE_REFERENCES`; libvirt `perf.cache_references`.
    """
    cache_misses: int | None = None
    """Cache misses.

    A counter. perf_event_open `PERF_COUNT_HW_CACHE_MISSES`; libvirt `perf.cache_misses`.
    """
    branch_instructions: int | None = None
    """Branches retired.

    A counter. perf_event_open `PERF_COUNT_HW_BRANCH_INSTRUCTIONS`; libvirt `perf.branch_instructions`.
    """
    branch_misses: int | None = None
    """Branches predicted wrongly.

    A counter. perf_event_open `PERF_COUNT_HW_BRANCH_MISSES`; libvirt `perf.branch_misses`.
    """
    bus_cycles: int | None = None
    """Bus cycles.

    A counter. perf_event_open `PERF_COUNT_HW_BUS_CYCLES`; libvirt `perf.bus_cycles`.
    """
    stalled_cycles_frontend: int | None = None
    """Cycles stalled while instructions were fetched.

    A counter. perf_event_open `PERF_COUNT_HW_STALLED_CYCLES_FRONTEND`; libvirt `perf.stalled_cycles_frontend`.
    """
    stalled_cycles_backend: int | None = None
    """Cycles stalled while instructions retired.

    A counter. perf_event_open `PERF_COUNT_HW_STALLED_CYCLES_BACKEND`; libvirt `perf.stalled_cycles_backend`.
    """
    ref_cpu_cycles: int | None = None
    """CPU cycles at a constant frequency.

    A counter. perf_event_open `PERF_COUNT_HW_REF_CPU_CYCLES`; libvirt `perf.ref_cpu_cycles`.
    """
    cpu_clock: int | None = None
    """CPU clock time.

    A counter, in ns. perf_event_open `PERF_COUNT_SW_CPU_CLOCK`; libvirt `perf.cpu_clock`.
    """
    task_clock: int | None = None
    """Task clock time.

    A counter, in ns. perf_event_open `PERF_COUNT_SW_TASK_CLOCK`; libvirt `perf.task_clock`.
    """
    page_faults: int | None = None
    """Page faults.

    A counter. perf_event_open `PERF_COUNT_SW_PAGE_FAULTS`; libvirt `perf.page_faults`.
    """
    context_switches: int | None = None
    """Context switches.

    A counter. perf_event_open `PERF_COUNT_SW_CONTEXT_SWITCHES`; libvirt `perf.context_switches`.
    """
    cpu_migrations: int | None = None
    """Moves to another CPU.

    A counter. perf_event_open `PERF_COUNT_SW_CPU_MIGRATIONS`; libvirt `perf.cpu_migrations`.
    """
    page_faults_min: int | None = None
    """Minor page faults.

    A counter. perf_event_open `PERF_COUNT_SW_PAGE_FAULTS_MIN`; libvirt `perf.page_faults_min`.
    """
    page_faults_maj: int | None = None
    """Major page faults.

    A counter. perf_event_open `PERF_COUNT_SW_PAGE_FAULTS_MAJ`; libvirt `perf.page_faults_maj`.
    """
    alignment_faults: int | None = None
    """Alignment faults.

    A counter. perf_event_open `PERF_COUNT_SW_ALIGNMENT_FAULTS`; libvirt `perf.alignment_faults`.
    """
    emulation_faults: int | None = None
    """Emulation faults.

    A counter. perf_event_open `PERF_COUNT_SW_EMULATION_FAULTS`; libvirt `perf.emulation_faults`.
    """


class Iothreads(Section):
    """Each iothread.

    count: Number of iothreads.
    iothreads: The iothreads, by libvirt's number: the digits of an id such as `iothread2`.
    """

    count: int | None = None
    """Number of iothreads.

    A gauge. QMP `query-iothreads`; libvirt `iothread.count`.
    """
    iothreads: tuple[Iothread, ...] = ()
    """The iothreads, by libvirt's number: the digits of an id such as `iothread2`.

    QMP `query-iothreads`; libvirt `iothread.<id>`.
    """


class Iothread(Section):
    """The iothreads, by libvirt's number: the digits of an id such as `iothread2`.

    poll_max_ns (ns): Longest time that the thread polls before it sleeps; 0 means no polling.
    poll_grow: Factor by which the polling time grows; 0 lets QEMU choose.
    poll_shrink: Divisor by which the polling time shrinks; 0 lets QEMU choose.
    poll_weight: Weight of the newest measurement in the polling time, 0 to 63.
    aio_max_batch: Most requests that the thread gives to the kernel at once; 0 lets QEMU choose.
    name: The id that QEMU was given.
    cpu_time (ns): CPU time that the thread used.
    cpu_delay (ns): Time that the thread was ready and had no CPU.
    """

    id: int
    """The number of its own."""
    poll_max_ns: int | None = None
    """Longest time that the thread polls before it sleeps; 0 means no polling.

    A gauge, in ns. QMP `query-iothreads` `poll-max-ns`; libvirt `iothread.<id>.poll-max-ns`.
    """
    poll_grow: int | None = None
    """Factor by which the polling time grows; 0 lets QEMU choose.

    A gauge. QMP `query-iothreads` `poll-grow`; libvirt `iothread.<id>.poll-grow`.
    """
    poll_shrink: int | None = None
    """Divisor by which the polling time shrinks; 0 lets QEMU choose.

    A gauge. QMP `query-iothreads` `poll-shrink`; libvirt `iothread.<id>.poll-shrink`.
    """
    poll_weight: int | None = None
    """Weight of the newest measurement in the polling time, 0 to 63.

    A gauge. QMP `query-iothreads` `poll-weight`, newer QEMU; libvirt `iothread.<id>.poll-weight`.
    """
    aio_max_batch: int | None = None
    """Most requests that the thread gives to the kernel at once; 0 lets QEMU choose.

    A gauge. QMP `query-iothreads` `aio-max-batch`, QEMU 6.1 or later; not in libvirt.
    """
    name: str | None = None
    """The id that QEMU was given.

    A description. QMP `query-iothreads` `id`; libvirt has only the number.
    """
    cpu_time: int | None = None
    """CPU time that the thread used.

    A counter, in ns. `/proc/PID/task/TID/schedstat` of QMP `thread-id`; libvirt discards the thread id.
    """
    cpu_delay: int | None = None
    """Time that the thread was ready and had no CPU.

    A counter, in ns. `/proc/PID/task/TID/schedstat`; not in libvirt.
    """


class Memory(Section):
    """Memory bandwidth monitors.

    monitor_count: Number of bandwidth monitors.
    monitors: Bandwidth monitors of groups of vCPUs.
    """

    monitor_count: int | None = None
    """Number of bandwidth monitors.

    A gauge. resctrl; libvirt `memory.bandwidth.monitor.count`.
    """
    monitors: tuple[BandwidthMonitor, ...] = ()
    """Bandwidth monitors of groups of vCPUs.

    resctrl `mon_data`; libvirt `memory.bandwidth.monitor.<n>`.
    """


class BandwidthMonitor(Section):
    """Bandwidth monitors of groups of vCPUs.

    name: Name of the monitor.
    vcpus: vCPUs that it watches, as a list such as `0-3`.
    node_count: Number of memory controllers.
    nodes: The memory controllers of the host.
    """

    index: int
    """The position."""
    name: str | None = None
    """Name of the monitor.

    A description. resctrl group; libvirt `memory.bandwidth.monitor.<n>.name`.
    """
    vcpus: str | None = None
    """vCPUs that it watches, as a list such as `0-3`.

    A description. libvirt `memory.bandwidth.monitor.<n>.vcpus`.
    """
    node_count: int | None = None
    """Number of memory controllers.

    A gauge. resctrl `mon_data/mon_L3_*`; libvirt `memory.bandwidth.monitor.<n>.node.count`.
    """
    nodes: tuple[BandwidthNode, ...] = ()
    """The memory controllers of the host.

    resctrl `mon_data/mon_L3_<id>`; libvirt `memory.bandwidth.monitor.<n>.node.<m>`.
    """


class BandwidthNode(Section):
    """The memory controllers of the host.

    id: The host's number of the controller.
    local (B): Bytes moved to and from memory of the same node.
    total (B): Bytes moved to and from any memory.
    """

    index: int
    """The position."""
    id: int | None = None
    """The host's number of the controller.

    A description. resctrl `mon_L3_<id>`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.id`.
    """
    local: int | None = None
    """Bytes moved to and from memory of the same node.

    A counter, in B. resctrl `mbm_local_bytes`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.bytes.local`.
    """
    total: int | None = None
    """Bytes moved to and from any memory.

    A counter, in B. resctrl `mbm_total_bytes`; libvirt `memory.bandwidth.monitor.<n>.node.<m>.bytes.total`.
    """


class DirtyRate(Section):
    """The last measurement of the dirty rate.

    status: How far the measurement is: 0 none started, 1 running, 2 complete.
    start_time (s): When it started, in seconds: of the host's uptime in QEMU 7.2, since 1970 in QEMU 10.0.
    period (s): How long it takes or took.
    mode: How it measures: `page-sampling`, `dirty-bitmap` or `dirty-ring`.
    megabytes_per_second (MiB/s): Memory written a second.
    vcpus: The same by vCPU; in mode `dirty-ring` only.
    """

    status: Literal["unstarted", "measuring", "measured"] | int | None = None
    """How far the measurement is: 0 none started, 1 running, 2 complete.

    A gauge. QMP `query-dirty-rate` `status`; libvirt `dirtyrate.calc_status`.
    """
    start_time: int | None = None
    """When it started, in seconds: of the host's uptime in QEMU 7.2, since 1970 in QEMU 10.0.

    A gauge, in s. QMP `query-dirty-rate` `start-time`; libvirt `dirtyrate.calc_start_time`.
    """
    period: int | None = None
    """How long it takes or took.

    A gauge, in s. QMP `query-dirty-rate` `calc-time`; libvirt `dirtyrate.calc_period`.
    """
    mode: str | None = None
    """How it measures: `page-sampling`, `dirty-bitmap` or `dirty-ring`.

    A description. QMP `query-dirty-rate` `mode`; libvirt `dirtyrate.calc_mode`.
    """
    megabytes_per_second: int | None = None
    """Memory written a second.

    A gauge, in MiB/s. QMP `query-dirty-rate` `dirty-rate`; libvirt `dirtyrate.megabytes_per_second`.
    """
    vcpus: tuple[VcpuDirtyRate, ...] = ()
    """The same by vCPU; in mode `dirty-ring` only.

    QMP `query-dirty-rate` `vcpu-dirty-rate`; libvirt `dirtyrate.vcpu.<n>`.
    """


class VcpuDirtyRate(Section):
    """The same by vCPU; in mode `dirty-ring` only.

    megabytes_per_second (MiB/s): Memory written a second.
    """

    id: int
    """The number of its own."""
    megabytes_per_second: int | None = None
    """Memory written a second.

    A gauge, in MiB/s. QMP `query-dirty-rate` `vcpu-dirty-rate`; libvirt `dirtyrate.vcpu.<n>.megabytes_per_second`.
    """


class Vm(Section):
    """Hypervisor statistics of the domain.

    stats: The statistics by the names that the hypervisor gives them, such as `remote_tlb_flush`.
    histograms: The histograms by the names that the hypervisor gives them.
    """

    stats: tuple[HypervisorStat, ...] = ()
    """The statistics by the names that the hypervisor gives them, such as `remote_tlb_flush`.

    QMP `query-stats` target vm; libvirt `vm.<name>`.
    """
    histograms: tuple[HypervisorHistogram, ...] = ()
    """The histograms by the names that the hypervisor gives them.

    QMP `query-stats` target vm; libvirt discards them.
    """


class Cryptodevs(Section):
    """Each crypto device, only if requested.

    count: Number of crypto devices, used or not.
    cryptodevs: The crypto devices.
    """

    count: int | None = None
    """Number of crypto devices, used or not.

    A gauge. QMP `query-stats` target cryptodev, QEMU 8.0 or later; not in libvirt.
    """
    cryptodevs: tuple[Cryptodev, ...] = ()
    """The crypto devices.

    QMP `query-stats` target cryptodev, QEMU 8.0 or later; not in libvirt.
    """


class Cryptodev(Section):
    """The crypto devices.

    name: The id that QEMU was given.
    stats: What it did, by the names that QEMU gives, such as `sym-encrypt-ops`.
    """

    index: int
    """The position."""
    name: str | None = None
    """The id that QEMU was given.

    A description. QMP `query-stats` `qom-path`; not in libvirt.
    """
    stats: tuple[HypervisorStat, ...] = ()
    """What it did, by the names that QEMU gives, such as `sym-encrypt-ops`.

    QMP `query-stats` target cryptodev; not in libvirt.
    """


class MissingGroup(NamedTuple):
    """A group of a domain that is missing in whole or in part, and why."""

    group: str
    """The name of the group, such as `cpu-total`."""
    reason: str
    """Why it is missing. Words: unsupported, timeout, busy, denied, gone, inactive, failed, ambiguous."""
    text: str
    """The explanation for people."""


class MissingDomain(NamedTuple):
    """A domain that matches the request and has no record, and why."""

    name: str
    """Its name."""
    uuid: UUID | None
    """Its UUID, if it has one: a QEMU started by hand may have none."""
    id: int | None
    """Its number while it is active: libvirt's id, or the process id of a QEMU without libvirt."""
    persistent: bool
    """Whether it stays defined when it stops."""
    reason: str
    """Why it is missing. Words: unsupported, timeout, busy, denied, gone, inactive, failed, ambiguous."""
    text: str
    """The explanation for people."""
    uid: int | None = None
    """The user that its QEMU runs as, from the kernel; absent if unknown, as with libvirt."""
    untrusted: bool = False
    """Whether that user is not trusted: its name and UUID may be those of another domain."""
    conflict: tuple[str, ...] = ()
    """What of its name and UUID another domain has too. Words: name, uuid."""


class DomainStats(Section):
    """The statistics of one domain. A group that was not requested, or not read, is `None`."""

    name: str
    """Its name."""
    uuid: UUID | None
    """Its UUID, if it has one: a QEMU started by hand may have none."""
    id: int | None
    """Its number while it is active: libvirt's id, or the process id of a QEMU without libvirt."""
    persistent: bool
    """Whether it stays defined when it stops."""
    uid: int | None = None
    """The user that its QEMU runs as, from the kernel; absent if unknown, as with libvirt."""
    untrusted: bool = False
    """Whether that user is not trusted: its name and UUID may be those of another domain."""
    conflict: tuple[str, ...] = ()
    """What of its name and UUID another domain has too. Words: name, uuid."""
    time: datetime | None = None
    """When its oldest value was requested, if later than the call began."""
    missing: tuple[MissingGroup, ...] = ()
    """The groups that were requested and are missing in whole or in part."""
    state: State | None = None
    """State and its reason."""
    cpu: Cpu | None = None
    """CPU time of the whole domain, and its CPU monitors."""
    balloon: Balloon | None = None
    """Memory: balloon, guest statistics, resident set."""
    vcpu: Vcpus | None = None
    """Each vCPU."""
    interface: Interfaces | None = None
    """Each network interface, seen from the guest."""
    block: Blocks | None = None
    """Each disk."""
    perf: Perf | None = None
    """Performance counters of the host."""
    iothread: Iothreads | None = None
    """Each iothread."""
    memory: Memory | None = None
    """Memory bandwidth monitors."""
    dirtyrate: DirtyRate | None = None
    """The last measurement of the dirty rate."""
    vm: Vm | None = None
    """Hypervisor statistics of the domain."""
    cryptodev: Cryptodevs | None = None
    """Each crypto device, only if requested."""
