//! Exit codes, and what goes to standard error.

use std::time::Duration;

use domstats_live::patience;

use crate::kit::{FIXED, finish, run, shell};

#[test]
fn a_wrong_command_line_is_2() {
    for line in [
        "--no-such-option",
        "--format yaml",
        "--timeout soon",
        "--watch 0",
        "--block list",
        "completions",
    ] {
        let run = run(line);
        assert_eq!(run.code, Some(2), "{line}: {run:?}");
        assert!(run.err.starts_with("error: ") && run.out.is_empty(), "{line}: {run:?}");
    }
}

#[test]
fn what_cannot_be_written_is_1_and_a_closed_pipe_is_0() {
    for line in ["--help", "-h", "--version", "man", "completions bash", "fields", "list --help"] {
        let full = finish(&mut shell(&format!("domstats {line} >/dev/full")));
        assert_eq!(full.code, Some(1), "{line}: {full:?}");
        assert!(full.err.contains("No space left on device"), "{line}: {full:?}");
        let closed = finish(&mut shell(&format!("{{ domstats {line}; echo $? >&2; }} | true")));
        assert_eq!(closed.err.trim(), "0", "{line}");
    }
}

#[test]
fn a_domain_that_does_not_exist_is_1_and_named() {
    let run = run(&format!("-c {FIXED} vm1 nosuch"));
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(
        run.err.starts_with("domstats: no domain has the id, UUID or name 'nosuch'"),
        "{run:?}"
    );
}

#[test]
fn a_domain_with_the_name_of_a_command_comes_after_two_dashes() {
    let run = run(&format!("-c {FIXED} -- list"));
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("name 'list'"), "{run:?}");
}

#[test]
fn what_is_missing_is_one_line_and_3_with_strict() {
    let line = "-c test:///default?hang=vm1 --timeout 100ms --state --balloon --block";
    let (lenient, took) = patience::time(|| run(line));
    took.assert_within(Duration::from_secs(5));
    assert_eq!(lenient.code, Some(0), "{lenient:?}");
    let warnings: Vec<_> = lenient.err.lines().filter(|line| line.contains("timeout")).collect();
    assert_eq!(warnings.len(), 1, "{lenient:?}");
    assert!(warnings[0].starts_with("domstats: vm1: timeout: "), "{}", warnings[0]);
    assert!(warnings[0].contains(" block"), "{}", warnings[0]);
    // The others are complete, and the warning is not in the data.
    assert!(lenient.out.contains("Domain: 'vm2'") && !lenient.out.contains("timeout"));
    let strict = run(&format!("{line} --strict"));
    assert_eq!(strict.code, Some(3), "{strict:?}");
    assert!(strict.out.contains("Domain: 'vm2'"), "{strict:?}");
    assert_eq!(run(&format!("-c {FIXED} --strict")).code, Some(0));
}

#[test]
fn an_inactive_domain_is_reported_only_if_its_group_was_requested() {
    let line = format!("-c {FIXED} --list-inactive");
    let all = run(&line);
    assert_eq!((all.code, all.err.as_str()), (Some(0), ""), "{all:?}");
    let asked = run(&format!("{line} --interface"));
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert!(asked.err.contains(": inactive: interface"), "{asked:?}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    // Enough domains to fill the pipe many times over.
    let head = "domstats -c 'test:///default?domains=2000' | head -1";
    let run = finish(&mut shell(head));
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{run:?}");
    assert!(run.out.starts_with("Domain: '"), "{run:?}");
    for command in ["man", "fields", "completions zsh", "list -c test:///default?domains=9999"] {
        let run = finish(&mut shell(&format!("domstats {command} | true")));
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{command}: {run:?}");
    }
}

#[test]
fn doctor_lists_what_each_domain_provides_and_why_not_more() {
    let run = run("doctor -c test:///default?hang=vm1 --timeout 100ms");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("\n  vm1\n    provides "), "{run:?}");
    assert!(run.out.contains(": timeout"), "{run:?}");
    assert!(run.out.contains("\nhint: timeout: "), "{run:?}");
}

#[test]
fn doctor_prints_the_cost_of_a_call() {
    let run = run("doctor --timings -c test:///default --timeout 1m");
    assert_eq!(run.code, Some(0), "{run:?}");
    for call in ["first", "next"] {
        let line = run.out.lines().find(|line| line.contains(&format!("{call} call: ")));
        let line = line.unwrap_or_else(|| panic!("{run:?}"));
        assert!(line.contains(" ms, own CPU time ") && line.ends_with(" us a domain"), "{line}");
    }
}

#[test]
fn fields_can_be_searched() {
    let all = run("fields").out;
    assert!(all.lines().count() > 150, "{all}");
    let some = run("fields rd.bytes").out;
    assert!(some.contains("block.<n>.rd.bytes") && !some.contains("wr.bytes"), "{some}");
    let group = run("fields balloon").out;
    assert!(group.lines().skip(1).all(|line| line.starts_with("balloon.")), "{group}");
    assert_eq!(run("fields nosuchfield").code, Some(1));
}

#[test]
fn enforce_rejects_an_unsupported_group() {
    // A saved document has the groups that were saved.
    let file = std::env::temp_dir().join(format!("domstats-enforce-{}.xml", std::process::id()));
    std::fs::write(&file, run("-c test:///default --state --format xml").out).unwrap();
    let run = run(&format!("-c test://{} --memory --enforce", file.display()));
    std::fs::remove_file(&file).unwrap();
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.err.contains("does not support the stats groups memory"), "{run:?}");
}
