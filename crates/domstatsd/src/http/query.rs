//! The parameters of a URL: `?stats=cpu,block&state=running&timeout=500ms`.

use std::time::Duration;

use domstats::{DomainFilter, Format, StatsGroups, StatsOptions, stats::GROUPS};

use crate::hypervisors::StatsQuery;

/// The query of a client. The configuration decides what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query {
    pub(crate) groups: StatsGroups,
    pub(crate) filter: DomainFilter,
    pub(crate) options: StatsOptions,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) format: Option<Format>,
}

/// The states that a query can filter by.
const STATES: [(&str, DomainFilter); 8] = [
    ("active", DomainFilter::ACTIVE),
    ("inactive", DomainFilter::INACTIVE),
    ("persistent", DomainFilter::PERSISTENT),
    ("transient", DomainFilter::TRANSIENT),
    ("running", DomainFilter::RUNNING),
    ("paused", DomainFilter::PAUSED),
    ("shutoff", DomainFilter::SHUTOFF),
    ("other", DomainFilter::OTHER),
];

/// The flags of libvirt's call that apply here.
const OPTIONS: [(&str, StatsOptions); 2] =
    [("nowait", StatsOptions::NOWAIT), ("backing", StatsOptions::BACKING)];

impl Query {
    /// The longest timeout of a query.
    pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(60);

    /// Returns the statistics that it asks for, within the configured timeout.
    pub(crate) fn stats(&self) -> StatsQuery {
        let Self { groups, filter, options, .. } = *self;
        StatsQuery { filter, options, ..StatsQuery::new(groups) }
    }

    /// Reads a query string. `formats` are those on offer.
    ///
    /// # Errors
    ///
    /// A sentence about the parameter that is wrong.
    pub(crate) fn parse(text: &str, formats: &[Format]) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let value = value.as_ref();
            match name.as_ref() {
                "stats" => query.groups |= union(value, "group", group, &groups())?,
                "state" => query.filter |= union(value, "state", of(&STATES), &names(&STATES))?,
                "options" => {
                    query.options |= union(value, "option", of(&OPTIONS), &names(&OPTIONS))?;
                }
                "timeout" => query.timeout = Some(timeout(value)?),
                "max_age" => query.max_age = Some(duration("max_age", value)?),
                "format" => query.format = Some(format(value, formats)?),
                other => {
                    return Err(format!(
                        "there is no parameter '{}': use stats, state, options, timeout, max_age \
                         or format",
                        shown(other)
                    ));
                }
            }
        }
        Ok(query)
    }
}

/// Returns the union of the sets that a list names.
fn union<T: Default + std::ops::BitOr<Output = T>>(
    list: &str,
    what: &str,
    of: impl Fn(&str) -> Option<T>,
    known: &str,
) -> Result<T, String> {
    let mut all = T::default();
    for word in list.split(',').filter(|word| !word.is_empty()) {
        let unknown = || format!("there is no {what} '{}': use {known}", shown(word));
        all = all | of(word).ok_or_else(unknown)?;
    }
    Ok(all)
}

fn of<T: Copy>(table: &[(&str, T)]) -> impl Fn(&str) -> Option<T> {
    |word| table.iter().find(|(name, _)| *name == word).map(|(_, value)| *value)
}

fn names<T>(table: &[(&str, T)]) -> String {
    table.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Returns a group by the command's name for it, or the RFC's `cpu`.
fn group(word: &str) -> Option<StatsGroups> {
    if word == "cpu" {
        return Some(StatsGroups::CPU);
    }
    GROUPS.iter().find(|group| group.name == word).map(|group| group.bit)
}

fn groups() -> String {
    let names: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
    format!("cpu, {}", names.join(", "))
}

fn timeout(value: &str) -> Result<Duration, String> {
    let timeout = duration("timeout", value)?;
    if timeout.is_zero() || timeout > Query::MAX_TIMEOUT {
        return Err(format!("timeout is '{}': use more than 0 and at most 60s", shown(value)));
    }
    Ok(timeout)
}

fn duration(name: &str, value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value).map_err(|error| {
        format!("{name} is '{}', which is no duration such as 500ms or 2s: {error}", shown(value))
    })
}

fn format(value: &str, formats: &[Format]) -> Result<Format, String> {
    formats.iter().copied().find(|format| format.name() == value).ok_or_else(|| {
        let names: Vec<&str> = formats.iter().map(|format| format.name()).collect();
        format!("there is no format '{}' here: use {}", shown(value), names.join(" or "))
    })
}

/// Returns as much of a client's word as an error repeats.
fn shown(word: &str) -> String {
    word.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTS: [Format; 2] = [Format::Json, Format::Xml];

    #[test]
    fn every_parameter_is_read() {
        let text = "stats=cpu,block&stats=state&state=running,paused&timeout=500ms&max_age=5s\
                    &format=xml&options=backing";
        let query = Query::parse(text, &DOCUMENTS).unwrap();
        assert_eq!(query.groups, StatsGroups::CPU | StatsGroups::BLOCK | StatsGroups::STATE);
        assert_eq!(query.filter, DomainFilter::RUNNING | DomainFilter::PAUSED);
        assert_eq!(query.options, StatsOptions::BACKING);
        assert_eq!(query.timeout, Some(Duration::from_millis(500)));
        assert_eq!(query.max_age, Some(Duration::from_secs(5)));
        assert_eq!(query.format, Some(Format::Xml));
        assert_eq!(Query::parse("", &DOCUMENTS), Ok(Query::default()));
        assert_eq!(Query::parse("stats=&&", &DOCUMENTS), Ok(Query::default()));
        let escaped = Query::parse("st%61te=run%6eing", &DOCUMENTS).unwrap();
        assert_eq!(escaped.filter, DomainFilter::RUNNING);
    }

    #[test]
    fn errors_name_the_parameter_and_the_choices() {
        for (text, sentence) in [
            ("stat=cpu", "there is no parameter 'stat': use stats, state,"),
            ("stats=cpu,disk", "there is no group 'disk': use cpu, state, cpu-total,"),
            ("state=up", "there is no state 'up': use active,"),
            ("options=fast", "there is no option 'fast': use nowait, backing"),
            ("timeout=soon", "timeout is 'soon', which is no duration such as 500ms"),
            ("timeout=0s", "timeout is '0s': use more than 0"),
            ("timeout=2h", "timeout is '2h': use more than 0 and at most 60s"),
            ("format=yaml", "there is no format 'yaml' here: use json or xml"),
        ] {
            let error = Query::parse(text, &DOCUMENTS).unwrap_err();
            assert!(error.starts_with(sentence), "{error}");
        }
        let long = Query::parse(&format!("stats={}", "x".repeat(100_000)), &DOCUMENTS);
        assert!(long.unwrap_err().len() < 400);
    }
}
