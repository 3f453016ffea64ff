//! What a domain is in the middle of, and what keeps it.

use std::borrow::Cow;

use super::{Domain, TypedParam, node::Opaque};
use crate::{
    limits,
    xdr::{List, xdr_struct},
};

xdr_struct! {
    /// Result of [`DomainGetJobInfo`](crate::procedure::DomainGetJobInfo): milliseconds, and bytes.
    #[doc(alias = "virDomainJobInfo")]
    #[doc(alias = "remote_domain_get_job_info_ret")]
    #[derive(Eq)]
    JobInfo {
        /// What it is: 0 for none.
        #[doc(alias = "virDomainJobType")]
        kind: i32,
        /// The time since it began.
        time_elapsed: u64,
        /// The time that it will still take.
        time_remaining: u64,
        /// All data.
        data_total: u64,
        /// The part of it that is done.
        data_processed: u64,
        /// The part of it that is left.
        data_remaining: u64,
        /// The memory.
        mem_total: u64,
        /// The part of it that is done.
        mem_processed: u64,
        /// The part of it that is left.
        mem_remaining: u64,
        /// The storage.
        file_total: u64,
        /// The part of it that is done.
        file_processed: u64,
        /// The part of it that is left.
        file_remaining: u64,
    }
}

xdr_struct! {
    /// Result of [`DomainGetJobStats`](crate::procedure::DomainGetJobStats).
    #[doc(alias = "remote_domain_get_job_stats_ret")]
    JobStats<'a> {
        /// What it is: 0 for none.
        #[doc(alias = "virDomainJobType")]
        kind: i32,
        /// How far it is.
        params: List<TypedParam<'a>, { limits::JOB_PARAMS }>,
    }
}

xdr_struct! {
    /// Result of [`DomainGetControlInfo`](crate::procedure::DomainGetControlInfo).
    #[doc(alias = "virDomainControlInfo")]
    #[doc(alias = "remote_domain_get_control_info_ret")]
    #[derive(Eq)]
    ControlInfo {
        /// Whether the monitor is free: 0 if it is.
        state: u32,
        /// More about that.
        details: u32,
        /// The milliseconds since then.
        #[doc(alias = "stateTime")]
        time: u64,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetDiskErrors`](crate::procedure::DomainGetDiskErrors).
    #[doc(alias = "remote_domain_get_disk_errors_args")]
    #[derive(Eq)]
    DiskErrorsArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The most disks that are wanted; 0 asks for the number of all disks.
        #[doc(alias = "maxerrors")]
        most: u32,
        /// None exist: 0.
        flags: u32,
    }
}

xdr_struct! {
    /// A disk that has an error.
    #[doc(alias = "remote_domain_disk_error")]
    #[derive(Eq)]
    DiskError<'a> {
        /// The disk.
        disk: Cow<'a, str>,
        /// 1 for an error of unknown kind, 2 for no space.
        #[doc(alias = "virDomainDiskErrorCode")]
        error: i32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetDiskErrors`](crate::procedure::DomainGetDiskErrors).
    #[doc(alias = "remote_domain_get_disk_errors_ret")]
    #[derive(Eq)]
    DiskErrors<'a> {
        /// The disks that have an error.
        errors: List<DiskError<'a>, { limits::DISK_ERRORS }>,
        /// Their number, or that of all disks.
        #[doc(alias = "nerrors")]
        count: i32,
    }
}

xdr_struct! {
    /// Arguments of [`DomainGetBlockIoTune`](crate::procedure::DomainGetBlockIoTune).
    #[doc(alias = "remote_domain_get_block_io_tune_args")]
    #[derive(Eq)]
    BlockLimitsArgs<'a> {
        /// The domain.
        #[doc(alias = "dom")]
        domain: Domain<'a>,
        /// The disk; none to ask for the number of values.
        disk: Option<Cow<'a, str>>,
        /// How many values are wanted; 0 asks for their number.
        #[doc(alias = "nparams")]
        count: i32,
        /// 1 for a running domain as it is, 2 for its configuration.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetBlockIoTune`](crate::procedure::DomainGetBlockIoTune).
    #[doc(alias = "remote_domain_get_block_io_tune_ret")]
    BlockLimits<'a> {
        /// The values; none if their number was asked for.
        params: List<TypedParam<'a>, { limits::BLOCK_LIMITS }>,
        /// Their number.
        #[doc(alias = "nparams")]
        count: i32,
    }
}

xdr_struct! {
    /// An I/O thread.
    #[doc(alias = "virDomainIOThreadInfo")]
    #[doc(alias = "remote_domain_iothread_info")]
    #[derive(Eq)]
    IothreadInfo {
        /// Its number, from 1.
        #[doc(alias = "iothread_id")]
        id: u32,
        /// A bit for each processor that it may be on.
        #[doc(alias = "cpumap")]
        map: Opaque<{ limits::CPU_MAP }>,
    }
}

xdr_struct! {
    /// Result of [`DomainGetIothreadInfo`](crate::procedure::DomainGetIothreadInfo).
    #[doc(alias = "remote_domain_get_iothread_info_ret")]
    #[derive(Eq)]
    Iothreads {
        /// The I/O threads.
        #[doc(alias = "info")]
        threads: List<IothreadInfo, { limits::IOTHREADS }>,
        /// Their number.
        #[doc(alias = "ret")]
        count: u32,
    }
}
