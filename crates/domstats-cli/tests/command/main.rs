//! The command, run as by people and scripts.
#![allow(clippy::unwrap_used, reason = "tests")]

mod exit;
mod generated;
mod kit;
mod readme;
mod terminal;
mod uri;
mod virsh;
