//! Readers of the Linux host, each with an injectable root so that tests can build a host.

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
pub(crate) mod queues;
pub(crate) mod resctrl;
pub(crate) mod rtnetlink;
pub(crate) mod shares;
pub(crate) mod sock_diag;
