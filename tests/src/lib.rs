//! The test kit: real virtual machines in a second, and plain readers to compare with.
//!
//! | module | what it gives |
//! |---|---|
//! | [`alone`](mod@alone) | namespaces of its own for each live test |
//! | [`roots`] | roots of other Debian releases, where a live test runs with their QEMU and libvirt |
//! | [`checks`](mod@checks) | several checks in one test, which share what takes long to start |
//! | [`lab`] | a directory and a process group that vanish with the test program, however it ends |
//! | [`guest`] | QEMU guests: paused ones, and ones that run a boot sector which works its disk |
//! | [`cgroup`] | cgroups for guests, of both versions |
//! | [`qmp`] | a plain monitor client: one command, one answer |
//! | [`oracle`] | what a guest's statistics are, read slowly and simply |
//! | [`compare`] | a report against the oracle, before and after |
//! | [`fake`] | a QEMU whose monitor misbehaves, for faults that a real one cannot be made to show |
//! | [`impostor`] | processes of an ordinary user that only look like a VM |
//! | [`recording`] | what QEMUs of other versions answered, for the fake to answer again |
//! | [`libvirt`] | a private libvirtd, by TCP, TLS and with passwords, and guests that may have a second monitor |
//! | [`fake_daemon`] | a libvirt daemon that misbehaves, or has thousands of domains |
//! | [`wire`] | libvirt's wire format, written and read plainly |
//! | [`rpc_client`] | a client of libvirt's protocol that says anything, by Unix socket or TLS |
//! | [`sshd`] | a private sshd, by which such a daemon is reached |
//! | [`pki`] | certificates for TLS: some that are to be accepted, and some that are not |
//! | [`relay`] | a relay from a TCP port to a Unix socket |
//! | [`command`] | the command `domstats`, for any user |
//! | [`domstatsd`] | the daemon, for clients of HTTP and of libvirt |
//! | [`systemd`] | a private systemd, that runs it as its unit files say |
//! | [`http`] | a plain client of HTTP |
//! | [`exporter`] | Debian's exporter of libvirt, to compare with |
//! | [`collectd`] | Debian's collectd, and what it counts of libvirt's domains |
//! | [`prometheus`] | a Prometheus that scrapes, and what it knows |
//! | [`collector`] | a collector of OpenTelemetry, and what was pushed to it |
//! | [`python`] | a Python that has the module `domstats`, and libvirt-python |
//! | [`c_library`] | `libdomstats`, as C and C++ programs find it |
//! | [`page`] | pages of the documentation, whose examples are run |
//! | [`patience`] | waiting for what is to come |
//! | [`floor`] | the least work with which all monitors can be asked, for the benchmark |
//! | [`soak`] | guests that come and go at random under several callers, and the truth about them |
//! | [`random`] | numbers that look random and are the same for the same seed |
//!
//! Nothing here shares code with the library: a mistake made twice would not be seen. What cannot
//! be set up fails the test with a sentence; no test is skipped.
#![allow(clippy::unwrap_used, reason = "what fails in the kit is to fail the test")]

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
