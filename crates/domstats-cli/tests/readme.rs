//! The examples of README.md, run as they stand: see `domstats_live::page`.

mod kit;

use domstats_live::page;
use kit::{finish, shell};

#[test]
fn the_examples_print_what_the_readme_says() {
    // Each in a folder of its own, since some examples write files.
    page::check("README.md", 9, |script| {
        finish(shell(script).current_dir(env!("CARGO_TARGET_TMPDIR"))).out
    });
}
