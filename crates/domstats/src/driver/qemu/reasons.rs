//! Reasons for missing data that several modules use.

use std::io;

use crate::{
    host::{process::Process, procfs::Proc},
    model::report::{Missing, MissingReason},
};

/// Returns why a requested domain was not found.
pub(super) fn gone(proc: &Proc) -> Missing {
    if proc.hides_others() {
        let text = "no such QEMU process is visible: /proc hides those of other users (hidepid)";
        return Missing::new(MissingReason::Denied, text);
    }
    Missing::new(MissingReason::Gone, "no such QEMU process is running")
}

/// Returns why data of a process was not read, if that was for lack of time.
pub(super) fn lacks_time(process: Process, error: &io::Error) -> Option<Missing> {
    (error.kind() == io::ErrorKind::TimedOut).then(|| too_long(process))
}

/// Returns the reason for a process that there was no time to read completely.
pub(super) fn too_long(process: Process) -> Missing {
    let text = format!(
        "reading process {} takes too long: it has very many descriptors or threads",
        process.pid
    );
    Missing::new(MissingReason::Timeout, text)
}

/// Returns why a monitor of libvirt is not used.
pub(super) fn belongs_to_libvirt() -> Missing {
    Missing::new(
        MissingReason::Busy,
        "the monitor belongs to libvirtd: give the VM a second one, or ask libvirtd",
    )
}
