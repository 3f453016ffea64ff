//! What the fuzz targets in `fuzz/` run. Not part of the API.
//!
//! What belongs to one driver stands in its `fuzz.rs`.

pub use crate::connect::libvirt_conf::fuzz as libvirt_conf;
#[cfg(feature = "libvirt")]
pub use crate::driver::libvirt::fuzz::auth_conf;
use crate::{ConnectOptions, Result, StatsReport, connect::drivers, driver::uri::Uri};
#[cfg(feature = "qemu")]
pub use crate::{
    driver::qemu::{
        fuzz::{command_line, conversation, messages, monitor_lines},
        monitor::reader::{MAX_LINE, Message, Reader},
    },
    host::fuzz::{cgroup_files, netlink, proc_files, resctrl_files},
};

/// Gives bytes to parsers, and panics if what they promise does not hold.
pub type Target = fn(&[u8]);

/// Every target, by the name of its file in `fuzz/fuzz_targets` and of its folder in
/// `fuzz/corpus`.
pub const TARGETS: &[(&str, Target)] = &[
    #[cfg(feature = "libvirt")]
    ("auth_conf", auth_conf),
    #[cfg(feature = "qemu")]
    ("cgroup_files", cgroup_files),
    #[cfg(feature = "qemu")]
    ("command_line", command_line),
    #[cfg(feature = "qemu")]
    ("conversation", conversation),
    ("documents", documents),
    ("libvirt_conf", libvirt_conf),
    #[cfg(feature = "qemu")]
    ("monitor_lines", monitor_lines),
    #[cfg(feature = "qemu")]
    ("netlink", netlink),
    #[cfg(feature = "qemu")]
    ("proc_files", proc_files),
    #[cfg(feature = "qemu")]
    ("resctrl_files", resctrl_files),
    ("uris", uris),
];

/// Documents: what was written once is read without loss.
pub fn documents(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(report) = StatsReport::from_xml(text) {
        settles(&report, StatsReport::to_xml, StatsReport::from_xml);
    }
    if let Ok(report) = StatsReport::from_json(text) {
        settles(&report, StatsReport::to_json, StatsReport::from_json);
    }
}

/// The first writing may change a report: characters that XML cannot carry are replaced.
fn settles(
    report: &StatsReport,
    write: fn(&StatsReport) -> String,
    read: fn(&str) -> Result<StatsReport>,
) {
    let again = |report| read(&write(report)).expect("our own document is read");
    let written = again(report);
    assert_eq!(again(&written), written);
}

/// Connection URIs: one that is read prints as it was given, and no driver fails over one but with
/// an error. Nothing is connected to.
pub fn uris(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(uri) = text.parse::<Uri>() else { return };
    assert_eq!(uri.to_string(), text);
    let options = ConnectOptions::new();
    match uri.scheme.as_str() {
        // Any other path is a file to read.
        "test" if uri.path != "/default" => {}
        "test" | "qemu+qmp" => drop(drivers::open(&uri, &options)),
        #[cfg(feature = "libvirt")]
        _ => crate::driver::libvirt::fuzz::address(&uri, &options),
        #[cfg(not(feature = "libvirt"))]
        _ => {}
    }
}
