//! Each iothread of a domain. Bit 128, flat keys `iothread.*`.

use crate::model::{catalogue::section::section, name::Name};

section! {
    /// The iothreads of the domain.
    pub struct Iothreads[] {
        /// Number of iothreads.
        /// QMP `query-iothreads`; libvirt `iothread.count`.
        count: u32 = ("count", Gauge, Count, metric "iothreads", place Attribute);
        /// The iothreads, by libvirt's number: the digits of an id such as `iothread2`.
        /// QMP `query-iothreads`; libvirt `iothread.<id>`.
        iothreads: [Iothread] = ("", "iothread", label "iothread", info "iothread");
    }
}

section! {
    /// One iothread.
    pub struct Iothread[Id] {
        /// Longest time that the thread polls before it sleeps; 0 means no polling.
        /// QMP `query-iothreads` `poll-max-ns`; libvirt `iothread.<id>.poll-max-ns`.
        poll_max_ns: u64 = ("poll-max-ns", Gauge, Nanoseconds, metric "iothread_poll_max_seconds");
        /// Factor by which the polling time grows; 0 lets QEMU choose.
        /// QMP `query-iothreads` `poll-grow`; libvirt `iothread.<id>.poll-grow`.
        poll_grow: u64 = ("poll-grow", Gauge, None, metric "iothread_poll_grow");
        /// Divisor by which the polling time shrinks; 0 lets QEMU choose.
        /// QMP `query-iothreads` `poll-shrink`; libvirt `iothread.<id>.poll-shrink`.
        poll_shrink: u64 = ("poll-shrink", Gauge, None, metric "iothread_poll_shrink");
        /// Weight of the newest measurement in the polling time, 0 to 63.
        /// QMP `query-iothreads` `poll-weight`, newer QEMU; libvirt `iothread.<id>.poll-weight`.
        poll_weight: u32 = ("poll-weight", Gauge, None, metric "iothread_poll_weight");
        /// Most requests that the thread gives to the kernel at once; 0 lets QEMU choose.
        /// QMP `query-iothreads` `aio-max-batch`, QEMU 6.1 or later; not in libvirt.
        aio_max_batch: u64 = ("aio-max-batch", Gauge, Count, metric "iothread_aio_max_batch");
        /// The id that QEMU was given.
        /// QMP `query-iothreads` `id`; libvirt has only the number.
        name: Name = ("name", Info, None, metric "name", place Attribute);
        /// CPU time that the thread used.
        /// `/proc/PID/task/TID/schedstat` of QMP `thread-id`; libvirt throws the thread id away.
        cpu_time: u64 = ("cpu.time", Counter, Nanoseconds, metric "iothread_cpu_time_seconds");
        /// Time that the thread was ready and had no CPU.
        /// `/proc/PID/task/TID/schedstat`; not in libvirt.
        cpu_delay: u64 = ("cpu.delay", Counter, Nanoseconds, metric "iothread_cpu_delay_seconds");
    }
}
