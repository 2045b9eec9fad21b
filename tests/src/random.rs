//! A small generator whose seed can be given again (xorshift64*, Vigna 2016).

use std::time::{Duration, SystemTime};

/// Numbers that look random and follow from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Begins with a seed. Seeds beside each other give unlike numbers.
    pub fn new(seed: u64) -> Self {
        // The finaliser of SplitMix64; the state must not be zero.
        let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// Returns a seed that nobody has had: the time.
    pub fn fresh_seed() -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.as_secs() << 20 | u64::from(now.subsec_micros())
    }

    /// Returns a number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit.max(1)
    }

    /// Returns whether something happens that happens so often in a hundred times.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Returns a time between two, in milliseconds.
    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most.saturating_sub(least) + 1))
    }

    /// Returns a time that is spread like the waits between events that do not know of each other.
    #[expect(clippy::cast_precision_loss, reason = "31 bits are exact")]
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let share = (self.below(1 << 30) + 1) as f64 / (1_u64 << 30) as f64;
        mean.mul_f64(-share.ln())
    }
}
