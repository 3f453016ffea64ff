//! Targets for [`crate::fuzz`]: command lines, and what a monitor sends.

use std::{sync::Arc, time::SystemTime};

use crate::{
    driver::qemu::{
        discovery::{
            command_line::CommandLine, config_file::ConfigFile, monitor_option::is_libvirt_monitor,
            socket::MonitorSocket,
        },
        groups::{self, Sources},
        guest::Guest,
        host::HostSide,
        monitor::{
            query::{Query, Replies},
            reader::{Message, Reader},
        },
    },
    host::{process::Process, procfs::Proc},
    model::{
        report::{Missing, MissingReason, StatsReport},
        request::{StatsGroups, StatsOptions, StatsRequest},
    },
};

fn line(bytes: &[u8]) -> CommandLine {
    let arguments = bytes.split(|byte| *byte == 0);
    let arguments: Vec<String> =
        arguments.map(|argument| String::from_utf8_lossy(argument).into()).collect();
    // What follows an empty argument is the content of any file that the command line names.
    let text = arguments.split(String::is_empty).nth(1).unwrap_or_default().join("\n");
    CommandLine::parse(&arguments, &|_| Ok(ConfigFile { text: text.clone(), is_changed: false }))
}

/// A process's command line, as in `/proc/PID/cmdline`, and a file that it names.
pub fn command_line(bytes: &[u8]) {
    let line = line(bytes);
    let mut sockets = line.sockets();
    assert!(sockets.all(|it| it.path().is_none_or(|path| !is_libvirt_monitor(path))));
    assert!(line.monitors.len() <= 64);
    assert!(line.unread.is_none() || line.memory_kib.is_none() && line.maximum_vcpus.is_none());
}

/// Returns what a reader parses from a stream that arrives in chunks, up to its first error.
pub fn messages<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<String, String>> {
    let mut reader = Reader::default();
    let mut messages = Vec::new();
    for chunk in chunks {
        reader.push(chunk);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => messages.push(Ok(format!("{message:?}"))),
                Ok(None) => break,
                Err(error) => {
                    messages.push(Err(error));
                    return messages;
                }
            }
        }
    }
    messages
}

/// What a monitor sends, split anywhere: the splits must change nothing. The first byte is their
/// distance.
pub fn monitor_lines(bytes: &[u8]) {
    if let Some((size, stream)) = bytes.split_first() {
        assert_eq!(messages([stream]), messages(stream.chunks(usize::from(*size) + 1)));
    }
}

/// Three passes over a guest: its command line, and after the first line end what its monitor
/// sends. Whatever the input, documents carry the resulting record without loss.
pub fn conversation(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line_bytes, stream) = bytes.split_at(end);
    let monitor = MonitorSocket::named("/monitor".into(), false);
    let process = Process { pid: 1, start_time: 0 };
    let guest = Guest::new(process, Arc::new(line(line_bytes)), Ok(vec![monitor]));
    let (proc, host) = (Proc::new("/nonexistent"), HostSide::default());
    let request =
        StatsRequest::new().groups(StatsGroups::all_known()).options(StatsOptions::BACKING);
    let mut reader = Reader::default();
    reader.push(stream);
    for _ in 0..3 {
        let mut replies = Replies::default();
        for query in groups::queries(&guest, &host, &request) {
            if !note_next(&mut reader, &query, &mut replies) {
                break;
            }
        }
        guest.learn(&replies);
        let missing = Missing::new(MissingReason::Timeout, "the monitor did not answer");
        let sources = Sources {
            proc: &proc,
            guest: &guest,
            host: &host,
            devices: None,
            replies: &replies,
            missing: Some(&missing),
            request: &request,
        };
        let mut report = StatsReport::new(SystemTime::UNIX_EPOCH);
        report.domains.push(sources.record());
        let read = StatsReport::from_json(&report.to_json()).expect("our own document is read");
        assert_eq!(read, report);
    }
}

/// Parses the next reply; returns false if there is none. Events and the messages that start a
/// session are no replies.
fn note_next(reader: &mut Reader, query: &Query, replies: &mut Replies) -> bool {
    loop {
        match reader.next_message() {
            Ok(Some(Message::Return(json))) => replies.note(query, Ok(json)),
            Ok(Some(Message::Error { class, description })) => {
                let text = format!("{class}: {description}");
                replies.note(query, Err(Missing::new(MissingReason::Failed, text)));
            }
            Ok(Some(Message::Greeting { .. } | Message::Ready { .. } | Message::Event { .. })) => {
                continue;
            }
            Ok(None) | Err(_) => return false,
        }
        return true;
    }
}
