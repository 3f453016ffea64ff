//! The table fits 80 columns, is aligned, and has `-` for what was not read.

use unicode_width::UnicodeWidthStr;

use crate::format::sample;

#[test]
fn no_line_is_wider_than_a_terminal() {
    let mut report = sample::canonical();
    report.domains[1].domain.name = "a-very-long-name-".repeat(9).into();
    report.domains[0].cpu.as_mut().unwrap().time = Some(u64::MAX);
    report.domains[0].balloon.as_mut().unwrap().current = Some(u64::MAX);
    let table = report.to_table();
    assert_eq!(table.lines().count(), 1 + report.domains.len() + report.missing.len());
    for line in table.lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
        assert_eq!(line.trim_end(), line);
    }
    assert!(table.contains("a-very-") && table.contains('…'));
}

#[test]
fn what_was_not_read_is_not_zero() {
    let mut report = sample::canonical();
    report.domains[2].domain.name = "odd".into();
    let table = report.to_table();
    let cells = |name: &str| -> Vec<String> {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(cells("vm2")[1..10], ["paused", "-", "9.0s", "-", "-", "-", "-", "-", "-"]);
    assert_eq!(cells("vm2")[10..].join(" "), "timeout: balloon block");
    assert_eq!(cells("vm4")[10..], ["gone"]);
}

#[test]
fn images_below_a_disk_are_not_counted_again() {
    let mut report = sample::canonical();
    let block = report.domains[0].block.as_mut().unwrap();
    for (block, bytes) in block.blocks.iter_mut().zip([3 << 20, 5 << 20]) {
        block.name = Some("vda".into());
        block.rd_bytes = Some(bytes);
    }
    assert!(report.to_table().contains(" 3.0M "), "{}", report.to_table());
}
