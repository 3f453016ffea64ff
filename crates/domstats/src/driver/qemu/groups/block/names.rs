//! The names of disks.

use std::collections::HashMap;

use crate::driver::qemu::monitor::query::BlockStats;

/// Returns whether a disk is the firmware's flash: the machine names it `system.flash0` (x86),
/// `virt.flash1` (Arm, RISC-V, LoongArch) or similar, and `if=pflash` names its drive.
pub(super) fn is_flash(disk: &BlockStats) -> bool {
    let is_numbered = |text: &str, word: &str| {
        let number = text.strip_prefix(word);
        number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let part = disk.qdev.as_deref().and_then(|qdev| qdev.strip_prefix("/machine/"));
    let part = part.filter(|part| !part.contains('/')).and_then(|part| part.split_once('.'));
    let is_part = part.is_some_and(|(_, name)| is_numbered(name, "flash"));
    let is_drive = disk.device.as_deref().is_some_and(|drive| is_numbered(drive, "pflash"));
    is_part || (is_drive && device_id(disk).is_none())
}

/// Returns the names of the disks: libvirt's if its ids show them, else QEMU's. A name guessed from
/// an address gives way to one that the id contains.
pub(super) fn names(disks: &[&BlockStats]) -> Vec<String> {
    let targets: Vec<Option<Target>> = disks.iter().map(|disk| target(disk)).collect();
    let mut times: HashMap<&str, usize> = HashMap::new();
    targets.iter().flatten().for_each(|target| *times.entry(&target.name).or_default() += 1);
    disks
        .iter()
        .zip(&targets)
        .map(|(disk, target)| match target {
            Some(target) if target.is_certain || times.get(&*target.name) == Some(&1) => {
                target.name.clone()
            }
            _ => qemu_name(disk),
        })
        .collect()
}

/// Returns the device's id: `virtio-disk0` of `/machine/peripheral/virtio-disk0/virtio-backend`.
fn device_id(disk: &BlockStats) -> Option<&str> {
    let qdev = disk.qdev.as_deref()?;
    match qdev.strip_prefix("/machine/") {
        Some(path) => path.strip_prefix("peripheral/")?.split('/').next(),
        // Old versions report the id alone.
        None => Some(qdev),
    }
}

/// libvirt's name for a disk.
struct Target {
    name: String,
    /// Whether the id contains the name's number, and not only an address.
    is_certain: bool,
}

/// Returns the target of a disk whose id libvirt chose: `virtio-disk0`, `usb-disk0` and `sd-disk0`
/// by the target's number, others by the address: `ide0-1-0`, `scsi0-0-0-2`. Ids by other programs
/// look similar (`scsi1`, `sata0`, `ide2`) and are names of their own.
fn target(disk: &BlockStats) -> Option<Target> {
    let id = device_id(disk)?;
    let target = |bus: &str, number, is_certain| {
        Some(Target { name: format!("{bus}{}", letters(number)), is_certain })
    };
    if let Some((bus, number)) = id.split_once("-disk") {
        let bus = match bus {
            "virtio" => "vd",
            "usb" | "sd" => "sd",
            "xen" => "xvd",
            _ => return None,
        };
        return target(bus, number.parse().ok()?, true);
    }
    let (kind, numbers) = id.split_at(id.find(|c: char| c.is_ascii_digit())?);
    let numbers: Vec<u32> = numbers.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    match (kind, numbers.as_slice()) {
        // Controller, bus, unit: two units per bus.
        ("ide", [_, bus, unit]) => target("hd", bus.checked_mul(2)?.checked_add(*unit)?, false),
        ("sata", [0, 0, unit]) | ("scsi", [0, _, unit] | [0, _, _, unit]) => {
            target("sd", *unit, false)
        }
        ("fdc", [0, _, unit]) => target("fd", *unit, false),
        _ => None,
    }
}

/// Returns 0 as `a`, 25 as `z`, 26 as `aa`.
fn letters(mut number: u32) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'a' + (number % 26) as u8));
        match (number / 26).checked_sub(1) {
            Some(rest) => number = rest,
            None => return letters.into_iter().rev().collect(),
        }
    }
}

fn qemu_name(disk: &BlockStats) -> String {
    let text = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    device_id(disk)
        .map(str::to_owned)
        .or_else(|| text(&disk.device))
        .or_else(|| text(&disk.node_name))
        .or_else(|| text(&disk.qdev))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(qdev: &str, device: &str) -> BlockStats {
        let json = serde_json::json!({ "qdev": qdev, "device": device, "stats": {} });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn names_are_the_guests_if_libvirt_chose_the_id() {
        let name = |id: &str| {
            let disk = disk(&format!("/machine/peripheral/{id}/virtio-backend"), "");
            names(&[&disk]).remove(0)
        };
        assert_eq!(name("virtio-disk0"), "vda");
        assert_eq!(name("virtio-disk27"), "vdab");
        assert_eq!(name("ide0-1-0"), "hdc");
        assert_eq!(name("sata0-0-1"), "sdb");
        assert_eq!(name("scsi0-0-0-2"), "sdc");
        assert_eq!(name("scsi0-0-2"), "sdc", "an LSI controller has no targets");
        assert_eq!(name("fdc0-0-1"), "fdb");
        assert_eq!(name("usb-disk1"), "sdb");
        for own in ["scsi1", "sata0", "ide2", "virtio0", "efidisk0", "ua-data", "fdc0"] {
            assert_eq!(name(own), own);
        }
        assert_eq!(name("scsi1-0-0-2"), "scsi1-0-0-2", "a second controller gives no name");
        assert_eq!(name("my-disk"), "my-disk");
        let anonymous = disk("/machine/peripheral-anon/device[1]/virtio-backend", "virtio0");
        assert_eq!(names(&[&anonymous]), ["virtio0"]);
    }

    #[test]
    fn no_two_disks_share_a_guessed_name() {
        let (sata, usb) = (disk("/machine/peripheral/sata0-0-0", ""), disk("usb-disk0", ""));
        assert_eq!(names(&[&sata, &usb]), ["sata0-0-0", "sda"], "libvirt's number is certain");
        let scsi = disk("scsi0-0-0-0", "");
        assert_eq!(names(&[&sata, &scsi]), ["sata0-0-0", "scsi0-0-0-0"]);
    }

    #[test]
    fn flash_of_any_machine_is_not_a_disk() {
        for (qdev, drive) in [
            ("/machine/system.flash0", ""),
            ("/machine/virt.flash1", ""),
            ("/machine/sbsa.flash0", ""),
            ("/machine/unattached/device[3]", "pflash0"),
        ] {
            assert!(is_flash(&disk(qdev, drive)), "{qdev} {drive}");
        }
        for (qdev, drive) in [
            ("/machine/peripheral/flash0/virtio-backend", ""),
            ("/machine/peripheral/my.flash0/virtio-backend", "pflash0"),
            ("/machine/unattached/device[3]", "sd0"),
        ] {
            assert!(!is_flash(&disk(qdev, drive)), "{qdev} {drive}");
        }
    }
}
