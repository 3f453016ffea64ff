//! Generated output: the manual page and the completions.

use crate::kit::{is_blessing, repository, run};

#[test]
fn the_committed_manual_page_is_up_to_date() {
    let page = run("man");
    assert_eq!(page.code, Some(0), "{page:?}");
    let path = repository("docs/man/domstats.1");
    if is_blessing() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &page.out).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        committed, page.out,
        "docs/man/domstats.1 is stale: DOMSTATS_BLESS=1 cargo test -p domstats-cli generated"
    );
}

#[test]
fn the_manual_page_has_every_option() {
    let (page, help) = (run("man").out.replace("\\-", "-"), run("--help").out);
    let options: Vec<_> = help.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 25, "{options:?}");
    for option in options {
        let option = option.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
        assert!(page.contains(option), "{option} is not in the manual page");
    }
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&format!("completions {shell}"));
        assert_eq!(script.code, Some(0), "{shell}: {}", script.err);
        for word in ["list-paused", "cpu-total", "doctor"] {
            assert!(script.out.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(run("completions tcsh").code, Some(2));
}
