//! Handles: the pointers by which a program names connections and domains.
//!
//! A handle points nowhere: it is a number in the half of the address space that no program can
//! have, and is never reused. A table maps the live ones to their objects. So any pointer can be
//! checked: one that was freed, is of another kind or of another library is an error, never an access.

use std::{
    any::Any,
    collections::BTreeMap,
    marker::PhantomData,
    ptr,
    sync::{Arc, Mutex, MutexGuard},
};

use domstats::sync::lock;

/// An object with a handle.
pub(crate) trait Object: Any + Send + Sync {
    /// The type that C sees behind the pointer.
    type Handle;
}

struct Table {
    /// The number of handles so far.
    given: usize,
    live: BTreeMap<usize, Entry>,
}

struct Entry {
    references: usize,
    object: Arc<dyn Any + Send + Sync>,
}

fn table() -> MutexGuard<'static, Table> {
    static TABLE: Mutex<Table> = Mutex::new(Table { given: 0, live: BTreeMap::new() });
    lock(&TABLE)
}

/// Returns a new handle with one reference.
pub(crate) fn add<T: Object>(object: T) -> *mut T::Handle {
    const NOBODY: usize = 1 << (usize::BITS - 1);
    const ALIGNMENT: usize = 16;
    let mut table = table();
    table.given += 1;
    let address = NOBODY | (table.given * ALIGNMENT);
    table.live.insert(address, Entry { references: 1, object: Arc::new(object) });
    ptr::without_provenance_mut(address)
}

/// Returns the object of a handle, if it is live and of this kind.
pub(crate) fn get<T: Object>(handle: *mut T::Handle) -> Option<Arc<T>> {
    let object = Arc::clone(&table().live.get(&handle.addr())?.object);
    object.downcast().ok()
}

/// Adds a reference; false if the handle is not live or not of this kind.
pub(crate) fn retain<T: Object>(handle: *mut T::Handle) -> bool {
    let mut table = table();
    let entry = table.live.get_mut(&handle.addr()).filter(|entry| entry.object.is::<T>());
    entry.map(|entry| entry.references += 1).is_some()
}

/// Releases a reference, and returns whether it was the last; `None` if the handle is not live or
/// not of this kind.
pub(crate) fn release<T: Object>(handle: *mut T::Handle) -> Option<bool> {
    let mut table = table();
    let entry = table.live.get_mut(&handle.addr()).filter(|entry| entry.object.is::<T>())?;
    entry.references -= 1;
    let last = entry.references == 0;
    let gone = if last { table.live.remove(&handle.addr()) } else { None };
    // Dropping a domain releases its connection.
    drop(table);
    drop(gone);
    Some(last)
}

/// A reference from one object to another.
pub(crate) struct Reference<T: Object> {
    address: usize,
    kind: PhantomData<fn(T)>,
}

impl<T: Object> Reference<T> {
    /// Returns `None` if the handle is not live or not of this kind.
    pub(crate) fn new(handle: *mut T::Handle) -> Option<Self> {
        retain::<T>(handle).then(|| Self { address: handle.addr(), kind: PhantomData })
    }

    pub(crate) fn handle(&self) -> *mut T::Handle {
        ptr::without_provenance_mut(self.address)
    }
}

impl<T: Object> Drop for Reference<T> {
    fn drop(&mut self) {
        release::<T>(self.handle());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Owner(&'static str);
    struct Part(Reference<Owner>);
    impl Object for Owner {
        type Handle = u8;
    }
    impl Object for Part {
        type Handle = u16;
    }

    #[test]
    fn a_handle_lives_as_long_as_its_references() {
        let handle = add(Owner("one"));
        assert!(retain::<Owner>(handle));
        assert_eq!(release::<Owner>(handle), Some(false));
        assert_eq!(get::<Owner>(handle).unwrap().0, "one");
        assert_eq!(release::<Owner>(handle), Some(true));
        assert!(get::<Owner>(handle).is_none() && !retain::<Owner>(handle));
        assert_eq!(release::<Owner>(handle), None);
        assert_ne!(add(Owner("two")), handle, "a number is given once");
    }

    #[test]
    fn a_part_keeps_its_owner_alive() {
        let owner = add(Owner("owner"));
        let part = add(Part(Reference::new(owner).unwrap()));
        assert_eq!(release::<Owner>(owner), Some(false));
        assert_eq!(get::<Part>(part).unwrap().0.handle(), owner);
        assert_eq!(release::<Part>(part), Some(true));
        assert!(get::<Owner>(owner).is_none());
    }

    #[test]
    fn other_pointers_are_refused() {
        let owner = add(Owner("owner"));
        assert!(get::<Part>(owner.cast()).is_none() && !retain::<Part>(owner.cast()));
        assert_eq!(release::<Part>(owner.cast()), None);
        let mut foreign = 5;
        assert!(get::<Owner>(&raw mut foreign).is_none());
        assert!(get::<Owner>(ptr::null_mut()).is_none());
        assert_eq!(release::<Owner>(owner), Some(true));
    }
}
