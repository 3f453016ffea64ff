//! Each vCPU of a domain. Bit 8, flat keys `vcpu.*`.

use crate::model::{
    catalogue::{section::section, value::words},
    stats::vm::{HypervisorHistogram, HypervisorStat},
};

words!(
    /// The state of a vCPU (`virVcpuState`).
    #[doc(alias = "virVcpuState")]
    pub enum VcpuState {
        /// Unplugged.
        #[word("offline")]
        Offline = 0,
        /// Plugged in: it runs or could.
        #[word("running")]
        Running = 1,
        /// Waits for a resource.
        #[word("blocked")]
        Blocked = 2,
    }
);

section!(
    /// The vCPUs of the domain.
    pub struct Vcpus {
        /// Number of vCPUs plugged in.
        /// Threads named after a vCPU, else QMP `query-cpus-fast`; libvirt `vcpu.current`.
        #[gauge(unit = "count", metric = "vcpu_current", place = "attribute")]
        pub current: Option<u32>,
        /// Number of vCPUs that can be plugged in.
        /// QEMU `-smp maxcpus`; libvirt `vcpu.maximum`.
        #[gauge(unit = "count", metric = "vcpu_maximum", place = "attribute")]
        pub maximum: Option<u32>,
        /// The vCPUs that are plugged in; ids may have holes.
        /// Threads named after a vCPU, else QMP `query-cpus-fast`; libvirt `vcpu.<n>`.
        #[list(doc_path = "cpu", label = "vcpu")]
        pub cpus: Vec<Vcpu>,
    }
);

section!(
    /// One vCPU.
    #[item(id)]
    pub struct Vcpu {
        /// State of the vCPU: 0 offline, 1 running, 2 blocked; QEMU's are running when plugged in.
        /// libvirt `vcpu.<n>.state`.
        #[gauge(metric = "vcpu_state")]
        pub state: Option<VcpuState>,
        /// CPU time that the vCPU's thread used.
        /// `/proc/PID/task/TID/schedstat`; libvirt `vcpu.<n>.time`.
        #[counter(unit = "ns", metric = "vcpu_time_seconds")]
        pub time: Option<u64>,
        /// Time that the thread waited, I/O included; needs the kernel's `sched_schedstats`.
        /// `/proc/PID/task/TID/sched` `wait_sum`; libvirt `vcpu.<n>.wait`.
        #[counter(unit = "ns", metric = "vcpu_wait_seconds")]
        pub wait: Option<u64>,
        /// Time that the thread was ready and had no CPU: what the guest sees as steal.
        /// `/proc/PID/task/TID/schedstat`; libvirt `vcpu.<n>.delay`.
        #[counter(unit = "ns", metric = "vcpu_delay_seconds")]
        pub delay: Option<u64>,
        /// Whether the vCPU is halted; s390x with KVM only.
        /// QMP `query-cpus-fast` `cpu-state`; libvirt `vcpu.<n>.halted`.
        #[gauge(metric = "vcpu_halted")]
        pub halted: Option<bool>,
        /// What the hypervisor counts for the vCPU.
        /// QMP `query-stats` target vcpu; libvirt `vcpu.<n>.<name>`.
        #[list(doc_path = "stat", label = "stat")]
        pub stats: Vec<HypervisorStat>,
        /// What the hypervisor counts for the vCPU, by bins.
        /// QMP `query-stats` target vcpu; libvirt discards them.
        #[list(doc_path = "histogram", label = "stat")]
        pub histograms: Vec<HypervisorHistogram>,
    }
);
