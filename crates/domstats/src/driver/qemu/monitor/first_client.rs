//! Detects whether a QEMU waits for a monitor's first client before it starts the guest
//! (`server=on` without `wait=off`). A connection would start the guest.
//!
//! ```text
//! options ── early objects, displays ── sockets, each with its wait ── machine, vCPUs ── main loop
//! ```
//!
//! While it waits, QEMU's first thread sleeps in glib's poll(2), with newer glib ppoll(2), for the
//! monitor's socket and a notifier. In its main loop, which also runs under `-preconfig`, it sleeps
//! in ppoll(2) for more descriptors: notifiers and signals, three of them now that QEMU has an
//! io_uring for the rest. The number of threads says little: displays and objects start some
//! earlier.

use std::io;

use crate::host::{
    allowance::Quota,
    process::{Folder, Process},
    procfs::Proc,
};

/// What a QEMU does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was seen in its main loop, or has vCPUs.
    Begun,
    /// It waits, or it cannot be shown that it does not.
    Waits,
    /// It is busy with something at the moment.
    Unclear,
}

/// The prefix of a vCPU's descriptor.
const KVM_VCPU: &[u8] = b"anon_inode:kvm-vcpu";

/// The least number of descriptors that a main loop waits for.
const LEAST: u64 = 3;

/// The numbers of poll(2), where it exists, and of ppoll(2).
#[cfg(target_arch = "x86_64")]
const POLL: (i64, i64) = (7, 271);
#[cfg(target_arch = "s390x")]
const POLL: (i64, i64) = (168, 302);
#[cfg(target_arch = "powerpc64")]
const POLL: (i64, i64) = (167, 281);
#[cfg(not(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "powerpc64")))]
const POLL: (i64, i64) = (-1, 73);

/// The number of restart_syscall(2): a poll that continues after a signal.
#[cfg(target_arch = "x86_64")]
const RESTART: i64 = 219;
#[cfg(target_arch = "s390x")]
const RESTART: i64 = 7;
#[cfg(target_arch = "powerpc64")]
const RESTART: i64 = 0;
#[cfg(not(any(target_arch = "x86_64", target_arch = "s390x", target_arch = "powerpc64")))]
const RESTART: i64 = 128;

/// Determines what a QEMU does.
pub(crate) fn stage(proc: &Proc, process: Process) -> Stage {
    let folder = Folder::new(proc, process);
    // Without the right to read this, assumes that QEMU waits.
    let call = folder.read_at_most("syscall", 4096);
    let stage = call.map_or(Stage::Waits, |text| of_call(&text));
    if stage == Stage::Begun {
        return stage;
    }
    match has_vcpus(&folder) {
        Ok(true) => Stage::Begun,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Stage::Unclear,
        _ => stage,
    }
}

/// Parses `/proc/PID/syscall`: the number of the system call in which the first thread sleeps, and
/// its arguments.
fn of_call(text: &str) -> Stage {
    let mut words = text.split_ascii_whitespace();
    let call = words.next().and_then(|word| word.parse::<i64>().ok());
    let count =
        words.nth(1).and_then(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok());
    let (poll, ppoll) = POLL;
    match (call, count) {
        (Some(call), Some(count)) if call == ppoll && count >= LEAST => Stage::Begun,
        // One socket, or the sockets of several addresses.
        (Some(call), Some(2..=3)) if [poll, ppoll, RESTART].contains(&call) => Stage::Waits,
        _ => Stage::Unclear,
    }
}

/// Returns whether there are vCPU threads, as far as names show, or KVM's descriptors.
fn has_vcpus(folder: &Folder<'_>) -> io::Result<bool> {
    let names_vcpu = |tid: u32| {
        folder
            .read_at_most(&format!("task/{tid}/comm"), 64)
            .is_ok_and(|name| name.starts_with("CPU "))
    };
    let mut quota = Quota::new(folder);
    for tid in folder.threads()? {
        quota.step()?;
        if names_vcpu(tid) {
            return Ok(true);
        }
    }
    for target in folder.descriptors()? {
        if target?.starts_with(KVM_VCPU) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn recognizes_what_the_first_thread_sleeps_in() {
        for (text, stage) in [
            // Recorded: waits with two versions of glib, a wait after a signal, main loops
            // (running, paused, preconfig).
            ("7 0x560c12424890 0x2 0xffffffff 0x0 0x0 0x0 0x7ffc 0x7f51", Stage::Waits),
            ("271 0x55b8ae00d7b0 0x2 0x0 0x0 0x8 0x0 0x7ffc 0x7fe1", Stage::Waits),
            ("219 0x561ed9803cc0 0x2 0xffffffff 0x0 0x0 0x0 0x7ffc 0x7f51", Stage::Waits),
            ("271 0x55f43264c160 0x4 0x7fff8ad6d250 0x0 0x8 0x0 0x7ffc 0x7f51", Stage::Begun),
            ("271 0x559184404370 0x3 0x0 0x0 0x8 0x0 0x7ffc 0x7f5f", Stage::Begun),
            ("271 0x5632ae4caed0 0x4 0x0 0x0 0x8 0x0 0x7ffc 0x7f51", Stage::Begun),
            // Waiting for storage, for a lock, in a read; not in a system call.
            ("271 0x55f43264c160 0x1 0x0 0x0 0x8 0x0 0x7ffc 0x7f51", Stage::Unclear),
            ("202 0x55f43264c160 0x80 0x0 0x0 0x8 0x0 0x7ffc 0x7f51", Stage::Unclear),
            ("219 0x55f43264c160 0x80 0x0 0x0 0x8 0x0 0x7ffc 0x7f51", Stage::Unclear),
            ("0 0x3 0x7fff8ad6d250 0x4 0x0 0x8 0x0 0x7ffc 0x7f51", Stage::Unclear),
            ("running", Stage::Unclear),
            ("-1 0x7ffc 0x7f51", Stage::Unclear),
            ("", Stage::Unclear),
        ] {
            assert_eq!(of_call(text), stage, "{text}");
        }
    }
}
