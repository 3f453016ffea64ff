//! Every input that a fuzz target of the daemon found worth keeping, given to it again.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

#[test]
fn every_target_holds_for_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in domstatsd::fuzz::TARGETS {
        let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().collect();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            target(&fs::read(path).unwrap());
        }
    }
}
