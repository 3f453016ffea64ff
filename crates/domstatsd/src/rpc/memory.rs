//! The memory that packets of clients may take: those that come, those that are worked on, and answers that
//! nobody took yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::client::Source;

/// What each client may have in any case, in bytes: the questions and answers of most are smaller.
const EACH: usize = 64 << 10;

/// What there is for clients that need more. One whose answers are the largest that fit in a packet, five at a time,
/// takes 160 MiB.
const REST: usize = 256 << 20;

/// What clients have beyond [`EACH`]. Those of one source, root's excepted, never have more than is left to others.
pub(super) struct Memory {
    taken: Mutex<Taken>,
}

struct Taken {
    left: usize,
    by_source: HashMap<Source, usize>,
}

impl Memory {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { taken: Mutex::new(Taken { left: REST, by_source: HashMap::new() }) })
    }

    /// Changes what a client has. More is refused if there is not enough; then it has what it had.
    fn change(&self, source: Source, from: usize, to: usize) -> bool {
        let [from, to] = [from, to].map(|bytes| bytes.saturating_sub(EACH));
        if from == to {
            return true;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let its = taken.by_source.get(&source).copied().unwrap_or_default();
        let (its, left) = (its.saturating_sub(from) + to, taken.left + from);
        let is_refused = to > left || (source.is_limited() && its > left - to);
        if to > from && is_refused {
            return false;
        }
        taken.left = left.saturating_sub(to);
        match its {
            0 => _ = taken.by_source.remove(&source),
            its => _ = taken.by_source.insert(source, its),
        }
        true
    }
}

/// What one client has.
pub(super) struct Account {
    memory: Arc<Memory>,
    source: Source,
    has: Mutex<usize>,
}

impl Account {
    pub(super) fn new(memory: &Arc<Memory>, source: Source) -> Arc<Self> {
        Arc::new(Self { memory: Arc::clone(memory), source, has: Mutex::default() })
    }

    /// Takes memory that is given back when what is returned drops; `None` if there is not enough.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Held { account: Arc::clone(self), bytes: 0 };
        held.resize(bytes).then_some(held)
    }

    fn has(&self) -> MutexGuard<'_, usize> {
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that a client has until this drops.
pub(super) struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    /// Makes it more or less. Returns whether there is enough; if not, it stays as it was.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        let mut has = self.account.has();
        let after = has.saturating_sub(self.bytes).saturating_add(bytes);
        let may = self.account.memory.change(self.account.source, *has, after);
        if may {
            (*has, self.bytes) = (after, bytes);
        }
        may
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_leaves_something_to_others_and_root_may_have_all() {
        let memory = Memory::new();
        let account = |source| Account::new(&memory, source);
        let one = account(Source::User(1));
        let half = one.take(EACH + REST / 2).unwrap();
        assert!(one.take(1).is_none());
        assert!(account(Source::User(1)).take(EACH + 1).is_none(), "another client of the user");
        assert!(account(Source::User(1)).take(EACH).is_some(), "each has a little");
        let other = account(Source::User(2)).take(EACH + REST / 4).unwrap();
        assert!(account(Source::User(2)).take(EACH + 1).is_none());
        assert!(account(Source::User(0)).take(EACH + REST / 4 + 1).is_none(), "there is no more");
        let root = account(Source::User(0)).take(EACH + REST / 4).unwrap();
        drop((half, other, root));
        assert!(account(Source::User(0)).take(EACH + REST).is_some());
        assert!(memory.taken.lock().unwrap().by_source.is_empty());
    }

    #[test]
    fn what_grew_and_was_refused_is_as_it_was() {
        let memory = Memory::new();
        let one = Account::new(&memory, Source::User(1));
        let mut held = one.take(10).unwrap();
        assert!(!held.resize(REST) && held.resize(EACH + REST / 2) && held.resize(10));
        drop(held);
        assert_eq!(*one.has(), 0);
    }
}
