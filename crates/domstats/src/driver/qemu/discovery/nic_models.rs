//! Recognizes NICs by their device types, and names their models.

/// The most NICs of one guest: more than the PCI buses of the largest machines in use can take.
pub(crate) const NICS: usize = 1024;

/// The types of NICs: nothing in QEMU marks them as such.
const TYPES: [&str; 52] = [
    "i82550",
    "i82551",
    "i82557a",
    "i82557b",
    "i82557c",
    "i82558a",
    "i82558b",
    "i82559a",
    "i82559b",
    "i82559c",
    "i82559er",
    "i82562",
    "i82801",
    "igb",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "spapr-vlan",
    "sungem",
    "sunhme",
    "tulip",
    "usb-net",
    "vmxnet3",
    "xen-net-device",
    // NICs of boards.
    "allwinner-emac",
    "allwinner-sun8i-emac",
    "cadence_gem",
    "dp8393x",
    "eTSEC",
    "etraxfs-eth",
    "ftgmac100",
    "imx.enet",
    "imx.fec",
    "isa-pcnet",
    "lan9118",
    "lance",
    "lasi_82596",
    "mcf-fec",
    "mipsnet",
    "msf2-emac",
    "mv88w8618_eth",
    "npcm-gmac",
    "npcm7xx-emc",
    "open_eth",
    "pxa2xx-eth",
    "smc91c111",
    "stellaris_enet",
    "sysbus-pcnet",
    "xgmac",
    "xlnx.axi-ethernet",
    "xlnx.xps-ethernetlite",
];

/// The prefixes of types that exist for several buses or chips.
const FAMILIES: [&str; 2] = ["e1000", "virtio-net-"];

/// Returns whether a `-device` driver is a NIC.
pub(super) fn is_nic(driver: &str) -> bool {
    TYPES.contains(&driver) || FAMILIES.iter().any(|start| driver.starts_with(start))
}

/// Returns a device's type: `e1000` of `child<e1000>`; `None` for what is not a device.
pub(crate) fn kind(text: &str) -> Option<&str> {
    text.strip_prefix("child<")?.strip_suffix('>')
}

/// Returns libvirt's word for a NIC's model, by its type.
pub(crate) fn model(kind: &str) -> Option<String> {
    if !is_nic(kind) {
        return None;
    }
    Some(match kind.strip_prefix("virtio-net-") {
        Some(bus) if bus.ends_with("-non-transitional") => "virtio-non-transitional".to_owned(),
        Some(bus) if bus.ends_with("-transitional") => "virtio-transitional".to_owned(),
        Some(_) => "virtio".to_owned(),
        None => kind.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_libvirts_names() {
        for (text, expected) in [
            ("child<virtio-net-pci>", Some("virtio")),
            ("child<virtio-net-ccw>", Some("virtio")),
            ("child<virtio-net-pci-transitional>", Some("virtio-transitional")),
            ("child<virtio-net-pci-non-transitional>", Some("virtio-non-transitional")),
            ("child<e1000e>", Some("e1000e")),
            ("child<virtio-blk-pci>", None),
            ("child<i8257>", None),
            ("child<i82801b11-bridge>", None),
            ("string", None),
        ] {
            assert_eq!(kind(text).and_then(model).as_deref(), expected, "{text}");
        }
    }
}
