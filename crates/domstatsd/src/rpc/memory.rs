//! The memory that packets of clients may take: calls as they arrive and are worked on, and replies that no
//! client has read yet.

use std::sync::{Arc, Mutex};

use domstats::{host::shares::Shares, sync::lock};

use crate::net::source::Source;

/// The minimum of each client, in bytes: the calls and replies of most are smaller.
const EACH: u64 = 64 << 10;

/// What there is for clients that need more. One client with the largest replies that fit in a packet, five at a
/// time, takes 160 MiB.
const REST: u64 = 256 << 20;

/// What clients have. Those of one source, root's excepted, never have more beyond [`EACH`] than is left to others.
pub(super) struct Memory(Mutex<Shares<Source>>);

impl Memory {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Shares::new(EACH, REST))))
    }

    /// Changes what a client has. Returns whether there is enough; if not, nothing changes.
    fn change(&self, source: Source, from: usize, to: usize) -> bool {
        let [from, to] = [from, to].map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX));
        let mut shares = lock(&self.0);
        match source.is_limited() {
            true => shares.change(from, to, || source),
            false => shares.change_unlimited(from, to, || source),
        }
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

    /// Takes memory until the returned value drops; `None` if there is not enough.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Held { account: Arc::clone(self), bytes: 0 };
        held.resize(bytes).then_some(held)
    }
}

/// Memory that a client has until this drops.
pub(super) struct Held {
    account: Arc<Account>,
    bytes: usize,
}

impl Held {
    /// Changes its size. Returns whether there is enough; if not, it stays as it was.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        let mut has = lock(&self.account.has);
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

    const EACH: usize = super::EACH as usize;
    const REST: usize = super::REST as usize;

    #[test]
    fn one_user_leaves_memory_to_others_and_root_may_have_all() {
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
        assert_eq!(lock(&memory.0).holders(), 0, "sources that left are forgotten");
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let memory = Memory::new();
        let one = Account::new(&memory, Source::User(1));
        let mut held = one.take(10).unwrap();
        assert!(!held.resize(REST) && held.resize(EACH + REST / 2) && held.resize(10));
        drop(held);
        assert_eq!(*lock(&one.has), 0);
    }
}
