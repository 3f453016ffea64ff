//! The system call that opens a counter.

use std::{
    fs::File,
    io,
    os::fd::{FromRawFd, OwnedFd},
};

use perf_event_open_sys::{
    bindings::{PERF_FLAG_FD_CLOEXEC, perf_event_attr},
    perf_event_open,
};

/// Opens a counter for a thread and all that it starts from then on, other processes included. It
/// counts at once, on every CPU, in the program, the guest, the kernel and the hypervisor, as
/// libvirt's do.
///
/// # Errors
///
/// What the kernel says: `EACCES` or `EPERM` without the right to it, `ENOENT` and others if the
/// machine does not count such events, `ESRCH` if the thread is gone.
pub(super) fn open(tid: u32, kind: u32, config: u32) -> io::Result<File> {
    let tid = i32::try_from(tid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut attr = perf_event_attr {
        type_: kind,
        size: u32::try_from(size_of::<perf_event_attr>()).unwrap_or_default(),
        config: config.into(),
        ..perf_event_attr::default()
    };
    attr.set_inherit(1);
    #[expect(unsafe_code, reason = "no crate that is kept well opens counters safely")]
    // SAFETY: `attr` is whole, bears its own size and lives until the call returns; it asks for a
    // number that is read, not for memory that is shared. What the call returns is an error or a
    // descriptor that nobody else knows.
    unsafe {
        let fd = perf_event_open(&raw mut attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC.into());
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd).into()) }
    }
}
