//! What a real guest's monitor said: every query with its reply.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The recording in the repository: from a guest like those of the private libvirtd.
pub(crate) const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/guest.qmp");

/// Queries and replies, one per line, alternating.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    answers: Vec<(String, String)>,
}

impl Recording {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let pairs = lines.chunks_exact(2);
        Ok(Self { answers: pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect() })
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let lines = self.answers.iter().map(|(question, answer)| format!("{question}\n{answer}\n"));
        fs::write(path, lines.collect::<String>())
    }

    pub(crate) fn add(&mut self, question: &str, answer: String) {
        self.answers.push((question.to_owned(), answer));
    }

    /// Returns the reply to the query that the bytes start with, and the query's length.
    pub(crate) fn answer(&self, bytes: &[u8]) -> Option<(usize, &str)> {
        let found =
            self.answers.iter().find(|(question, _)| bytes.starts_with(question.as_bytes()));
        found.map(|(question, answer)| (question.len(), answer.as_str()))
    }

    /// Replaces the recorded process's threads with those of another one, so that they are found.
    pub(crate) fn move_threads(&mut self, thread: u32) {
        for (_, answer) in &mut self.answers {
            let mut value: Value = serde_json::from_str(answer).unwrap();
            let items = value["return"].as_array_mut().into_iter().flatten();
            let threads = items.filter_map(|item| item.get_mut("thread-id"));
            let mut moved = false;
            for id in threads {
                *id = thread.into();
                moved = true;
            }
            if moved {
                *answer = value.to_string();
            }
        }
    }
}

/// Returns the path of a recording: from the command line, or the default.
pub(crate) fn path() -> PathBuf {
    crate::arguments::word("--recording").unwrap_or_else(|| FILE.to_owned()).into()
}

/// Returns all recorded replies, as a monitor sends them.
pub(crate) fn answers() -> String {
    let recording = Recording::read(Path::new(FILE)).unwrap();
    recording.answers.iter().map(|(_, answer)| format!("{answer}\r\n")).collect()
}
