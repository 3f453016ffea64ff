//! The users whose QEMUs are believed to be who they say (`?trusted=`).

use std::path::Path;

use crate::host::procfs::read_at_most;

/// The users that VM launchers run QEMU as, on the distributions that have them.
const LAUNCHERS: [&str; 5] = ["libvirt-qemu", "qemu", "incus", "lxd", "oneadmin"];

/// More than a host's list of users takes.
const LARGEST: u64 = 1 << 20;

/// Trusted users, by number. root and the caller are always included: neither has a reason to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trusted(Vec<u32>);

impl Trusted {
    /// Returns the default: the launchers' users that exist on this host.
    pub(crate) fn usual() -> Self {
        let passwd = passwd();
        Self::with(LAUNCHERS.iter().filter_map(|name| number(&passwd, name)))
    }

    /// Parses names and numbers, separated by commas; an empty list adds no user.
    ///
    /// # Errors
    ///
    /// The first name that is not a user.
    pub(crate) fn parse(users: &str) -> Result<Self, &str> {
        let mut text = None;
        let numbers = users.split(',').filter(|user| !user.is_empty()).map(|user| {
            let mut named = |user| number(text.get_or_insert_with(passwd), user);
            user.parse().ok().or_else(|| named(user)).ok_or(user)
        });
        Ok(Self::with(numbers.collect::<Result<Vec<_>, _>>()?))
    }

    fn with(users: impl IntoIterator<Item = u32>) -> Self {
        let always = [0, rustix::process::geteuid().as_raw()];
        Self(always.into_iter().chain(users).collect())
    }

    /// Returns whether a user is trusted; an unknown user is not.
    pub(crate) fn has(&self, uid: Option<u32>) -> bool {
        uid.is_some_and(|uid| self.0.contains(&uid))
    }
}

/// Returns `/etc/passwd`. Users that only another name service knows must be given by number.
fn passwd() -> String {
    read_at_most(Path::new("/etc/passwd"), LARGEST).unwrap_or_default()
}

fn number(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some(name)).then(|| words.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_and_numbers() {
        let own = rustix::process::geteuid().as_raw();
        let trusted = Trusted::parse("daemon,4242").unwrap();
        for uid in [0, own, 1, 4242] {
            assert!(trusted.has(Some(uid)), "{uid}");
        }
        assert!(!trusted.has(Some(4243)) && !trusted.has(None));
        assert_eq!(Trusted::parse("root,no-such-user,x"), Err("no-such-user"));
        assert!(!Trusted::parse("").unwrap().has(Some(4242)));
    }
}
