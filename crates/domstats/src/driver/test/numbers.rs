//! Simulated numbers: pure functions of a seed, a field's name and the time.

use std::{ops::RangeInclusive, time::Duration};

/// The numbers of one domain, or of one of its devices, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    seed: u64,
    lived: Duration,
}

impl Numbers {
    /// Returns the numbers of a seed after this uptime.
    pub(super) fn new(seed: u64, lived: Duration) -> Self {
        Self { seed, lived }
    }

    /// Returns the numbers of a part, such as disk 1, which differ from those of disk 0.
    pub(super) fn part(self, name: &str, index: u32) -> Self {
        Self { seed: mix(self.draw(name) ^ u64::from(index)), ..self }
    }

    /// Returns a constant.
    pub(super) fn setting(self, field: &str, range: RangeInclusive<u64>) -> u64 {
        within(self.draw(field), range)
    }

    /// Returns a number that rises and falls, with a new value every ten seconds.
    pub(super) fn gauge(self, field: &str, range: RangeInclusive<u64>) -> u64 {
        within(mix(self.draw(field) ^ (self.lived.as_secs() / 10)), range)
    }

    /// Returns a number that grows steadily, by this much per second.
    pub(super) fn counter(self, field: &str, per_second: RangeInclusive<u64>) -> u64 {
        self.grown(self.setting(field, per_second), Duration::from_secs(1))
    }

    /// Returns a number that grows occasionally, by this much per day.
    pub(super) fn rare(self, field: &str, per_day: RangeInclusive<u64>) -> u64 {
        self.grown(self.setting(field, per_day), Duration::from_secs(86_400))
    }

    /// Returns how long the domain has run, in whole seconds.
    pub(super) fn seconds(self) -> u64 {
        self.lived.as_secs()
    }

    fn grown(self, rate: u64, per: Duration) -> u64 {
        let grown = u128::from(rate) * self.lived.as_nanos() / per.as_nanos();
        u64::try_from(grown).unwrap_or(u64::MAX)
    }

    /// FNV-1a over the name, which is short, then a thorough mix.
    fn draw(self, name: &str) -> u64 {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        mix(self.seed ^ hash)
    }
}

/// Spreads a seed over all bits: the last step of the generator SplitMix64.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn within(draw: u64, range: RangeInclusive<u64>) -> u64 {
    let (low, high) = range.into_inner();
    low + draw % (high - low + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Numbers {
        Numbers::new(7, Duration::from_secs(seconds))
    }

    #[test]
    fn counters_grow_and_settings_stay() {
        assert_eq!(after(0).counter("a", 3..=9), 0);
        let rate = after(1).counter("a", 3..=9);
        assert!((3..=9).contains(&rate));
        assert_eq!(after(1_000).counter("a", 3..=9), 1_000 * rate);
        assert_eq!(after(86_400).rare("a", 5..=5), 5);
        assert_eq!(after(1).setting("a", 0..=99), after(9).setting("a", 0..=99));
    }

    #[test]
    fn gauges_stay_in_range_and_move() {
        let seen: std::collections::BTreeSet<_> =
            (0..100).map(|t| after(10 * t).gauge("a", 5..=7)).collect();
        assert_eq!(seen, [5, 6, 7].into());
    }

    #[test]
    fn fields_and_parts_differ() {
        let wide = 0..=u64::MAX / 2;
        let draws = [
            after(0).setting("a", wide.clone()),
            after(0).setting("b", wide.clone()),
            after(0).part("disk", 0).setting("a", wide.clone()),
            after(0).part("disk", 1).setting("a", wide.clone()),
            Numbers::new(8, Duration::ZERO).setting("a", wide),
        ];
        let distinct: std::collections::BTreeSet<_> = draws.into();
        assert_eq!(distinct.len(), draws.len());
    }
}
