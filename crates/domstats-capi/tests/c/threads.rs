//! Threads share connections and domains, and have their own errors.

use std::path::Path;

use domstats_live::{
    c_library::{compile, under_valgrind, with_library},
    lab::lab,
};

#[test]
fn threads_do_not_disturb_each_other() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/threads.c");
    let program = compile("gcc", &source, &[]);
    lab().run(with_library(&program).arg("500"));
    lab().run(under_valgrind(&program).arg("3"));
}
