//! What a call has for all processes that it looks at, such as time or memory, and of which a hostile one
//! would take everything.
//!
//! Each process may have a little in any case, so that no other can take that away. The rest is for those that need
//! more, and no user's processes have more of it than is left to others.

use std::collections::HashMap;

/// What is left to be had.
#[derive(Debug)]
pub(crate) struct Shares {
    each: u64,
    left: u64,
    /// What the processes of users have of the rest. Those whose user is not known are one's.
    taken: HashMap<Option<u32>, u64>,
}

impl Shares {
    /// Has so much for each, and a rest.
    pub(crate) fn new(each: u64, rest: u64) -> Self {
        Self { each, left: rest, taken: HashMap::new() }
    }

    /// Changes how much a process has. Returns whether it may have that; if not, it has what it had.
    pub(crate) fn change(
        &mut self,
        from: u64,
        to: u64,
        user: impl FnOnce() -> Option<u32>,
    ) -> bool {
        let [from, to] = [from, to].map(|amount| amount.saturating_sub(self.each));
        if from == to {
            return true;
        }
        let taken = self.taken.entry(user()).or_default();
        let after = taken.saturating_sub(from).saturating_add(to);
        let left = self.left.saturating_add(from).saturating_sub(to);
        if to > from && after > left {
            return false;
        }
        (*taken, self.left) = (after, left);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_something_to_others() {
        let mut shares = Shares::new(10, 1000);
        let mut had = [0; 3];
        let mut take = |user: usize, amount: u64| {
            let all = had[user] + amount;
            let may = shares.change(had[user], all, || Some(user as u32));
            had[user] = if may { all } else { had[user] };
            may
        };
        assert!(take(0, 10) && take(0, 500), "half of it");
        assert!(!take(0, 1));
        assert!(take(1, 10) && take(1, 250) && !take(1, 1));
        assert!(take(2, 10), "everybody has a little");
        assert!(take(2, 125) && !take(2, 1));
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let mut shares = Shares::new(0, 100);
        assert!(shares.change(0, 50, || None));
        assert!(!shares.change(50, 60, || None));
        assert!(shares.change(50, 20, || None));
        assert!(shares.change(20, 50, || None));
        assert!(shares.change(50, 0, || None));
        assert!(!shares.change(0, 51, || None));
        assert!(!shares.change(0, u64::MAX, || None));
    }
}
