//! Readers of the Linux host, each with an injectable root so that tests can build a host.

pub(crate) mod cgroup;
pub(crate) mod procfs;
pub(crate) mod queues;
