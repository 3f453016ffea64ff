//! Compatibility with scripts: the options of `virsh domstats` work here.

use crate::kit::{FIXED, finish, run, shell};

/// The options of `virsh domstats`, as its help lists them.
const OPTIONS: &str = "--state --cpu-total --balloon --vcpu --interface --block --perf --iothread \
                       --memory --dirtyrate --vm --list-active --list-inactive --list-persistent \
                       --list-transient --list-running --list-paused --list-shutoff --list-other \
                       --raw --enforce --backing --nowait --domain";

#[test]
fn every_option_of_virsh_is_accepted() {
    for option in OPTIONS.split_whitespace() {
        let value = if option == "--domain" { "vm1" } else { "" };
        let run = run(&format!("-c {FIXED} {option} {value}"));
        assert_eq!(run.code, Some(0), "{option}: {}", run.err);
    }
}

#[test]
fn the_options_are_those_of_virsh() {
    let help = finish(&mut shell("virsh help domstats"));
    assert_eq!(help.code, Some(0), "virsh is needed here: {}", help.err);
    let theirs = help.out.lines().filter_map(|line| line.trim().split(' ').next());
    for option in theirs.filter(|word| word.starts_with("--")) {
        assert!(OPTIONS.split(' ').any(|ours| ours == option), "virsh has {option}");
    }
}

#[test]
fn a_group_option_selects_this_group_only() {
    let text = run(&format!("-c {FIXED} --cpu-total vm1")).out;
    assert!(text.contains("\n  cpu.time="), "{text}");
    assert!(!text.contains("state.state"), "{text}");
    let all = run(&format!("-c {FIXED} vm1")).out;
    for key in ["  state.state=", "  cpu.time=", "  balloon.current=", "  block.count="] {
        assert!(all.contains(key), "{key} is not in {all}");
    }
}

#[test]
fn filters_select_domains() {
    let names = |filter: &str| run(&format!("list --name -c {FIXED} {filter}")).out;
    let all = names("");
    let (active, inactive) = (names("--list-active"), names("--list-inactive"));
    assert!(!active.is_empty() && !inactive.is_empty(), "{all}");
    assert_eq!(active.lines().count() + inactive.lines().count(), all.lines().count());
    // Filters of different classes are combined, and an empty result is not a failure.
    let none = run(&format!("-c {FIXED} --list-active --list-shutoff"));
    assert_eq!((none.code, none.out.as_str()), (Some(0), ""), "{}", none.err);
}

#[test]
fn raw_changes_nothing() {
    let plain = run(&format!("-c {FIXED}"));
    assert_eq!(plain.out, run(&format!("-c {FIXED} --raw")).out);
    assert!(plain.out.starts_with("Domain: '"), "{}", plain.out);
}

#[test]
fn a_domain_goes_by_id_uuid_and_name() {
    let text = |word: &str| {
        let run = run(&format!("-c {FIXED} --state {word}"));
        assert_eq!(run.code, Some(0), "{word}: {}", run.err);
        run.out
    };
    let by_name = text("vm1");
    assert_eq!(by_name.matches("Domain: 'vm1'").count(), 1, "{by_name}");
    let list = run(&format!("-c {FIXED} list")).out;
    let id = list.lines().find(|line| line.contains(" vm1 ")).unwrap();
    let id = id.split_whitespace().next().unwrap();
    assert_eq!(text(id), by_name);
    let uuids = run(&format!("-c {FIXED} list --uuid --name")).out;
    let uuid = uuids.lines().find_map(|line| line.strip_suffix(" vm1")).unwrap();
    assert_eq!(text(uuid), by_name);
    // A repeated domain is printed twice, as by virsh.
    assert_eq!(text(&format!("vm1 {uuid}")).matches("Domain: 'vm1'").count(), 2);
}
