//! Every input in the fuzz target's corpus.

use std::{fs, path::Path};

use super::again::stream_settles;

#[test]
fn the_fuzz_target_holds_for_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/rpc_packets");
    for file in fs::read_dir(corpus).unwrap() {
        let path = file.unwrap().path();
        println!("{}", path.display());
        stream_settles(&fs::read(path).unwrap());
    }
}
