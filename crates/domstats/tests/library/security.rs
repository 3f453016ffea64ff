//! The tests that `SECURITY.md` names exist.

use std::{fs, path::Path};

/// Appends the text of all Rust files below a folder.
fn read(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.is_dir() {
            true => read(&path, text),
            false if path.extension().is_some_and(|it| it == "rs") => {
                *text += &format!("mod {} ", path.file_stem().unwrap().display());
                *text += &fs::read_to_string(&path).unwrap();
            }
            false => {}
        }
    }
}

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut code = String::new();
    for folder in ["tests/tests", "crates/domstats/src/format/tests"] {
        read(&root.join(folder), &mut code);
    }
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let names: Vec<&str> =
        page.split('`').skip(1).step_by(2).filter(|it| it.contains("::")).collect();
    assert!(names.len() > 20, "{names:?}");
    let is_there = |name: &str| {
        let (module, test) = name.rsplit_once("::").unwrap();
        let module = format!("mod {} ", module.rsplit("::").next().unwrap());
        let test = match test.split_once('*') {
            None => format!("fn {test}("),
            Some((_, part)) => part.trim_matches('*').to_owned(),
        };
        // `format::tests::forging` is a module itself.
        code.contains(&format!("mod {} ", name.rsplit("::").next().unwrap()))
            || (code.contains(&module) && code.contains(&test))
    };
    let lost: Vec<_> = names.into_iter().filter(|name| !is_there(name)).collect();
    assert!(lost.is_empty(), "SECURITY.md names tests that do not exist: {lost:?}");
}
