//! Event registrations. No event is ever sent.

use std::collections::BTreeMap;

use super::refuse::{self, Refusal};

/// The lifecycle event, which the oldest calls register.
pub(super) const LIFECYCLE: i32 = 0;

/// The number of events (`VIR_DOMAIN_EVENT_ID_LAST` of libvirt 9.0), and of those that the older calls accept.
const EVENTS: i32 = 27;
const OLD_EVENTS: i32 = 16;

/// The most callbacks of a client.
const MOST: usize = 1024;

/// The callbacks of a client by their numbers.
#[derive(Default)]
pub(super) struct Callbacks(BTreeMap<i32, Registration>);

/// An event, and the UUID of the domain if it is not for all.
type Registration = (i32, Option<[u8; 16]>);

impl Callbacks {
    /// Adds one, and returns its number.
    pub(super) fn add(&mut self, event: i32, domain: Option<[u8; 16]>) -> Result<i32, Refusal> {
        check(event, EVENTS)?;
        if self.0.values().any(|registered| *registered == (event, domain)) {
            return Err(refuse::already_tracked());
        }
        if self.0.len() >= MOST {
            return Err(refuse::internal(format!("a client may have {MOST} callbacks")));
        }
        // The smallest number that is free.
        let taken = (0..).zip(self.0.keys()).take_while(|(free, taken)| free == *taken);
        let number = taken.count() as i32;
        self.0.insert(number, (event, domain));
        Ok(number)
    }

    /// Removes one by its number.
    pub(super) fn remove(&mut self, number: i32) -> Result<(), Refusal> {
        self.0.remove(&number).map(drop).ok_or_else(|| {
            refuse::internal(format!("domain event callback {number} not registered"))
        })
    }

    /// Removes one by its event.
    pub(super) fn remove_event(&mut self, event: i32) -> Result<(), Refusal> {
        let found =
            self.0.iter().find(|(_, registered)| registered.0 == event).map(|(number, _)| *number);
        match found {
            Some(number) => self.remove(number),
            None => Err(refuse::internal(format!("domain event {event} not registered"))),
        }
    }
}

/// Refuses an event that the older calls do not accept.
pub(super) fn check_old(event: i32) -> Result<(), Refusal> {
    check(event, OLD_EVENTS)
}

fn check(event: i32, events: i32) -> Result<(), Refusal> {
    match (0..events).contains(&event) {
        true => Ok(()),
        false => Err(refuse::internal(format!("unsupported event ID {event}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_reused_and_bounded() {
        let mut callbacks = Callbacks::default();
        let add = |callbacks: &mut Callbacks, domain: u16| {
            let mut uuid = [0; 16];
            uuid[..2].copy_from_slice(&domain.to_be_bytes());
            callbacks.add(LIFECYCLE, Some(uuid)).map_err(|error| error.to_string())
        };
        let numbers: Vec<_> =
            (0..1024).map(|domain| add(&mut callbacks, domain).unwrap()).collect();
        assert!(numbers.into_iter().eq(0..1024));
        assert!(add(&mut callbacks, 1024).unwrap_err().contains("1024 callbacks"));
        callbacks.remove(7).unwrap();
        assert!(callbacks.remove(7).is_err());
        assert_eq!(add(&mut callbacks, 1024), Ok(7));
    }
}
