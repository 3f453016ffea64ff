//! Pseudorandom numbers from a seed.

/// Xorshift, 64 bits.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Starts a sequence.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Never 0, which xorshift cannot leave; similar seeds give different sequences.
        Self(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }

    /// Returns an index below `count`.
    pub fn index(&mut self, count: u64) -> usize {
        usize::try_from(self.below(count)).unwrap()
    }
}
