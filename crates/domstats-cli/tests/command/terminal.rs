//! Terminal or pipe, and `--watch`.

use std::time::{Duration, Instant};

use domstats_live::lab::lab;

use crate::kit::{FIXED, finish, run, shell};

/// Runs a shell command on a terminal of util-linux, with 80 columns.
fn on_terminal(line: &str) -> String {
    let script = format!("script --quiet --return --command 'stty cols 80; {line}' /dev/null");
    let run = finish(shell(&script).env("TERM", "xterm"));
    assert_eq!(run.code, Some(0), "{run:?}");
    run.out.replace("\r\n", "\n")
}

#[test]
fn a_terminal_gets_the_table_and_a_pipe_gets_text() {
    let piped = run(&format!("-c {FIXED}")).out;
    assert_eq!(piped, run(&format!("-c {FIXED} --format text")).out);
    let table = run(&format!("-c {FIXED} --format table")).out;
    assert_ne!(piped, table);
    assert_eq!(on_terminal(&format!("domstats -c {FIXED}")), table);
    assert_eq!(on_terminal(&format!("domstats -c {FIXED} -f text")), piped);
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let line = format!("domstats list -c {FIXED}");
    let plain = finish(&mut shell(&line)).out;
    assert!(!plain.contains('\x1b'), "{plain:?}");
    assert!(on_terminal(&line).contains("\x1b[32mrunning\x1b[0m"));
    assert_eq!(on_terminal(&format!("NO_COLOR=1 {line}")), plain);
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let path = lab().path("steering.xml").display().to_string();
    // As an argument of a URI, and of a shell.
    let uri = format!("test://{}", path.replace(' ', "%20"));
    let document = "<domainstats time='2026-01-31T00:00:00Z'><domain name='a&#27;[2Jb'>\
                    <missing group='block' reason='timeout'>c&#27;[2Jd</missing>\
                    </domain></domainstats>";
    std::fs::write(&path, document).unwrap();
    for command in ["list", "doctor", "--format table", "--block --format json"] {
        let screen = on_terminal(&format!("domstats -c {uri} {command}"));
        assert!(screen.contains('a') && !screen.contains("\x1b[2J"), "{command}: {screen:?}");
    }
}

#[test]
fn watch_appends_to_a_pipe() {
    let began = Instant::now();
    // The reader leaves after four reports; the next one ends the command without an error.
    let watch = format!("timeout 60 domstats -c '{FIXED}' --state --watch 0.1 vm1");
    let run = finish(&mut shell(&format!("{watch} | grep --max-count 4 Domain")));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    assert_eq!(run.out, "Domain: 'vm1'\n".repeat(4));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn watch_repaints_a_terminal() {
    let table = run(&format!("-c {FIXED} --format table")).out;
    // A second is enough on a quiet machine.
    let is_repainted = [1, 5, 25].into_iter().any(|seconds| {
        let screen =
            on_terminal(&format!("timeout {seconds} domstats -c {FIXED} --watch 0.1 || true"));
        let pages: Vec<_> = screen.split("\x1b[H\x1b[2J").skip(1).collect();
        pages.len() > 2 && pages[0] == table
    });
    assert!(is_repainted, "no three pages, or the first is not the table");
}

#[test]
fn watch_with_strict_ends_when_something_is_missing() {
    let watch = "domstats -c test:///default?hang=vm1 --timeout 100ms --watch 0.1 --strict";
    let run = finish(&mut shell(&format!("timeout 60 {watch}")));
    assert_eq!(run.code, Some(3), "{run:?}");
}
