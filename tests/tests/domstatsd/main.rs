//! The daemon, with real clients of HTTP and of libvirt.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod dashboards;
mod http;
mod identity;
mod life;
mod load;
mod metadata;
mod metrics;
mod otlp;
mod page;
mod releases;
mod rpc_calls;
mod rpc_clients;
mod rpc_getters;
mod rpc_go;
mod rpc_life;
mod rpc_limits;
mod rpc_nonsense;
mod rpc_stuck;
mod rpc_tls;
mod strangers;
mod systemd;
