//! Divides what a call has for all the processes it examines, such as time or memory, so that a
//! hostile process cannot take everything.
//!
//! Every process has a minimum, which no other process can take away. The rest is for
//! processes that need more, and the processes of one user never get more of it than is left for
//! others.

use std::{collections::HashMap, hash::Hash};

/// The amount left to distribute among users, by default by their uids.
#[derive(Debug)]
pub struct Shares<U = Option<u32>> {
    each: u64,
    left: u64,
    /// What each user's processes have of the rest. Processes of unknown users count as one user's.
    taken: HashMap<U, u64>,
}

impl<U: Eq + Hash> Shares<U> {
    /// Grants `each` to every process, and `rest` to all that need more.
    #[must_use]
    pub fn new(each: u64, rest: u64) -> Self {
        Self { each, left: rest, taken: HashMap::new() }
    }

    /// Changes a process's amount. Returns whether that is granted; if not, the amount stays the
    /// same.
    pub fn change(&mut self, from: u64, to: u64, user: impl FnOnce() -> U) -> bool {
        self.change_if(from, to, user, |after, left| after <= left)
    }

    /// Does what [`change`](Self::change) does, for a user who may have all that is left.
    pub fn change_unlimited(&mut self, from: u64, to: u64, user: impl FnOnce() -> U) -> bool {
        self.change_if(from, to, user, |_, _| true)
    }

    /// Returns how many users have more than the minimum of their processes.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.taken.len()
    }

    fn change_if(
        &mut self,
        from: u64,
        to: u64,
        user: impl FnOnce() -> U,
        may: impl FnOnce(u64, u64) -> bool,
    ) -> bool {
        let [from, to] = [from, to].map(|amount| amount.saturating_sub(self.each));
        if from == to {
            return true;
        }
        let user = user();
        let taken = self.taken.get(&user).copied().unwrap_or_default();
        let after = taken.saturating_sub(from).saturating_add(to);
        let left = self.left.saturating_add(from);
        if to > from && (to > left || !may(after, left - to)) {
            return false;
        }
        self.left = left.saturating_sub(to);
        match after {
            0 => drop(self.taken.remove(&user)),
            after => drop(self.taken.insert(user, after)),
        }
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
        assert!(take(2, 10), "every process gets a little");
        assert!(take(2, 125) && !take(2, 1));
    }

    #[test]
    fn returned_amounts_can_be_taken_again() {
        let mut shares = Shares::<Option<u32>>::new(0, 100);
        assert!(shares.change(0, 50, || None));
        assert!(!shares.change(50, 60, || None));
        assert!(shares.change(50, 20, || None));
        assert!(shares.change(20, 50, || None));
        assert!(shares.change(50, 0, || None));
        assert_eq!(shares.holders(), 0);
        assert!(!shares.change(0, 51, || None));
        assert!(!shares.change(0, u64::MAX, || None));
    }
}
