//! Why something is missing, in sentences that several modules need.

use std::io;

use crate::{
    host::{process::Process, procfs::Proc},
    model::report::{Missing, MissingReason},
};

/// Returns why a domain that was asked for is not there.
pub(crate) fn gone(proc: &Proc) -> Missing {
    if proc.hides_others() {
        let text = "no such QEMU process is seen: /proc hides those of other users (hidepid)";
        return Missing::new(MissingReason::Denied, text);
    }
    Missing::new(MissingReason::Gone, "no such QEMU process is running")
}

/// Returns why something of a process was not read, if it was for lack of time.
pub(crate) fn lacks_time(process: Process, error: &io::Error) -> Option<Missing> {
    (error.kind() == io::ErrorKind::TimedOut).then(|| too_long(process))
}

/// Returns what to say of a process of which there was no time to read everything.
pub(crate) fn too_long(process: Process) -> Missing {
    let text = format!(
        "it takes too long to read what process {} has: it has very many descriptors or threads",
        process.pid
    );
    Missing::new(MissingReason::Timeout, text)
}

/// Returns why a monitor of libvirt is not asked.
pub(crate) fn belongs_to_libvirt() -> Missing {
    Missing::new(
        MissingReason::Busy,
        "the monitor belongs to libvirtd: give the VM a second one, or ask libvirtd",
    )
}
