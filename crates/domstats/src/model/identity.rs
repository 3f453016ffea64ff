//! The identity of domains, and how names, UUIDs and handles are resolved.
//!
//! A QEMU process chooses its own name and UUID, and any user may start one; only its user comes from the
//! kernel. So names and UUIDs of users that are not *trusted* are shown but never relied on: no look-up by
//! them finds such a domain, and labels include the user. For the domains of libvirt, the daemon vouches.

use std::{collections::HashMap, fmt};

use uuid::Uuid;

use crate::model::{
    catalogue::attribute::{Attribute, attributes},
    error::{Error, ErrorKind, ErrorOrigin},
    name::Name,
    report::{Missing, MissingReason},
};

attributes!(
    /// The identity of a domain.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
    #[non_exhaustive]
    pub struct DomainInfo {
        /// Its name.
        pub name: Name,
        /// Its UUID, if it has one: a QEMU started by hand may have none.
        pub uuid: Option<Uuid>,
        /// Its number while it is active: libvirt's id, or the process id of a QEMU without libvirt.
        ///
        /// A domain that restarted under the same name has another one.
        #[attribute(label)]
        pub id: Option<u32>,
        /// Whether it stays defined when it stops.
        ///
        /// QEMU processes without libvirt do not.
        pub persistent: bool,
        /// The user that its QEMU runs as, from the kernel; absent if unknown, as with libvirt.
        ///
        /// It is the real user id of the process.
        #[attribute(label)]
        pub uid: Option<u32>,
        /// Whether that user is not trusted: its name and UUID may be those of another domain.
        ///
        /// `?trusted=` of `qemu+qmp` names the trusted users.
        pub untrusted: bool,
        /// What of its name and UUID another domain has too.
        ///
        /// As far as the driver or the report shows.
        pub conflict: Conflict,
    }
);

bitflags::bitflags! {
    /// What two domains share although it should be unique.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Conflict: u8 {
        /// Their name.
        const NAME = 1;
        /// Their UUID.
        const UUID = 2;
    }
}

impl Conflict {
    /// The words that documents use, separated by spaces.
    pub(crate) const WORDS: [&'static str; 2] = ["name", "uuid"];
    const BITS: [Self; 2] = [Self::NAME, Self::UUID];

    /// Returns the words for what is in conflict: `name`, `uuid`.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let words = Self::BITS.into_iter().zip(Self::WORDS);
        words.filter(move |(bit, _)| self.contains(*bit)).map(|(_, word)| word)
    }

    /// Parses words; `None` if one is unknown here.
    pub(crate) fn from_words(words: &str) -> Option<Self> {
        let place = |word| Self::WORDS.iter().position(|known| *known == word);
        words.split_ascii_whitespace().map(|word| Some(Self::BITS[place(word)?])).collect()
    }
}

impl fmt::Display for Conflict {
    /// Writes the words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().collect::<Vec<_>>().join(" "))
    }
}

impl DomainInfo {
    /// The row of the name, for which `<missing domain='…'>` has another word, and the other rows.
    pub(crate) const NAME_AND_OTHERS: (&'static Attribute<Self>, &'static [Attribute<Self>]) =
        match Self::ATTRIBUTES.split_first() {
            Some(rows) => rows,
            None => panic!("a domain has a name"),
        };

    /// Returns whether a handle refers to exactly this domain: the same one, not restarted.
    #[must_use]
    pub fn is_very(&self, handle: &Self) -> bool {
        self.name == handle.name
            && self.uuid == handle.uuid
            && self.id == handle.id
            // libvirt's protocol does not carry the user.
            && (handle.uid.is_none() || self.uid == handle.uid)
    }

    /// Returns whether this is the domain of a handle after a restart: it has the same UUID, or without
    /// one the same name, and the same user or a trusted one.
    #[must_use]
    pub fn is_same(&self, handle: &Self) -> bool {
        let is_same = match self.uuid {
            Some(_) => self.uuid == handle.uuid,
            None => handle.uuid.is_none() && self.name == handle.name,
        };
        is_same
            && match (self.uid, handle.uid) {
                (Some(uid), Some(of_handle)) => uid == of_handle,
                _ => !self.untrusted,
            }
    }

