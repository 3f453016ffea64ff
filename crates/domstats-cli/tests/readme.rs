//! The examples of README.md, run as they stand.
//!
//! A line that starts with `$ ` in a `console` block is a command for the shell; the lines after
//! it are what it prints, on standard output and standard error together. `export` holds for all
//! later commands. A line of three dots stands for any lines. `DOMSTATS_BLESS=1` writes the
//! output of the examples that differ anew.

mod kit;

use std::fs;

use kit::{finish, is_blessing, repository, shell};

#[test]
fn the_examples_print_what_the_readme_says() {
    let path = repository("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (fresh, differences) = replay(&readme);
    if is_blessing() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            differences.is_empty(),
            "{}\nDOMSTATS_BLESS=1 cargo test -p domstats-cli --test readme",
            differences.join("\n")
        );
    }
}

/// Returns the page with the output of today, and every difference.
fn replay(readme: &str) -> (String, Vec<String>) {
    let (mut fresh, mut differences, mut examples) = (String::new(), Vec::new(), 0);
    let mut lines = readme.lines().peekable();
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
        if matches(&expected, &printed) {
            fresh.push_str(&expected);
        } else {
            differences.push(format!(
                "$ {command}\n--- README.md\n{expected}--- now\n{printed}"
            ));
            fresh.push_str(&printed);
        }
    }
    assert!(examples > 8, "only {examples} examples were found");
    (fresh, differences)
}

/// Runs a script in a folder of its own, since some examples write files.
fn print(script: &str) -> String {
    finish(shell(script).current_dir(env!("CARGO_TARGET_TMPDIR"))).out
}

/// Whether `printed` is what was `expected`; `...` alone on a line stands for any lines.
fn matches(expected: &str, printed: &str) -> bool {
    let mut pieces = expected.split("...\n");
    let Some(mut rest) = pieces.next().and_then(|first| printed.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn dots_stand_for_any_lines() {
    assert!(matches("a\n", "a\n") && matches("", "") && matches("a\n...\nd\n", "a\nb\nc\nd\n"));
    assert!(matches("a\n...\nc\n...\n", "a\nb\nc\nd\n") && matches("...\n", "a\n"));
    assert!(!matches("a\n", "a\nb\n") && !matches("a\n...\nc\n", "a\nb\n"));
    assert!(!matches("...\nb\n...\nd\n", "a\nd\n"));
}
