//! libvirt's sizes, those of version 9.0 and later.

/// The most bytes of a packet, its length word not counted.
pub const PACKET: usize = 32 << 20;
/// The most bytes of a string.
pub const STRING: usize = 4 << 20;
/// The most domains in a list, and records of statistics in a reply.
pub const DOMAINS: usize = 16_384;
/// The most typed parameters of one record of statistics.
pub const STATS_PARAMS: usize = 262_144;
/// The most ways to authenticate that a server may offer.
pub const AUTH_TYPES: usize = 20;
/// The most bytes of one step of SASL.
pub const SASL_DATA: usize = 65_536;
/// The calls of one connection that a daemon works on at a time (`max_client_requests`). It
/// does not read the socket while it has as many, keepalive messages included.
pub const CALLS_IN_FLIGHT: usize = 5;
/// The threads of a daemon that work on calls of all connections (`max_workers`).
pub const WORKERS: usize = 20;
