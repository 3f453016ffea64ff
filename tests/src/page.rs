//! Documentation pages whose examples are run as written.
//!
//! A line that starts with `$ ` in a `console` block is a shell command; the lines after it are its
//! output, standard output and standard error together. `export` applies to all later commands. A
//! line of three dots stands for any lines. `DOMSTATS_BLESS=1` updates the output of examples that
//! differ. A block whose first line names a file after the language, such as `c all.c`, is that
//! file.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Runs the examples of a page of this repository, each with `print`, which returns a script's
/// output. Fails the test if the output differs, or if fewer than `at_least` examples were found.
#[track_caller]
pub fn check(page: &str, at_least: usize, print: impl FnMut(&str) -> String) {
    let path = path(page);
    let text = fs::read_to_string(&path).unwrap();
    let (fresh, differences) = replay(&text, at_least, print);
    if env::var_os("DOMSTATS_BLESS").is_some() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            differences.is_empty(),
            "{page}: {}\nrun this test with DOMSTATS_BLESS=1 to update the page",
            differences.join("\n")
        );
    }
}

/// Writes the files of a page to a directory, and returns their names.
pub fn write_files(page: &str, directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(path(page)).unwrap();
    let mut names = Vec::new();
    let blocks = text.split("\n```").skip(1).step_by(2);
    for (head, body) in blocks.filter_map(|block| block.split_once('\n')) {
        if let Some((_, name)) = head.split_once(' ') {
            fs::write(directory.join(name), format!("{body}\n")).unwrap();
            names.push(name.to_owned());
        }
    }
    assert!(!names.is_empty(), "{page} has no files");
    names
}

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)
}

/// Returns the page with the current output, and every difference.
fn replay(
    page: &str,
    at_least: usize,
    mut print: impl FnMut(&str) -> String,
) -> (String, Vec<String>) {
    let (mut fresh, mut differences, mut examples) = (String::new(), Vec::new(), 0);
    let mut lines = page.lines().peekable();
    let mut exports = String::new();
    let mut in_console = false;
    while let Some(line) = lines.next() {
        fresh.push_str(line);
        fresh.push('\n');
        if line.starts_with("```") {
            in_console = line == "```console";
        }
        let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) else {
            continue;
        };
        if command.starts_with("export ") {
            exports.push_str(command);
            exports.push('\n');
        }
        let mut expected = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ") && *line != "```") {
            expected.push_str(line);
            expected.push('\n');
        }
        examples += 1;
        let printed = print(&format!("{exports}{{ {command}\n}} 2>&1"));
        let lines: [Vec<_>; 2] = [&expected, &printed].map(|text| text.lines().collect());
        if matches(&lines[0], &lines[1]) {
            fresh.push_str(&expected);
        } else {
            differences.push(format!("$ {command}\n--- the page\n{expected}--- now\n{printed}"));
            fresh.push_str(&printed);
        }
    }
    assert!(examples >= at_least, "only {examples} examples were found");
    (fresh, differences)
}

/// Returns whether `printed` is what was `expected`; `...` alone on a line stands for any lines.
fn matches(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skip| matches(rest, &printed[skip..])),
        [line, rest @ ..] => printed.first() == Some(line) && matches(rest, &printed[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_stand_for_any_lines() {
        let is = |expected: &str, printed: &str| {
            let [expected, printed] =
                [expected, printed].map(|text| text.split(' ').collect::<Vec<_>>());
            matches(&expected, &printed)
        };
        assert!(is("a", "a") && is("", "") && is("a ... d", "a b c d"));
        assert!(is("a ... c ...", "a b c d") && is("...", "a") && is("a ... b", "a b"));
        assert!(!is("a", "a b") && !is("a ... c", "a b") && !is("... b ... d", "a d"));
    }
}
