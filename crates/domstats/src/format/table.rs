//! Table: one line per domain, to be read by people. Fits 80 columns; sizes are in units of 1,024.
//!
//! What was not read is `-`, never 0. The last column is what is missing unexpectedly.

use std::{collections::HashSet, io, time::Duration};

use unicode_width::UnicodeWidthStr;

use super::Flush;
use crate::model::{
    identity::DomainInfo,
    report::{DomainStats, Missing, StatsReport},
    stats::{Block, DomainState},
};

const WIDTH: usize = 80;
/// The columns that a name always has, and the most of a note while a name is cut.
const NAME: usize = 12;
const NOTE: usize = 24;
const HEADER: [&str; 11] =
    ["NAME", "STATE", "VCPU", "CPU", "MEM", "MAX", "READ", "WRITE", "RX", "TX", "NOTE"];
const LAST: usize = HEADER.len() - 1;

type Line = [String; HEADER.len()];

pub(super) fn write(report: &StatsReport, buffer: &mut String, flush: Flush<'_>) -> io::Result<()> {
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(report.domains.iter().map(line));
    lines.extend(report.missing.iter().map(|domain| {
        let mut line = absent(&domain.domain);
        line[LAST] = domain.missing.reason.word().to_owned();
        line
    }));

    let mut widths = [0; HEADER.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(columns(cell));
        }
    }
    let fixed: usize = widths[1..LAST].iter().map(|width| width + 1).sum();
    let left = WIDTH.saturating_sub(fixed + 1);
    let note = widths[LAST].min(NOTE).min(left.saturating_sub(NAME));
    widths[0] = widths[0].min(left - note);
    widths[LAST] = left - widths[0];

    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let cell = fit(cell, width);
            let padding = " ".repeat(width - columns(&cell));
            match column {
                0 => buffer.extend([cell, padding]),
                1 => buffer.extend([" ".to_owned(), cell, padding]),
                // No spaces at the end of a line.
                LAST if cell.is_empty() => {}
                LAST => buffer.extend([" ".to_owned(), cell]),
                _ => buffer.extend([" ".to_owned(), padding, cell]),
            }
        }
        buffer.push('\n');
        flush(buffer)?;
    }
    Ok(())
}

/// Returns the line of a domain without values.
fn absent(domain: &DomainInfo) -> Line {
    let mut line = HEADER.map(|_| "-".to_owned());
    line[0] = domain.name.to_string();
    line[LAST].clear();
    line
}

fn line(stats: &DomainStats) -> Line {
    let mut line = absent(&stats.domain);
    let state = stats.state.as_ref().and_then(|state| state.state);
    let vcpus = stats.vcpu.as_ref().map(|vcpus| (vcpus.current, vcpus.maximum));
    let cpu_time = stats.cpu.as_ref().and_then(|cpu| cpu.time);
    let balloon = |kibibytes: fn(&crate::model::stats::Balloon) -> Option<u64>| {
        let kibibytes = stats.balloon.as_ref().and_then(kibibytes);
        kibibytes.map(|kibibytes| size(u128::from(kibibytes) * 1024))
    };
    let cells = [
        state.map(state_word),
        vcpus.and_then(|vcpus| match vcpus {
            (Some(current), Some(maximum)) if current != maximum => {
                Some(format!("{current}/{maximum}"))
            }
            (current, maximum) => current.or(maximum).map(|vcpus| vcpus.to_string()),
        }),
        cpu_time.map(|time| duration(Duration::from_nanos(time))),
        balloon(|balloon| balloon.current),
        balloon(|balloon| balloon.maximum),
        disks(stats, |disk| disk.rd_bytes),
        disks(stats, |disk| disk.wr_bytes),
        interfaces(stats, |interface| interface.rx_bytes),
        interfaces(stats, |interface| interface.tx_bytes),
    ];
    for (place, cell) in line[1..LAST].iter_mut().zip(cells) {
        if let Some(cell) = cell {
            *place = cell;
        }
    }
    line[LAST] = note(stats);
    line
}

fn state_word(state: DomainState) -> String {
    match state.word() {
        Some(word) => word.to_owned(),
        None => state.code().to_string(),
    }
}

/// Returns the sum over all disks. The images below a disk repeat its name and are left out.
fn disks(stats: &DomainStats, bytes: fn(&Block) -> Option<u64>) -> Option<String> {
    let mut seen = HashSet::new();
    let blocks = stats.block.iter().flat_map(|group| &group.blocks);
    let tops =
        blocks.filter(|block| block.name.as_ref().is_none_or(|name| seen.insert(name.as_str())));
    sum(tops.filter_map(bytes))
}

fn interfaces(
    stats: &DomainStats,
    bytes: fn(&crate::model::stats::Interface) -> Option<u64>,
) -> Option<String> {
    let interfaces = stats.interface.iter().flat_map(|group| &group.interfaces);
    sum(interfaces.filter_map(bytes))
}

/// Returns the sum of what was read; `None` if nothing was.
fn sum(bytes: impl Iterator<Item = u64>) -> Option<String> {
    bytes.map(u128::from).reduce(|sum, bytes| sum + bytes).map(size)
}

/// Returns a number of bytes in at most five characters: `0`, `999`, `1.5K`, `1023M`, `12G`.
fn size(bytes: u128) -> String {
    let mut rest = bytes;
    let mut unit = "";
    let mut remainder = 0;
    for larger in ["K", "M", "G", "T", "P", "E", "Z"] {
        if rest < 1024 {
            break;
        }
        remainder = rest % 1024;
        rest /= 1024;
        unit = larger;
    }
    if unit.is_empty() || rest >= 10 {
        format!("{rest}{unit}")
    } else {
        format!("{rest}.{}{unit}", remainder * 10 / 1024)
    }
}

/// Returns a time in at most seven characters: `0.0s`, `59.9s`, `4m05s`, `3h12m`, `5d04h`.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if minutes == 0 {
        format!("{seconds}.{}s", time.subsec_millis() / 100)
    } else if hours == 0 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h{:02}m", minutes % 60)
    } else {
        format!("{days}d{:02}h", hours % 24)
    }
}

/// Returns the domain's conflicts, and what is missing unexpectedly, by reason: `conflict: name`,
/// `timeout: balloon block`.
fn note(stats: &DomainStats) -> String {
    let mut reasons: Vec<(&Missing, String)> = Vec::new();
    for group in stats.missing.iter().filter(|group| !group.missing.reason.is_expected()) {
        match reasons.iter_mut().find(|(missing, _)| missing.reason == group.missing.reason) {
            Some((_, groups)) => groups.extend([" ", &group.group]),
            None => reasons.push((&group.missing, group.group.to_string())),
        }
    }
    let conflict = Some(stats.domain.conflict).filter(|conflict| !conflict.is_empty());
    let conflict = conflict.map(|conflict| format!("conflict: {conflict}"));
    let missing = reasons.iter().map(|(missing, groups)| format!("{}: {groups}", missing.reason));
    let notes = conflict.into_iter().chain(missing);
    notes.collect::<Vec<_>>().join("; ")
}

fn columns(text: &str) -> usize {
    text.width()
}

/// Returns the text, cut to at most `width` columns.
fn fit(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    // Characters change the width of preceding ones, so whole texts are measured.
    let starts = text.char_indices().map(|(start, _)| start).take(4 * WIDTH);
    let cuts = starts.map(|start| format!("{}…", &text[..start]));
    cuts.take_while(|cut| columns(cut) <= width).last().unwrap_or_default()
}
