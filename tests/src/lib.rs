//! The test kit: real virtual machines in a second, and plain readers to compare with.
//!
//! | module | what it provides |
//! |---|---|
//! | [`alone`](mod@alone) | namespaces of its own for each live test |
//! | [`roots`] | roots of other Debian releases, where a live test runs with their QEMU and libvirt |
//! | [`checks`](mod@checks) | several checks in one test, which share what takes long to start |
//! | [`lab`] | a directory and a process group that vanish with the test program, however it ends |
//! | [`guest`] | QEMU guests: paused ones, and ones that run a boot sector which uses its disk |
//! | [`cgroup`] | cgroups for guests, of both versions |
//! | [`qmp`] | a simple monitor client: one command, one reply |
//! | [`oracle`] | a guest's statistics, read slowly and simply |
//! | [`compare`] | compares a report with the oracle, before and after |
//! | [`fake`] | a QEMU whose monitor misbehaves, for faults that a real one cannot be made to show |
//! | [`impostor`] | processes of an ordinary user that only look like a VM |
//! | [`recording`] | replies of other QEMU versions, for the fake to replay |
//! | [`libvirt`] | a private libvirtd, over TCP, TLS and with passwords, and guests that may have a second monitor |
//! | [`fake_daemon`] | a libvirt daemon that misbehaves, or has thousands of domains |
//! | [`wire`] | libvirt's wire format, written and parsed simply |
//! | [`rpc_client`] | a client of libvirt's protocol that can send anything, over a Unix socket or TLS |
//! | [`sshd`] | a private sshd, to reach such a daemon through |
//! | [`pki`] | certificates for TLS: some to be accepted, and some to be rejected |
//! | [`relay`] | a relay from a TCP port to a Unix socket |
//! | [`command`] | the command `domstats`, for any user |
//! | [`domstatsd`] | the daemon, for HTTP clients and libvirt clients |
//! | [`systemd`] | a private systemd, which runs the daemon with its unit files |
//! | [`http`] | a simple HTTP client |
//! | [`exporter`] | Debian's libvirt exporter, to compare with |
//! | [`collectd`] | Debian's collectd, and what it counts of libvirt's domains |
//! | [`prometheus`] | a Prometheus that scrapes, and its data |
//! | [`collector`] | an OpenTelemetry collector, and what was pushed to it |
//! | [`python`] | a Python that has the module `domstats`, and libvirt-python |
//! | [`c_library`] | `libdomstats`, installed for C and C++ programs |
//! | [`page`] | documentation pages whose examples are run |
//! | [`patience`] | waiting and measuring time on busy machines |
//! | [`floor`] | the least work for querying all monitors, for the benchmark |
//! | [`soak`] | guests that come and go at random under several callers, and the truth about them |
//! | [`random`] | pseudorandom numbers from a seed |
//!
//! The kit shares no code with the library: a mistake made in both would go unnoticed. Whatever
//! cannot be set up fails the test with a message; no test is skipped.
#![allow(clippy::unwrap_used, reason = "a failure in the kit must fail the test")]

pub use domstats_patience as patience;

pub mod alone;
pub mod boot;
pub mod c_library;
pub mod cgroup;
pub mod checks;
pub mod collectd;
pub mod collector;
pub mod command;
pub mod compare;
pub mod domstatsd;
pub mod exporter;
pub mod fake;
pub mod fake_daemon;
pub mod floor;
pub mod guest;
pub mod http;
pub mod image;
pub mod impostor;
pub mod lab;
pub mod libvirt;
pub mod machine;
pub mod oracle;
pub mod page;
pub mod pki;
pub mod process;
pub mod procfs;
pub mod prometheus;
pub mod python;
pub mod qmp;
pub mod random;
pub mod recording;
pub mod relay;
pub mod roots;
pub mod rpc_client;
pub mod soak;
pub mod sshd;
pub mod systemd;
pub mod tools;
pub mod wire;
