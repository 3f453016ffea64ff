//! Passes every kept input to its fuzz target again: what was fixed stays fixed without a fuzzer. For
//! the tests of the crates that have targets.

use std::{fs, path::Path};

/// A target with the name of its corpus.
type Target = (&'static str, fn(&[u8]));

/// Passes each of these targets its corpus.
pub(crate) fn replay(targets: &[Target]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets {
        let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
}
