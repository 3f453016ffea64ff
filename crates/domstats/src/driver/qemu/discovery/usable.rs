//! Explains why a monitor on a command line cannot be used, and what would help.

use crate::{
    driver::qemu::{
        discovery::{
            command_line::CommandLine,
            monitor_option::{Address, MonitorOption, Role},
        },
        reasons::belongs_to_libvirt,
    },
    model::report::{Missing, MissingReason},
};

/// Returns why a QEMU has no usable monitor, and what would help.
pub(crate) fn no_monitor(line: &CommandLine) -> Missing {
    if line.monitors.iter().any(MonitorOption::is_libvirts) {
        return belongs_to_libvirt();
    }
    if let Some(unread) = &line.unread {
        let text = format!("QEMU's monitors may be in a file that could not be read: {unread}");
        return Missing::new(MissingReason::Denied, text);
    }
    let named = |monitor| {
        let missing = unusable(monitor)?;
        Some(format!("{monitor} {}", missing.text))
    };
    let all: Vec<_> = line.monitors.iter().filter_map(named).collect();
    let text = match all.is_empty() {
        true => "QEMU was started without a QMP socket".to_owned(),
        false => format!("QEMU has no usable monitor: {}", all.join(", ")),
    };
    let help = "add -qmp unix:PATH,server=on,wait=off";
    Missing::new(MissingReason::Unsupported, format!("{text}: {help}"))
}

/// Returns what is wrong with a monitor that is no listening Unix socket.
pub(crate) fn unusable(monitor: &MonitorOption) -> Option<Missing> {
    let what = match (&monitor.address, monitor.role) {
        (_, Role::Client) => "connects to its manager",
        (Address::Tcp { .. }, _) => "is open to every user of the host, so it is not used",
        (Address::Other(_), _) => "is not a socket",
        _ => return None,
    };
    Some(Missing::new(MissingReason::Unsupported, what))
}
