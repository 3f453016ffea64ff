//! The floor: the least work for sending the library's queries to every monitor.
//!
//! Connections stay open, out-of-band execution is negotiated (it saves QEMU a wake-up for every
//! command), the queries are one write of minimal JSON, one poll loop waits for all guests, and
//! only the number of replies is read.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use rustix::event::{PollFd, PollFlags, poll};

/// The queries of a first call: all groups of a paused guest whose threads have their vCPU's name.
pub const FIRST: &str = concat!(
    r#"{"execute":"query-status"}"#,
    r#"{"execute":"query-balloon"}"#,
    r#"{"execute":"qom-get","arguments":{"property":"guest-stats","path":"/machine/peripheral/balloon0"}}"#,
    r#"{"execute":"query-blockstats"}"#,
    r#"{"execute":"query-named-block-nodes","arguments":{"flat":true}}"#,
    r#"{"execute":"query-iothreads"}"#,
    r#"{"execute":"query-dirty-rate"}"#,
);

/// The queries of a later call for the same groups, within a second, if the session was held and
/// nothing has changed.
pub const STEADY: &str = r#"{"execute":"query-blockstats"}"#;

/// Connected monitors.
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
        // The greeting, and the reply.
        let enable = r#"{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}"#;
        floor.ask(enable, 2)?;
        Ok(floor)
    }

    /// Sends these queries to every monitor, and returns the number of monitors.
    ///
    /// # Errors
    ///
    /// If a connection fails.
    pub fn pass(&mut self, queries: &str) -> io::Result<usize> {
        self.ask(queries, queries.matches("execute").count())?;
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
