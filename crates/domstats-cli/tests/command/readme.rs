//! Runs the examples of README.md: see `domstats_live::page`.

use crate::kit::{finish, shell};
use domstats_live::{lab::lab, page};

#[test]
fn the_examples_print_what_the_readme_says() {
    // Each in a folder of its own, since some examples write files.
    page::check("README.md", 9, |script| finish(shell(script).current_dir(lab().path(""))).out);
}
