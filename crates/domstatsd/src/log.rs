//! The log, on standard error: its level and form can change while it is written.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::{
    Layer, Registry,
    filter::LevelFilter,
    fmt,
    layer::{Layered, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use crate::config::{self, LogFormat, LogLevel};

/// What decides whether a line is written, below what writes it.
type Filtered = Layered<reload::Layer<LevelFilter, Registry>, Registry>;
type Writer = Box<dyn Layer<Filtered> + Send + Sync>;

/// The log of this process.
pub(crate) struct Log {
    level: reload::Handle<LevelFilter, Registry>,
    writer: reload::Handle<Writer, Filtered>,
}

impl Log {
    /// Starts it; to be called once.
    pub(crate) fn start(config: &config::Log) -> Self {
        let (level, level_handle) = reload::Layer::new(filter(config.level));
        let (writer, writer_handle) = reload::Layer::new(writer(config.format));
        tracing_subscriber::registry().with(level).with(writer).init();
        Self { level: level_handle, writer: writer_handle }
    }

    /// Goes on as this says.
    pub(crate) fn change(&self, config: &config::Log) {
        // It fails only where the log itself is gone.
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
    let lines = fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    }
}
