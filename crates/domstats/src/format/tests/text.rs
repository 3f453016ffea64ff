//! Compares the text format with the output of virsh 9.0 for three real domains.

use super::super::Format;
use crate::{DomainStats, StatsReport, Value};
use std::time::UNIX_EPOCH;

/// `virsh domstats` of a domain that is shut off, one that is running and one that is paused; paths
/// changed.
const VIRSH: &str = include_str!("virsh-domstats.txt");

/// Returns the records behind what virsh printed, each value in the type in which libvirt sends
/// it as far as print shows it.
fn records() -> StatsReport {
    let mut report = StatsReport::new(UNIX_EPOCH);
    for line in VIRSH.lines() {
        if let Some(name) = line.strip_prefix("Domain: '") {
            let mut domain = DomainStats::default();
            domain.domain.name = name.strip_suffix('\'').unwrap().into();
            report.domains.push(domain);
        } else if let Some((key, value)) = line.trim().split_once('=') {
            let value = match value.parse() {
                Ok(number) => Value::ULLong(number),
                Err(_) => Value::String(value.into()),
            };
            report.domains.last_mut().unwrap().set_param(key, &value);
        }
    }
    report
}

#[test]
fn text_is_what_virsh_prints() {
    let report = records();
    assert_eq!(report.domains.len(), 3);
    assert!(report.domains.iter().all(|domain| domain.extra.is_empty()));
    assert_eq!(report.domains[1].block.as_ref().unwrap().blocks[0].rd_bytes, Some(512));
    assert_eq!(Format::Text.write_to_string(&report), VIRSH);
}

#[test]
fn values_are_printed_as_virsh_does() {
    let mut report = StatsReport::new(UNIX_EPOCH);
    let mut domain = DomainStats::default();
    for (key, value) in [
        ("state.state", Value::Int(77)),
        ("vcpu.0.halted", Value::Boolean(true)),
        ("vcpu.0.new.sum", Value::Boolean(false)),
        ("vm.new.thing", Value::Boolean(false)),
        ("cpu.energy.monitor.0.pkg.0.core_energy", Value::Double(1.5)),
        ("cpu.energy.monitor.0.pkg.0.activity", Value::Double(f64::NAN)),
        ("gpu.0.load", Value::Double(-0.000_000_4)),
        ("gpu.0.name", Value::String("a b=c".into())),
        ("lone", Value::LLong(-3)),
    ] {
        domain.set_param(key, &value);
    }
    report.domains.push(domain);
    assert_eq!(
        report.to_text(),
        "Domain: ''\n  state.state=77\n  cpu.energy.monitor.0.pkg.0.core_energy=1.500000\n  \
         cpu.energy.monitor.0.pkg.0.activity=nan\n  vcpu.0.halted=yes\n  vcpu.0.new.sum=no\n  \
         vm.new.thing=no\n  gpu.0.load=-0.000000\n  gpu.0.name=a b=c\n  lone=-3\n\n"
    );
}
