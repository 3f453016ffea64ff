//! libvirt's limits, as of version 9.0 and later.

/// The most bytes of a packet, not counting its length word.
#[doc(alias = "VIR_NET_MESSAGE_MAX")]
pub const PACKET: usize = 32 << 20;
/// The most file descriptors with a packet.
#[doc(alias = "VIR_NET_MESSAGE_NUM_FDS_MAX")]
pub const DESCRIPTORS: usize = 32;
/// The most bytes of a string.
#[doc(alias = "VIR_NET_MESSAGE_STRING_MAX")]
#[doc(alias = "REMOTE_STRING_MAX")]
pub const STRING: usize = 4 << 20;
/// The most domains in a list, and records of statistics in a reply.
#[doc(alias = "REMOTE_DOMAIN_LIST_MAX")]
pub const DOMAINS: usize = 16_384;
/// The most typed parameters of one record of statistics.
#[doc(alias = "REMOTE_CONNECT_GET_ALL_DOMAIN_STATS_MAX")]
pub const STATS_PARAMS: usize = 262_144;
/// The most typed parameters of one disk.
#[doc(alias = "REMOTE_DOMAIN_BLOCK_STATS_PARAMETERS_MAX")]
pub const BLOCK_PARAMS: usize = 16;
/// The most typed parameters about the CPU times of a domain.
#[doc(alias = "REMOTE_DOMAIN_GET_CPU_STATS_MAX")]
pub const CPU_PARAMS: usize = 2048;
/// The most typed parameters of a disk's limits.
#[doc(alias = "REMOTE_DOMAIN_BLOCK_IO_TUNE_PARAMETERS_MAX")]
pub const BLOCK_LIMITS: usize = 32;
/// The most disks of a domain that have errors.
#[doc(alias = "REMOTE_DOMAIN_DISK_ERRORS_MAX")]
pub const DISK_ERRORS: usize = 256;
/// The most typed parameters about a domain's job.
#[doc(alias = "REMOTE_DOMAIN_JOB_STATS_MAX")]
pub const JOB_PARAMS: usize = 64;
/// The most I/O threads of a domain.
#[doc(alias = "REMOTE_IOTHREAD_INFO_MAX")]
pub const IOTHREADS: usize = 16_384;
/// The most network interfaces of a domain that have addresses, and the most addresses of one.
#[doc(alias = "REMOTE_DOMAIN_INTERFACE_MAX")]
#[doc(alias = "REMOTE_DOMAIN_IP_ADDR_MAX")]
pub const ADDRESSES: usize = 2048;
/// The most messages about a domain.
#[doc(alias = "REMOTE_DOMAIN_MESSAGES_MAX")]
pub const MESSAGES: usize = 2048;
/// The most values about the host's processors, and the most about its memory.
#[doc(alias = "REMOTE_NODE_CPU_STATS_MAX")]
#[doc(alias = "REMOTE_NODE_MEMORY_STATS_MAX")]
pub const NODE_STATS: usize = 16;
/// The most bytes of the name of a security model, including its terminating zero.
#[doc(alias = "REMOTE_SECURITY_MODEL_MAX")]
#[doc(alias = "REMOTE_SECURITY_DOI_MAX")]
pub const SECURITY_MODEL: usize = 257;
/// The most bytes of a security label, including its terminating zero.
#[doc(alias = "REMOTE_SECURITY_LABEL_MAX")]
pub const SECURITY_LABEL: usize = 4097;
/// The most values about a domain's memory.
#[doc(alias = "REMOTE_DOMAIN_MEMORY_STATS_MAX")]
pub const MEMORY_STATS: usize = 1024;
/// The most vCPUs of a domain.
#[doc(alias = "REMOTE_VCPUINFO_MAX")]
pub const VCPUS: usize = 16_384;
/// The most bytes of the processor map of one vCPU or of the host.
#[doc(alias = "REMOTE_CPUMAP_MAX")]
pub const CPU_MAP: usize = 2048;
/// The most bytes of the processor maps of all vCPUs.
#[doc(alias = "REMOTE_CPUMAPS_MAX")]
pub const CPU_MAPS: usize = 8_388_608;
/// The most storage pools in a list.
#[doc(alias = "REMOTE_STORAGE_POOL_LIST_MAX")]
pub const POOLS: usize = 16_384;
/// The most bytes of a typed parameter's name: libvirt's client refuses a whole reply for a longer
/// one.
#[doc(alias = "VIR_TYPED_PARAM_FIELD_LENGTH")]
pub const PARAM_NAME: usize = 79;
/// The most ways to authenticate that a server may offer.
#[doc(alias = "REMOTE_AUTH_TYPE_LIST_MAX")]
pub const AUTH_TYPES: usize = 20;
/// The most bytes of one SASL step.
#[doc(alias = "REMOTE_AUTH_SASL_DATA_MAX")]
pub const SASL_DATA: usize = 65_536;
/// How many calls of one connection a daemon works on at a time by default. While it has that many,
/// it reads nothing from the socket, not even keepalive messages.
#[doc(alias = "max_client_requests")]
pub const CALLS_IN_FLIGHT: usize = 5;
/// How many threads of a daemon work on the calls of all connections by default.
#[doc(alias = "max_workers")]
pub const WORKERS: usize = 20;
