//! The bits of the groups. Generated from the catalogue of domstats; regenerate it with
//! `DOMSTATS_BLESS=1 cargo test -p domstats-capi header`.

use std::ffi::c_uint;

/// State and its reason.
pub const VIR_DOMAIN_STATS_STATE: c_uint = 1;
/// CPU time of the whole domain, and its CPU monitors.
pub const VIR_DOMAIN_STATS_CPU_TOTAL: c_uint = 2;
/// Memory: balloon, guest statistics, resident set.
pub const VIR_DOMAIN_STATS_BALLOON: c_uint = 4;
/// Each vCPU.
pub const VIR_DOMAIN_STATS_VCPU: c_uint = 8;
/// Each network interface, seen from the guest.
pub const VIR_DOMAIN_STATS_INTERFACE: c_uint = 16;
/// Each disk.
pub const VIR_DOMAIN_STATS_BLOCK: c_uint = 32;
/// Performance counters of the host.
pub const VIR_DOMAIN_STATS_PERF: c_uint = 64;
/// Each iothread.
pub const VIR_DOMAIN_STATS_IOTHREAD: c_uint = 128;
/// Memory bandwidth monitors.
pub const VIR_DOMAIN_STATS_MEMORY: c_uint = 256;
/// The last measurement of the dirty rate.
pub const VIR_DOMAIN_STATS_DIRTYRATE: c_uint = 512;
/// Hypervisor statistics of the domain.
pub const VIR_DOMAIN_STATS_VM: c_uint = 1024;
/// Each crypto device, only if requested. libvirt lacks it: 0 does not include it.
pub const DOMSTATS_CRYPTODEV: c_uint = 33554432;
/// The RFC's group for CPUs: VIR_DOMAIN_STATS_CPU_TOTAL and VIR_DOMAIN_STATS_VCPU.
pub const VIR_DOMAIN_STATS_CPU: c_uint = 10;
