//! Tests of the formats. Those that need a tool of another project (xmllint, promtool, Python)
//! are in the crate's `tests/`.

mod forging;
mod openmetrics;
mod properties;
mod round_trip;
mod schema;
mod snapshots;
mod table;
mod text;

use std::{env, fs, path::Path};

/// Compares a text with a file of the repository, or writes the file if `DOMSTATS_BLESS` is set.
fn assert_file(path: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("DOMSTATS_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    let differs = file.lines().zip(text.lines()).position(|(file, text)| file != text);
    assert!(
        file == text,
        "{} is stale from line {} on: look at what changed, then run \
         `DOMSTATS_BLESS=1 cargo test -p domstats` to write it anew",
        path.display(),
        differs.map_or(file.lines().count().min(text.lines().count()), |line| line) + 1,
    );
}
