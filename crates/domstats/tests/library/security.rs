//! The tests that `SECURITY.md` names exist.

use std::{fs, path::Path};

use crate::rust_files;

#[test]
fn every_named_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut code = String::new();
    for folder in ["tests/tests", "crates/domstats/src/format/tests"] {
        for path in rust_files(&root.join(folder)) {
            code += &format!("mod {} ", path.file_stem().unwrap().display());
            code += &fs::read_to_string(path).unwrap();
        }
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
