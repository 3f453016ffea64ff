//! Faults on demand: domains that hang, are slow, vanish or refuse.

use std::{collections::HashMap, time::Duration};

use super::guests::{Guest, Guests};
use crate::{
    driver::uri::Uri,
    model::{
        error::{ErrorOrigin, Result},
        report::{Missing, MissingReason},
        request::{StatsOptions, StatsRequest},
    },
};

/// The URI parameters that are faults.
pub(super) const KEYS: [&str; 4] = ["hang", "slow", "vanish", "deny"];

/// What is wrong with a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Its monitor never answers.
    Hang,
    /// Its monitor answers after this time.
    Slow(Duration),
    /// It is listed, and gone when queried.
    Vanish,
    /// The caller may not use its monitor.
    Deny,
}

/// The faults, by the domain's number.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<u32, Fault>);

/// The outcome of querying one domain.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The monitor answered after this time.
    After(Duration),
    /// The monitor failed to answer, which was known after this time.
    Lost(Duration, Missing),
    /// The domain no longer exists.
    Gone,
}

impl Faults {
    /// Reads the faults from the parameters of a URI.
    pub(super) fn read(uri: &Uri, guests: &Guests) -> Result<Self> {
        let mut faults = Self::default();
        for (key, value) in &uri.query {
            let (name, fault) = match key.as_str() {
                "hang" => (value.as_str(), Fault::Hang),
                "vanish" => (value.as_str(), Fault::Vanish),
                "deny" => (value.as_str(), Fault::Deny),
                "slow" => slow(value).ok_or_else(|| {
                    uri.refuse(
                        ErrorOrigin::Test,
                        format_args!(
                            "parameter 'slow={value}' must be a domain and a duration, for \
                             example slow=vm1:300ms"
                        ),
                    )
                })?,
                _ => continue,
            };
            let guest = guests.find(name).ok_or_else(|| {
                uri.refuse(
                    ErrorOrigin::Test,
                    format_args!(
                        "parameter '{key}={value}' names no domain: there are vm1 to vm{}",
                        guests.count
                    ),
                )
            })?;
            if faults.0.insert(guest.number, fault).is_some() {
                return Err(uri.refuse(
                    ErrorOrigin::Test,
                    format_args!(
                        "parameter '{key}={value}' is the second fault of {name}: a domain can \
                         have one"
                    ),
                ));
            }
        }
        Ok(faults)
    }

    /// Returns the outcome of querying a domain. Does not sleep: the caller does, once for all domains.
    pub(super) fn answer(&self, guest: &Guest, request: &StatsRequest) -> Answer {
        let Some(fault) = self.0.get(&guest.number) else {
            return Answer::After(Duration::ZERO);
        };
        if *fault == Fault::Vanish {
            return Answer::Gone;
        }
        if !request.groups.intersects(guest.by_monitor()) {
            return Answer::After(Duration::ZERO);
        }
        if *fault == Fault::Deny {
            let denied =
                Missing::new(MissingReason::Denied, "the caller may not use the domain's monitor");
            return Answer::Lost(Duration::ZERO, denied);
        }
        if request.options.contains(StatsOptions::NOWAIT) {
            let busy =
                Missing::new(MissingReason::Busy, "the domain's monitor is not free at once");
            return Answer::Lost(Duration::ZERO, busy);
        }
        match *fault {
            Fault::Slow(needs) if needs <= request.timeout => Answer::After(needs),
            _ => {
                let timeout = Missing::new(
                    MissingReason::Timeout,
                    format!(
                        "the domain's monitor did not answer within {}",
                        humantime::format_duration(request.timeout)
                    ),
                );
                Answer::Lost(request.timeout, timeout)
            }
        }
    }
}

fn slow(value: &str) -> Option<(&str, Fault)> {
    let (name, duration) = value.split_once(':')?;
    Some((name, Fault::Slow(humantime::parse_duration(duration).ok()?)))
}
