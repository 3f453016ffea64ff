//! A domain's job, monitor state, disk errors, disk limits and I/O threads.

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
        /// The type of the job: 0 for none.
        #[doc(alias = "virDomainJobType")]
        kind: i32,
        /// The time since the job began.
        time_elapsed: u64,
        /// The time that it will still take.
        time_remaining: u64,
        /// The data to transfer: memory and storage.
        data_total: u64,
        /// The data already transferred.
        data_processed: u64,
        /// The data still to transfer.
        data_remaining: u64,
        /// The memory to transfer.
        mem_total: u64,
        /// The memory already transferred.
        mem_processed: u64,
        /// The memory still to transfer.
        mem_remaining: u64,
        /// The storage to transfer.
        file_total: u64,
        /// The storage already transferred.
        file_processed: u64,
        /// The storage still to transfer.
        file_remaining: u64,
    }
}

xdr_struct! {
    /// Result of [`DomainGetJobStats`](crate::procedure::DomainGetJobStats).
    #[doc(alias = "remote_domain_get_job_stats_ret")]
    JobStats<'a> {
        /// The type of the job: 0 for none.
        #[doc(alias = "virDomainJobType")]
        kind: i32,
        /// The progress of the job.
        params: List<TypedParam<'a>, { limits::JOB_PARAMS }>,
    }
}

xdr_struct! {
    /// Result of [`DomainGetControlInfo`](crate::procedure::DomainGetControlInfo).
    #[doc(alias = "virDomainControlInfo")]
    #[doc(alias = "remote_domain_get_control_info_ret")]
    #[derive(Eq)]
    ControlInfo {
        /// The monitor's state: 0 if it is free.
        state: u32,
        /// Details about the state.
        details: u32,
        /// The milliseconds since the state began.
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
        /// The most disks to return; 0 requests the number of all disks.
        #[doc(alias = "maxerrors")]
        most: u32,
        /// No flags are defined: 0.
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
        /// The disk; none to request the number of values.
        disk: Option<Cow<'a, str>>,
        /// How many values to return; 0 requests their number.
        #[doc(alias = "nparams")]
        count: i32,
        /// 1 for the running domain, 2 for its configuration.
        flags: u32,
    }
}

xdr_struct! {
    /// Result of [`DomainGetBlockIoTune`](crate::procedure::DomainGetBlockIoTune).
    #[doc(alias = "remote_domain_get_block_io_tune_ret")]
    BlockLimits<'a> {
        /// The values; none if their number was requested.
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
        /// A bit for each processor that it may run on.
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