    /// Returns the position of a handle's domain: exactly this one, else the restarted one; `None` if it
    /// is gone.
    ///
    /// # Errors
    ///
    /// [`MissingReason::Ambiguous`] if that domain is gone and several could be its successor.
    pub(crate) fn place(all: &[Self], handle: &Self) -> Result<Option<usize>, Missing> {
        if let Some(place) = all.iter().position(|info| info.is_very(handle)) {
            return Ok(Some(place));
        }
        let same: Vec<usize> = (0..all.len()).filter(|place| all[*place].is_same(handle)).collect();
        if same.len() < 2 {
            return Ok(same.first().copied());
        }
        let text =
            format!("it is gone, and {} could be it", list(same.iter().map(|place| &all[*place])));
        Err(Missing::new(MissingReason::Ambiguous, text))
    }

    /// Returns the domain that `what` refers to, such as "the name 'vm1'", among those that claim it: the
    /// only one whose user is trusted.
    ///
    /// # Errors
    ///
    /// From `origin`: [`ErrorKind::NoDomain`] if there is none, [`ErrorKind::Ambiguous`] if there are several.
    pub fn meant<T: AsRef<Self>>(
        claimants: impl IntoIterator<Item = T>,
        what: &str,
        origin: ErrorOrigin,
    ) -> Result<T, Error> {
        let (untrusted, mut trusted): (Vec<T>, Vec<T>) =
            claimants.into_iter().partition(|one| one.as_ref().untrusted);
        let named = |some: &[T]| list(some.iter().map(AsRef::as_ref));
        let (kind, sentence) = match (trusted.len(), untrusted.len()) {
            (1, _) => return Ok(trusted.remove(0)),
            (0, 0) => (ErrorKind::NoDomain, format!("no domain has {what}")),
            (0, _) => (
                ErrorKind::NoDomain,
                format!(
                    "no domain with {what} is of a user who is trusted, only {}: ask for it by its id, or \
                     trust the user (?trusted=)",
                    named(&untrusted)
                ),
            ),
            _ => (
                ErrorKind::Ambiguous,
                format!("several domains have {what}: {}: ask for one by its id", named(&trusted)),
            ),
        };
        Err(Error::new(kind, origin, sentence))
    }

    /// Describes the domain so that people can tell it from others with its name: `'vm1' (id 4242, user 1000)`.
    #[must_use]
    pub fn described(&self) -> String {
        let number = self.id.map_or_else(|| "inactive".to_owned(), |id| format!("id {id}"));
        let user = self.uid.map_or_else(String::new, |uid| format!(", user {uid}"));
        format!("'{}' ({number}{user})", self.name)
    }

    /// Returns for each domain what it shares with another one. A domain that is listed twice does not
    /// conflict with itself.
    #[must_use]
    pub fn conflicts<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> Vec<Conflict> {
        // The first that has it, and whether others do.
        let mut names: HashMap<&str, (&Self, bool)> = HashMap::new();
        let mut uuids: HashMap<Uuid, (&Self, bool)> = HashMap::new();
        for info in all.clone() {
            let (first, is_shared) = names.entry(&info.name).or_insert((info, false));
            *is_shared |= !first.is_very(info);
            if let Some(uuid) = info.uuid {
                let (first, is_shared) = uuids.entry(uuid).or_insert((info, false));
                *is_shared |= !first.is_very(info);
            }
        }
        let conflict = |info: &Self| {
            let mut conflict = Conflict::empty();
            conflict.set(Conflict::NAME, names[info.name.as_str()].1);
            conflict.set(Conflict::UUID, info.uuid.is_some_and(|uuid| uuids[&uuid].1));
            conflict
        };
        all.map(conflict).collect()
    }

    /// Adds the conflicts among these domains to those already noted.
    pub fn note_conflicts<'a>(all: impl Iterator<Item = &'a mut Self>) {
        let mut all: Vec<_> = all.collect();
        let conflicts = Self::conflicts(all.iter().map(|info| &**info));
        for (info, conflict) in all.iter_mut().zip(conflicts) {
            info.conflict |= conflict;
        }
    }
}

