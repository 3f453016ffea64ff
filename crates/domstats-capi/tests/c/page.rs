//! The programs of `docs/c.md`: with every compiler they print what the page says, and valgrind finds
//! nothing.

use std::{fs, path::Path};

use domstats_live::{
    c_library::{PAGE, programs, under_valgrind, with_library},
    lab::lab,
    page,
};

#[test]
fn the_examples_print_what_the_page_says() {
    let directory = lab().path("page");
    fs::create_dir_all(&directory).unwrap();
    page::write_files(PAGE, &directory);
    page::check(PAGE, 8, |script| {
        let mut shell = with_library(Path::new("/bin/sh"));
        let output = shell.args(["-c", script]).current_dir(&directory).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    });
}

#[test]
fn valgrind_finds_nothing() {
    let uris = [
        ("test:///default?hang=vm2", 0),
        ("test:///default?domains=30", 0),
        ("test:///nothing-here.xml", 1),
    ];
    // One compiler is enough: the programs do little, and the library stays the same.
    for (clang, uris) in [(false, &uris[..]), (true, &uris[..1])] {
        for (name, program) in programs(clang) {
            for &(uri, code) in uris {
                let output = under_valgrind(&program).arg(uri).output().unwrap();
                let errors = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(code), "{name} {uri}: {errors}");
                assert_eq!(output.stdout.is_empty(), code == 1, "{name} {uri}: {errors}");
            }
        }
    }
}
