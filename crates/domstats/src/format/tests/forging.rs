//! No name or value adds a line to any format, or makes a line look like another one.

use std::time::UNIX_EPOCH;

use crate::{
    Format, StatsReport,
    format::sample,
    is_deceptive,
    model::{
        report::{Missing, MissingDomain, MissingGroup, MissingReason},
        stats::{Block, Blocks, HypervisorStat, HypervisorValue, Interface, Interfaces, Vm},
    },
};

/// A line of each format, and characters that move a cursor, change direction, or are invisible.
const EVIL: &str = "x\n\nDomain: 'victim'\r\n  state.state=5\u{1b}[2J\u{9b}2K\u{202e}\u{2028}\u{200b}\u{e0041}\n\
                    libvirt_up 0\n# EOF\n</domain><domain name='victim'/>\n\", \"name\": \"victim";

/// Contains the word wherever a guest, a daemon or a document can put one.
fn report(word: &str) -> StatsReport {
    let mut stats = sample::full(word, 7);
    let name = || Some(word.into());
    let disk = Block { name: name(), path: Some(word.to_owned()), ..Block::default() };
    stats.block = Some(Blocks { blocks: vec![disk], ..Blocks::default() });
    let nic = Interface { name: name(), rx_bytes: Some(1), ..Interface::default() };
    stats.interface = Some(Interfaces { interfaces: vec![nic], ..Interfaces::default() });
    let sum = Some(HypervisorValue::Number(3));
    let counted = HypervisorStat { name: word.into(), sum, ..HypervisorStat::default() };
    stats.vm = Some(Vm { stats: vec![counted], ..Vm::default() });
    let missing = || Missing::new(MissingReason::from_word(word), word);
    stats.missing = vec![MissingGroup::new(word, missing())];
    stats.set_param(&format!("new.{}", word.replace('.', "_")), &crate::Value::String(word.into()));
    let mut report = StatsReport::new(UNIX_EPOCH);
    report.missing = vec![MissingDomain::new(stats.domain.clone(), missing())];
    report.domains = vec![stats];
    report
}

#[test]
fn no_format_can_be_forged() {
    let (evil, plain) = (report(EVIL), report("plain"));
    for format in Format::ALL {
        let [evil, plain] = [&evil, &plain].map(|report| {
            let mut text = Vec::new();
            format.write(report, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        });
        let deceives = |character: char| character != '\n' && is_deceptive(character);
        assert!(!evil.contains(deceives), "{format:?}: {evil:?}");
        assert_eq!(evil.lines().count(), plain.lines().count(), "{format:?}: {evil}");
        for line in evil.lines() {
            assert!(!line.starts_with("Domain: 'victim'"), "{format:?}: {line}");
        }
    }
}

/// Texts that are not names are kept unchanged.
#[test]
fn documents_keep_texts_to_the_last_character() {
    let report = report(EVIL);
    let path = report.domains[0].block.as_ref().unwrap().blocks[0].path.clone();
    let read = StatsReport::from_json(&report.to_json()).unwrap();
    assert_eq!(read, report);
    assert_eq!(read.domains[0].block.as_ref().unwrap().blocks[0].path, path);
    // XML has no way to write an escape character.
    let tame = self::report(&EVIL.replace('\u{1b}', ""));
    assert_eq!(StatsReport::from_xml(&tame.to_xml()).unwrap(), tame);
}
