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
        let lines: [Vec<_>; 2] = [&expected, &printed].map(|text| text.lines().collect());
        if matches(&lines[0], &lines[1]) {
            fresh.push_str(&expected);
        } else {
            differences.push(format!("$ {command}\n--- README.md\n{expected}--- now\n{printed}"));
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
fn matches(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skip| matches(rest, &printed[skip..])),
        [line, rest @ ..] => printed.first() == Some(line) && matches(rest, &printed[1..]),
    }
}

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
