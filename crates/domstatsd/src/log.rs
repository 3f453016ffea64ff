//! The log, on standard error. Its level and format can change at run time.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write, stderr},
};

use domstats::is_deceptive;
use tracing_subscriber::{
    Layer, Registry,
    filter::LevelFilter,
    fmt,
    layer::{Layered, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use crate::config::{self, LogFormat, LogLevel};

/// The filter below the writer.
type Filtered = Layered<reload::Layer<LevelFilter, Registry>, Registry>;
type Writer = Box<dyn Layer<Filtered> + Send + Sync>;

/// The log of this process.
pub(crate) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
    writer: reload::Handle<Writer, Filtered>,
}

impl Log {
    /// Starts it. Call it once.
    pub(crate) fn start(config: &config::Log) -> Self {
        let (level, level_handle) = reload::Layer::new(filter(config.level));
        let (writer, writer_handle) = reload::Layer::new(writer(config.format));
        tracing_subscriber::registry().with(level).with(writer).init();
        Self { level: level_handle, writer: writer_handle }
    }

    /// Applies new settings.
    pub(crate) fn change(&self, config: &config::Log) {
        // It fails only if the log itself is gone.
        let _ = self.level.reload(filter(config.level));
        let _ = self.writer.reload(writer(config.format));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn writer(format: LogFormat) -> Writer {
    let lines = fmt::layer().with_ansi(stderr().is_terminal()).with_writer(|| OneLine);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}

/// Standard error, a line for each event. Events contain the words of others, such as errors of a hypervisor.
struct OneLine;

impl Write for OneLine {
    /// Writes an event, which comes whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        stderr().write_all(one_line(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

/// Returns the text of an event with escapes for characters that would begin another line or reverse this one.
fn one_line(event: &str) -> Cow<'_, str> {
    // Colours begin with an escape; `fmt` has escaped all others.
    let deceives = |character| is_deceptive(character) && character != '\u{1b}';
    let line = event.strip_suffix('\n').unwrap_or(event);
    if !line.contains(deceives) {
        return event.into();
    }
    let mut text = String::with_capacity(event.len() + 16);
    for character in line.chars() {
        match deceives(character) {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        assert_eq!(
            one_line("\u{1b}[2mWARN\u{1b}[0m Ünïcode\n"),
            "\u{1b}[2mWARN\u{1b}[0m Ünïcode\n"
        );
        let forged = "WARN libvirt: no\nERROR domstatsd: \u{202e}all\u{2028} is lost\r\n";
        let expected = "WARN libvirt: no\\nERROR domstatsd: \\u{202e}all\\u{2028} is lost\\r\n";
        assert_eq!(one_line(forged), expected);
    }
}
