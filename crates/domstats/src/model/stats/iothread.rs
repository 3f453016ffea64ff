//! Each iothread of a domain. Bit 128, flat keys `iothread.*`.

use crate::model::{catalogue::section::section, name::Name};

section!(
    /// The iothreads of the domain.
    pub struct Iothreads {
        /// Number of iothreads.
        /// QMP `query-iothreads`; libvirt `iothread.count`.
        #[gauge(unit = "count", metric = "iothreads", place = "attribute")]
        pub count: Option<u32>,
        /// The iothreads, by libvirt's number: the digits of an id such as `iothread2`.
        /// QMP `query-iothreads`; libvirt `iothread.<id>`.
        #[list(doc_path = "iothread", label = "iothread", info = "iothread")]
        pub iothreads: Vec<Iothread>,
    }
);

section!(
    /// One iothread.
    #[item(id)]
    pub struct Iothread {
        /// Longest time that the thread polls before it sleeps; 0 means no polling.
        /// QMP `query-iothreads` `poll-max-ns`; libvirt `iothread.<id>.poll-max-ns`.
        #[gauge(path = "poll-max-ns", unit = "ns", metric = "iothread_poll_max_seconds")]
        pub poll_max_ns: Option<u64>,
        /// Factor by which the polling time grows; 0 lets QEMU choose.
        /// QMP `query-iothreads` `poll-grow`; libvirt `iothread.<id>.poll-grow`.
        #[gauge(path = "poll-grow", metric = "iothread_poll_grow")]
        pub poll_grow: Option<u64>,
        /// Divisor by which the polling time shrinks; 0 lets QEMU choose.
        /// QMP `query-iothreads` `poll-shrink`; libvirt `iothread.<id>.poll-shrink`.
        #[gauge(path = "poll-shrink", metric = "iothread_poll_shrink")]
        pub poll_shrink: Option<u64>,
        /// Weight of the newest measurement in the polling time, 0 to 63.
        /// QMP `query-iothreads` `poll-weight`, newer QEMU; libvirt `iothread.<id>.poll-weight`.
        #[gauge(path = "poll-weight", metric = "iothread_poll_weight")]
        pub poll_weight: Option<u32>,
        /// Most requests that the thread gives to the kernel at once; 0 lets QEMU choose.
        /// QMP `query-iothreads` `aio-max-batch`, QEMU 6.1 or later; not in libvirt.
        #[gauge(path = "aio-max-batch", unit = "count", metric = "iothread_aio_max_batch")]
        pub aio_max_batch: Option<u64>,
        /// The id that QEMU was given.
        /// QMP `query-iothreads` `id`; libvirt has only the number.
        #[info(label = "name", place = "attribute")]
        pub name: Option<Name>,
        /// CPU time that the thread used.
        /// `/proc/PID/task/TID/schedstat` of QMP `thread-id`; libvirt discards the thread id.
        #[counter(path = "cpu.time", unit = "ns", metric = "iothread_cpu_time_seconds")]
        pub cpu_time: Option<u64>,
        /// Time that the thread was ready and had no CPU.
        /// `/proc/PID/task/TID/schedstat`; not in libvirt.
        #[counter(path = "cpu.delay", unit = "ns", metric = "iothread_cpu_delay_seconds")]
        pub cpu_delay: Option<u64>,
    }
);
