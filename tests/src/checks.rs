//! Several checks in one test, which share what takes long to start.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Names the only check to run.
const ONLY: &str = "DOMSTATS_CHECK";

/// Calls functions, one after another, with what they share. All are called even if some fail; then
/// the test fails with their names.
#[macro_export]
macro_rules! checks {
    ($shared:expr => $($check:ident),+ $(,)?) => {
        $crate::checks::run(&[$((stringify!($check), &|| $check($shared))),+])
    };
}

/// Runs named checks, or only the one that the environment names.
#[track_caller]
pub fn run(checks: &[(&str, &dyn Fn())]) {
    let only = env::var(ONLY).ok();
    let chosen = checks.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    let (mut failed, mut count) = (Vec::new(), 0);
    for (name, check) in chosen {
        println!("check {name}");
        count += 1;
        if catch_unwind(AssertUnwindSafe(check)).is_err() {
            println!("check {name} FAILED");
            failed.push(*name);
        }
    }
    assert!(count > 0, "no check is called {}", only.unwrap_or_default());
    assert!(
        failed.is_empty(),
        "{} of {count} checks failed: {}; {ONLY}=NAME runs one of them alone",
        failed.len(),
        failed.join(", "),
    );
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_failing_check_hides_no_other() {
        let called = RefCell::new(Vec::new());
        let call = |name| called.borrow_mut().push(name);
        let failing = || {
            call("first");
            panic!("intended");
        };
        let all: [(&str, &dyn Fn()); 2] = [("first", &failing), ("second", &|| call("second"))];
        let error = catch_unwind(AssertUnwindSafe(|| run(&all))).unwrap_err();
        assert_eq!(*called.borrow(), ["first", "second"]);
        let text = error.downcast_ref::<String>().unwrap();
        assert!(text.starts_with("1 of 2 checks failed: first;"), "{text}");
    }
}
