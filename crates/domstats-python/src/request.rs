//! Requests from Python's arguments.

use std::time::Duration;

use domstats::{DomainFilter, StatsGroups, StatsOptions, StatsRequest};
use pyo3::{
    exceptions::{PyOverflowError, PyValueError},
    prelude::*,
    types::PyInt,
};

/// Returns a time in seconds; `default` if there is none.
pub(crate) fn seconds(timeout: Option<f64>, default: Duration) -> PyResult<Duration> {
    let Some(seconds) = timeout else { return Ok(default) };
    Duration::try_from_secs_f64(seconds).map_err(|error| {
        PyValueError::new_err(format!("timeout {seconds}: it is a number of seconds: {error}"))
    })
}

/// The arguments of `virConnect.stats`.
#[derive(Default)]
pub(crate) struct Arguments<'a, 'py> {
    pub(crate) groups: Option<&'a Bound<'py, PyAny>>,
    pub(crate) filter: Option<&'a Bound<'py, PyAny>>,
    pub(crate) timeout: Option<f64>,
    pub(crate) nowait: bool,
    pub(crate) backing: bool,
    pub(crate) enforce: bool,
}

impl Arguments<'_, '_> {
    pub(crate) fn request(&self) -> PyResult<StatsRequest> {
        let group = |name: &str| StatsGroups::from_name(name).map(|group| group.bits());
        let filter = |name: &str| DomainFilter::from_name(name).map(|filter| filter.bits());
        let mut options = StatsOptions::empty();
        options.set(StatsOptions::NOWAIT, self.nowait);
        options.set(StatsOptions::BACKING, self.backing);
        options.set(StatsOptions::ENFORCE_STATS, self.enforce);
        Ok(StatsRequest::new()
            .groups(StatsGroups::from_bits_retain(mask("group", self.groups, group)?))
            .filter(DomainFilter::from_bits_retain(mask("filter", self.filter, filter)?))
            .options(options)
            .timeout(seconds(self.timeout, StatsRequest::DEFAULT_TIMEOUT)?))
    }
}

/// Returns libvirt's bits. They may come as a negative number, such as `~VIR_DOMAIN_STATS_PERF`.
pub(crate) fn bits(number: &Bound<'_, PyAny>) -> PyResult<u32> {
    let number: i64 = number.extract()?;
    let bits = u32::try_from(number).or_else(|_| i32::try_from(number).map(i32::cast_unsigned));
    bits.map_err(|_| PyOverflowError::new_err(format!("{number} has more than 32 bits")))
}

/// Returns the bits of a mask: a number, a name such as `cpu-total`, or several names.
fn mask(
    what: &str,
    words: Option<&Bound<'_, PyAny>>,
    bit: impl Fn(&str) -> Option<u32>,
) -> PyResult<u32> {
    let named = |word: &str| {
        bit(&word.to_uppercase().replace('-', "_"))
            .ok_or_else(|| PyValueError::new_err(format!("no {what} has the name '{word}'")))
    };
    let Some(words) = words else { return Ok(0) };
    if words.is_instance_of::<PyInt>() {
        return bits(words);
    }
    if let Ok(word) = words.extract::<String>() {
        return named(&word);
    }
    words.try_iter()?.try_fold(0, |bits, word| Ok(bits | named(&word?.extract::<String>()?)?))
}
