//! The library, through its public API.
#![allow(clippy::unwrap_used, reason = "tests")]

mod api;
mod corpus;
mod floors;
#[cfg(feature = "qemu")]
mod monitor_reader;
mod replay;
mod security;
mod test_driver;
mod tools;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    });
    files.filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}
