//! Readers of the Linux host, each with an injectable root so that tests can build a host.
//!
//! Not part of the API. What is public is for the daemon.

pub(crate) mod allowance;
pub(crate) mod blocking;
pub(crate) mod cgroup;
pub(crate) mod files;
pub(crate) mod fuzz;
pub(crate) mod links;
mod netlink;
pub(crate) mod perf;
pub(crate) mod pressure;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod queue_locks;
pub(crate) mod queues;
pub(crate) mod resctrl;
pub(crate) mod rtnetlink;
pub mod shares;
pub(crate) mod sock_diag;
pub mod tcp_owner;
