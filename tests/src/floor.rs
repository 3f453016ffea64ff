//! The floor: the least work with which every monitor can be asked the library's questions.
//!
//! Connections are kept, out-of-band is negotiated (it saves QEMU a wake-up for every command),
//! the questions are one write of minimal JSON, one poll loop waits for all guests, and of the
//! answers nothing is read but their number.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use rustix::event::{PollFd, PollFlags, poll};

/// The questions of a first call: all groups of a paused guest whose threads bear their vCPU's
/// name.
pub const FIRST: &str = concat!(
    r#"{"execute":"query-status"}"#,
    r#"{"execute":"query-balloon"}"#,
    r#"{"execute":"qom-get","arguments":{"property":"guest-stats","path":"/machine/peripheral/balloon0"}}"#,
    r#"{"execute":"query-blockstats"}"#,
    r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#,
    r#"{"execute":"query-iothreads"}"#,
    r#"{"execute":"query-dirty-rate"}"#,
);

/// The questions of a later call that asks for the same, if its monitor was held and nothing has
/// changed: within a second.
pub const STEADY: &str = r#"{"execute":"query-blockstats"}"#;

/// Monitors, connected.
#[derive(Debug)]
pub struct Floor {
    streams: Vec<UnixStream>,
    buffer: Vec<u8>,
}

impl Floor {
    /// Connects to monitors.
    ///
    /// # Errors
    ///
    /// If one of them does not answer.
    pub fn connect(monitors: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let mut floor = Self {
            streams: monitors.into_iter().map(UnixStream::connect).collect::<io::Result<_>>()?,
            buffer: vec![0; 1 << 16],
        };
        // The greeting, and the answer.
        let enable = r#"{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}"#;
        floor.ask(enable, 2)?;
        Ok(floor)
    }

    /// Asks every monitor these questions, and returns the number of monitors.
    ///
    /// # Errors
    ///
    /// If a connection fails.
    pub fn pass(&mut self, questions: &str) -> io::Result<usize> {
        self.ask(questions, questions.matches("execute").count())?;
        Ok(self.streams.len())
    }

    fn ask(&mut self, text: &str, answers: usize) -> io::Result<()> {
        for mut stream in &self.streams {
            stream.write_all(text.as_bytes())?;
        }
        let mut owed: Vec<_> = self.streams.iter().map(|stream| (stream, answers)).collect();
        while !owed.is_empty() {
            let mut polled: Vec<_> =
                owed.iter().map(|(stream, _)| PollFd::new(*stream, PollFlags::IN)).collect();
            poll(&mut polled, None)?;
            let ready: Vec<_> = polled.iter().map(|one| !one.revents().is_empty()).collect();
            for ((stream, owed), ready) in owed.iter_mut().zip(ready) {
                if ready {
                    let length = stream.read(&mut self.buffer)?;
                    let lines = self.buffer[..length].iter().filter(|byte| **byte == b'\n');
                    *owed = owed.saturating_sub(lines.count());
                }
            }
            owed.retain(|(_, owed)| *owed > 0);
        }
        Ok(())
    }
}
