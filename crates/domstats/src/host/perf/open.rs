//! The system call that opens a counter.

#[cfg(feature = "perf")]
use std::os::fd::{FromRawFd, OwnedFd};
use std::{fs::File, io};

#[cfg(feature = "perf")]
use perf_event_open_sys::{
    bindings::{PERF_FLAG_FD_CLOEXEC, perf_event_attr},
    perf_event_open,
};

/// Without the feature `perf` there is nothing to count.
#[cfg(not(feature = "perf"))]
pub(super) fn open(_tid: u32, _kind: u32, _config: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens a counter for a thread and everything it starts from then on, other processes included. It
/// counts at once, on every CPU, in user space, the guest, the kernel and the hypervisor, like
/// libvirt's.
///
/// # Errors
///
/// Those of the kernel: `EACCES` or `EPERM` without the right, `ENOENT` and others if the machine
/// does not count such events, `ESRCH` if the thread has ended.
#[cfg(feature = "perf")]
pub(super) fn open(tid: u32, kind: u32, config: u32) -> io::Result<File> {
    let tid = i32::try_from(tid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut attr = perf_event_attr {
        type_: kind,
        size: u32::try_from(size_of::<perf_event_attr>()).unwrap_or_default(),
        config: config.into(),
        ..perf_event_attr::default()
    };
    attr.set_inherit(1);
    #[expect(unsafe_code, reason = "no well-maintained crate opens counters safely")]
    // SAFETY: `attr` is fully initialized, holds its own size and lives until the call returns; it
    // requests a number to read, not shared memory. The call returns an error or a new descriptor
    // that nothing else owns.
    unsafe {
        let fd = perf_event_open(&raw mut attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC.into());
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd).into()) }
    }
}
