//! The command line: names of benchmarks, then options.

use std::env;

/// Returns the names: the words before the first option.
pub(crate) fn names() -> Vec<String> {
    env::args().skip(1).take_while(|word| !word.starts_with("--")).collect()
}

/// Returns the word after an option.
pub(crate) fn word(option: &str) -> Option<String> {
    env::args().skip_while(|word| word != option).nth(1)
}

/// Returns the number after an option.
pub(crate) fn number(option: &str, default: usize) -> usize {
    word(option).map_or(default, |word| match word.parse() {
        Ok(number) if number > 0 => number,
        _ => panic!("{option} takes a number of at least 1, not '{word}'"),
    })
}

/// Returns whether an option was given.
pub(crate) fn flag(option: &str) -> bool {
    env::args().any(|word| word == option)
}