impl AsRef<Self> for DomainInfo {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The most domains that a message names.
const MOST_NAMED: usize = 4;

fn list<'a>(mut domains: impl Iterator<Item = &'a DomainInfo>) -> String {
    let mut named: Vec<_> = domains.by_ref().take(MOST_NAMED).map(DomainInfo::described).collect();
    match domains.count() {
        0 => {}
        more => named.push(format!("{more} more")),
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, uuid: u128, id: u32, uid: Option<u32>) -> DomainInfo {
        DomainInfo {
            name: name.into(),
            uuid: (uuid > 0).then(|| Uuid::from_u128(uuid)),
            id: Some(id),
            uid,
            untrusted: uid == Some(1000) || uid == Some(1001),
            ..DomainInfo::default()
        }
    }

    fn meant(claimants: &[&DomainInfo]) -> Result<DomainInfo, (ErrorKind, String)> {
        let meant = DomainInfo::meant(claimants.to_vec(), "the name 'vm'", ErrorOrigin::Qemu);
        meant.cloned().map_err(|error| (error.kind(), error.to_string()))
    }

    #[test]
    fn a_name_means_the_one_whose_user_is_trusted() {
        let (victim, told) = (info("vm", 1, 7, Some(0)), info("vm", 1, 3, None));
        let (stranger, other) = (info("vm", 1, 8, Some(1000)), info("vm", 1, 9, Some(1001)));
        for claimants in [
            [&victim, &stranger, &other],
            [&stranger, &victim, &other],
            [&other, &stranger, &victim],
        ] {
            assert_eq!(meant(&claimants), Ok(victim.clone()));
        }
        let (kind, sentence) = meant(&[&victim, &told, &stranger]).unwrap_err();
        assert_eq!(kind, ErrorKind::Ambiguous);
        assert!(
            sentence.contains("have the name 'vm': 'vm' (id 7, user 0), 'vm' (id 3): ask"),
            "{sentence}"
        );
        let (kind, sentence) = meant(&[&stranger]).unwrap_err();
        assert_eq!(kind, ErrorKind::NoDomain);
        assert!(sentence.contains("'vm' (id 8, user 1000): ask for it by its id"), "{sentence}");
        assert_eq!(meant(&[]).unwrap_err().0, ErrorKind::NoDomain);
        let many = vec![&victim; 9];
        assert!(meant(&many).unwrap_err().1.contains(", 5 more: ask"));
    }

    #[test]
    fn a_handle_never_becomes_that_of_a_stranger() {
        let victim = info("vm", 1, 7, Some(0));
        // As a client of libvirt's protocol says it.
        let named = DomainInfo { uid: None, ..victim.clone() };
        let stranger = info("vm", 1, 8, Some(1000));
        let next = info("vm", 1, 9, Some(0));
        for handle in [&victim, &named] {
            let place = |all: &[&DomainInfo]| {
                let all: Vec<_> = all.iter().map(|one| (*one).clone()).collect();
                DomainInfo::place(&all, handle).map_err(|missing| missing.reason)
            };
            assert_eq!(place(&[&stranger, &victim]), Ok(Some(1)));
            assert_eq!(place(&[&stranger]), Ok(None));
            assert_eq!(place(&[&stranger, &next]), Ok(Some(1)));
            assert_eq!(
                place(&[&next, &DomainInfo { id: Some(10), ..next.clone() }]),
                Err(MissingReason::Ambiguous)
            );
        }
        let recycled = DomainInfo { id: victim.id, ..stranger.clone() };
        assert_eq!(DomainInfo::place(&[recycled], &victim).unwrap(), None, "its number too");
        let again = info("vm", 1, 11, Some(1000));
        assert_eq!(
            DomainInfo::place(&[again, victim], &stranger).unwrap(),
            Some(0),
            "its own user's"
        );
    }

    #[test]
    fn all_that_share_a_name_or_a_uuid_are_in_conflict() {
        let domains = [
            info("a", 1, 1, Some(0)),
            info("b", 1, 2, Some(1000)),
            info("a", 0, 3, Some(0)),
            info("c", 0, 4, None),
            info("c", 0, 4, None),
        ];
        let both = Conflict::NAME | Conflict::UUID;
        let none = Conflict::empty();
        let expected = [both, Conflict::UUID, Conflict::NAME, none, none];
        assert_eq!(DomainInfo::conflicts(domains.iter()), expected);
        assert_eq!(both.to_string(), "name uuid");
        assert_eq!(Conflict::from_words("uuid name"), Some(both));
        assert_eq!(Conflict::from_words("uuid newer"), None);
    }
}
