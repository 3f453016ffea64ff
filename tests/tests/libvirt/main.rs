//! The libvirt driver, with a real libvirtd and real guests.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod disks;
mod doctor;
mod fake_daemon;
mod faults;
mod guests;
mod kit;
mod logins;
mod nonsense;
mod parity;
mod releases;
mod ways;
