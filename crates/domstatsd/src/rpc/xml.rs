//! The description of a domain that no libvirt has, made of its statistics: clients read the names of
//! disks and interfaces from it.

use std::{borrow::Cow, fmt::Write};

use domstats::{Nic, StatsGroups, printable, stats::Vcpus};
use domstats_rpc::message::DomainFlags;
use quick_xml::escape::escape;

use super::{
    connect::Client,
    device::{self, Reading},
    domains::uuid_of,
    refuse::{self, Refusal},
};
use crate::hypervisors::StatsQuery;

/// libvirt's flag for passwords (`VIR_DOMAIN_XML_SECURE`), which only clients with write access get.
const SECURE: u32 = 1;

pub(super) async fn description(
    client: &Client,
    args: DomainFlags<'_>,
) -> Result<Cow<'static, str>, Refusal> {
    if args.flags & SECURE != 0 {
        return Err(refuse::secure_flag());
    }
    let basic = StatsGroups::BALLOON | StatsGroups::VCPU;
    let whole = StatsGroups::INTERFACE | StatsGroups::BLOCK | StatsGroups::IOTHREAD;
    let query = StatsQuery { basic, ..StatsQuery::new(basic | whole) };
    let reading = device::read(client, &args.domain, query).await?;
    let interfaces = &reading.stats().interface;
    let nics = match interfaces.as_ref().is_none_or(|all| all.interfaces.is_empty()) {
        true => Vec::new(),
        false => reading.nics(client).await,
    };
    Ok(document(&reading, &nics).into())
}

fn document(reading: &Reading, nics: &[Nic]) -> String {
    let stats = reading.stats();
    let info = &stats.domain;
    let mut xml = String::new();
    // Writing to a string cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| _ = writeln!(xml, "{text}");
    match info.id {
        Some(id) => line(format_args!("<domain id='{id}'>")),
        None => line(format_args!("<domain>")),
    }
    line(format_args!("  <name>{}</name>", escape(info.name.as_str())));
    line(format_args!("  <uuid>{}</uuid>", uuid_of(info)));
    if let Some(balloon) = &stats.balloon
        && let Some(maximum) = balloon.maximum
    {
        line(format_args!("  <memory unit='KiB'>{maximum}</memory>"));
    }
    if let Some(current) = stats.balloon.as_ref().and_then(|balloon| balloon.current) {
        line(format_args!("  <currentMemory unit='KiB'>{current}</currentMemory>"));
    }
    if let Some(vcpu) = stats.vcpu.as_ref().and_then(vcpus) {
        line(format_args!("  {vcpu}"));
    }
    if let Some(count) = stats.iothread.as_ref().and_then(|iothread| iothread.count)
        && count > 0
    {
        line(format_args!("  <iothreads>{count}</iothreads>"));
    }
    line(format_args!("  <os>\n    <type>hvm</type>\n  </os>"));
    line(format_args!("  <devices>"));
    for block in stats.block.iter().flat_map(|blocks| &blocks.blocks) {
        let Some(name) = &block.name else { continue };
        let source = Source::new(block.path.as_deref().unwrap_or_default());
        line(format_args!("    <disk type='{}'>", source.kind));
        if !source.attributes.is_empty() {
            line(format_args!("      <source{}/>", source.attributes));
        }
        line(format_args!("      <target dev='{}'/>\n    </disk>", escape(name.as_str())));
    }
    for interface in stats.interface.iter().flat_map(|interfaces| &interfaces.interfaces) {
        let Some(name) = &interface.name else { continue };
        // The guest's own address; the host's device has another one.
        let nic = nics.iter().find(|nic| nic.device == *name);
        line(format_args!("    <interface type='ethernet'>"));
        if let Some(nic) = nic {
            line(format_args!("      <mac address='{}'/>", escape(nic.mac.as_str())));
        }
        line(format_args!("      <target dev='{}'/>", escape(name.as_str())));
        if let Some(nic) = nic {
            line(format_args!("      <model type='{}'/>", escape(nic.model.as_str())));
        }
        line(format_args!("    </interface>"));
    }
    line(format_args!("  </devices>\n</domain>"));
    xml
}

/// Where the data of a disk is.
struct Source {
    /// libvirt's word for the kind of place.
    kind: &'static str,
    /// Attributes of the element; none without data.
    attributes: String,
}

impl Source {
    /// Reads QEMU's name of an image.
    fn new(path: &str) -> Self {
        let of = |kind, attributes| Self { kind, attributes };
        // XML cannot carry every character.
        let text = escape(printable(path));
        let protocol = path.split_once(':').map(|(protocol, _)| protocol);
        let is_protocol = |word: &&str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
        };
        match protocol.filter(is_protocol) {
            _ if path.is_empty() => of("file", String::new()),
            // A description of the image, not a name: it shows that there is an image.
            Some("json") => of("network", format!(" name='{text}'")),
            Some("host_device") => of("block", format!(" dev='{text}'")),
            Some(protocol) if protocol != "file" => {
                of("network", format!(" protocol='{protocol}' name='{text}'"))
            }
            _ if is_device(path) => of("block", format!(" dev='{text}'")),
            _ => of("file", format!(" file='{text}'")),
        }
    }
}

/// Returns whether a path is a device. Files below `/dev` are in memory, so a look at one waits for no storage.
fn is_device(path: &str) -> bool {
    let kind = |path| std::fs::metadata(path).map(|data| data.file_type());
    path.starts_with("/dev/") && !kind(path).is_ok_and(|kind| kind.is_file())
}

/// Describes how many vCPUs there are, and can be. Without a known maximum, it is the current number: a QEMU
/// without `-smp` takes no more.
fn vcpus(vcpus: &Vcpus) -> Option<String> {
    Some(match (vcpus.current, vcpus.maximum.or(vcpus.current)?) {
        (Some(current), maximum) if current != maximum => {
            format!("<vcpu current='{current}'>{maximum}</vcpu>")
        }
        (_, maximum) => format!("<vcpu>{maximum}</vcpu>"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vcpus_are_described_as_far_as_known() {
        for (current, maximum, expected) in [
            (Some(2), Some(4), Some("<vcpu current='2'>4</vcpu>")),
            (Some(4), Some(4), Some("<vcpu>4</vcpu>")),
            (None, Some(4), Some("<vcpu>4</vcpu>")),
            (Some(1), None, Some("<vcpu>1</vcpu>")),
            (None, None, None),
        ] {
            let all = Vcpus { current, maximum, ..Vcpus::default() };
            assert_eq!(vcpus(&all).as_deref(), expected, "{all:?}");
        }
    }

    #[test]
    fn a_disk_source_follows_from_its_name() {
        for (path, kind, attributes) in [
            ("", "file", ""),
            ("/var/a&b.img", "file", " file='/var/a&amp;b.img'"),
            ("disk.img", "file", " file='disk.img'"),
            ("/images/at:noon.img", "file", " file='/images/at:noon.img'"),
            ("/dev/no/such/device", "block", " dev='/dev/no/such/device'"),
            ("rbd:pool/image", "network", " protocol='rbd' name='rbd:pool/image'"),
            ("nbd://h/x", "network", " protocol='nbd' name='nbd://h/x'"),
            ("json:{}", "network", " name='json:{}'"),
        ] {
            let source = Source::new(path);
            assert_eq!((source.kind, source.attributes.as_str()), (kind, attributes), "{path}");
        }
        let file =
            std::path::Path::new("/dev/shm").join(format!("domstatsd-{}", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let is_file = !is_device(&file.display().to_string());
        std::fs::remove_file(&file).unwrap();
        assert!(is_file, "a file in memory is no device");
    }
}
