//! Each vCPU of a domain. Bit 8, flat keys `vcpu.*`.

use crate::model::{
    catalogue::{section::section, value::words},
    stats::vm::{HypervisorHistogram, HypervisorStat},
};

words! {
    /// The state of a vCPU (`virVcpuState`).
    #[doc(alias = "virVcpuState")]
    pub enum VcpuState {
        /// Unplugged.
        Offline = 0, "offline";
        /// Plugged in: it runs or could.
        Running = 1, "running";
        /// Waits for a resource.
        Blocked = 2, "blocked";
    }
}

section! {
    /// The vCPUs of the domain.
    pub struct Vcpus[] {
        /// Number of vCPUs plugged in.
        /// Threads named after a vCPU, else QMP `query-cpus-fast`; libvirt `vcpu.current`.
        current: u32 = ("current", Gauge, Count, metric "vcpu_current", place Attribute);
        /// Number of vCPUs that can be plugged in.
        /// QEMU `-smp maxcpus`; libvirt `vcpu.maximum`.
        maximum: u32 = ("maximum", Gauge, Count, metric "vcpu_maximum", place Attribute);
        /// The vCPUs that are plugged in; ids may have holes.
        /// Threads named after a vCPU, else QMP `query-cpus-fast`; libvirt `vcpu.<n>`.
        cpus: [Vcpu] = ("", "cpu", label "vcpu");
    }
}

section! {
    /// One vCPU.
    pub struct Vcpu[Id] {
        /// State of the vCPU: 0 offline, 1 running, 2 blocked; QEMU's are running when plugged in.
        /// libvirt `vcpu.<n>.state`.
        state: VcpuState = ("state", Gauge, None, metric "vcpu_state");
        /// CPU time that the vCPU's thread used.
        /// `/proc/PID/task/TID/schedstat`; libvirt `vcpu.<n>.time`.
        time: u64 = ("time", Counter, Nanoseconds, metric "vcpu_time_seconds");
        /// Time that the thread waited, I/O included; needs the kernel's `sched_schedstats`.
        /// `/proc/PID/task/TID/sched` `wait_sum`; libvirt `vcpu.<n>.wait`.
        wait: u64 = ("wait", Counter, Nanoseconds, metric "vcpu_wait_seconds");
        /// Time that the thread was ready and had no CPU: what the guest sees as steal.
        /// `/proc/PID/task/TID/schedstat`; libvirt `vcpu.<n>.delay`.
        delay: u64 = ("delay", Counter, Nanoseconds, metric "vcpu_delay_seconds");
        /// Whether the vCPU is halted; s390x with KVM only.
        /// QMP `query-cpus-fast` `cpu-state`; libvirt `vcpu.<n>.halted`.
        halted: bool = ("halted", Gauge, None, metric "vcpu_halted");
        /// What the hypervisor counts for the vCPU.
        /// QMP `query-stats` target vcpu; libvirt `vcpu.<n>.<name>`.
        stats: [HypervisorStat] = ("", "stat", label "stat");
        /// What the hypervisor counts for the vCPU, by bins.
        /// QMP `query-stats` target vcpu; libvirt throws them away.
        histograms: [HypervisorHistogram] = ("", "histogram", label "stat");
    }
}
