//! What a domain consists of, as far as its statistics tell: the document from which clients take
//! the names of disks and interfaces.

use std::{borrow::Cow, fmt::Write};

use domstats::StatsGroups;
use domstats_rpc::message::DomainFlags;
use quick_xml::escape::escape;

use super::{
    connect::Client,
    device::{self, Reading},
    domains::uuid_of,
    refuse::{self, Refusal},
};

/// libvirt's flag for passwords (`VIR_DOMAIN_XML_SECURE`), which only clients that may write get.
const SECURE: u32 = 1;

pub(super) async fn description(
    client: &Client,
    args: DomainFlags<'_>,
) -> Result<Cow<'static, str>, Refusal> {
    if args.flags & SECURE != 0 {
        return Err(refuse::secure_flag());
    }
    let groups = StatsGroups::BALLOON
        | StatsGroups::VCPU
        | StatsGroups::INTERFACE
        | StatsGroups::BLOCK
        | StatsGroups::IOTHREAD;
    Ok(document(&device::read(client, &args.domain, groups).await?).into())
}

fn document(reading: &Reading) -> String {
    let stats = reading.stats();
    let info = &stats.domain;
    let mut xml = String::new();
    // Writing to a string cannot fail.
    let mut line = |text: std::fmt::Arguments<'_>| _ = writeln!(xml, "{text}");
    match info.id {
        Some(id) => line(format_args!("<domain id='{id}'>")),
        None => line(format_args!("<domain>")),
    }
    line(format_args!("  <name>{}</name>", escape(&info.name)));
    line(format_args!("  <uuid>{}</uuid>", uuid_of(info)));
    if let Some(balloon) = &stats.balloon
        && let Some(maximum) = balloon.maximum
    {
        line(format_args!("  <memory unit='KiB'>{maximum}</memory>"));
    }
    if let Some(current) = stats.balloon.as_ref().and_then(|balloon| balloon.current) {
        line(format_args!("  <currentMemory unit='KiB'>{current}</currentMemory>"));
    }
    if let Some(vcpu) = &stats.vcpu
        && let Some(maximum) = vcpu.maximum
    {
        match vcpu.current.filter(|current| *current != maximum) {
            Some(current) => line(format_args!("  <vcpu current='{current}'>{maximum}</vcpu>")),
            None => line(format_args!("  <vcpu>{maximum}</vcpu>")),
        }
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
        let path = block.path.as_deref().unwrap_or_default();
        let (kind, source) = match path {
            "" => ("file", String::new()),
            path if path.starts_with("/dev/") => ("block", format!("dev='{}'", escape(path))),
            path if path.starts_with('/') => ("file", format!("file='{}'", escape(path))),
            path => ("network", format!("name='{}'", escape(path))),
        };
        line(format_args!("    <disk type='{kind}'>"));
        if !source.is_empty() {
            line(format_args!("      <source {source}/>"));
        }
        line(format_args!("      <target dev='{}'/>\n    </disk>", escape(name)));
    }
    for interface in stats.interface.iter().flat_map(|interfaces| &interfaces.interfaces) {
        let Some(name) = &interface.name else { continue };
        line(format_args!("    <interface type='ethernet'>"));
        line(format_args!("      <target dev='{}'/>\n    </interface>", escape(name)));
    }
    line(format_args!("  </devices>\n</domain>"));
    xml
}
