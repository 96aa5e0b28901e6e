//! Random moments at which campaigns end runs; `KIWI_CAMPAIGN` says how many, `KIWI_CAMPAIGN_SEED` which.

/// The number that a variable of the environment holds, if it is set.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// Draws numbers below 1.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}

impl Random {
    /// From `KIWI_CAMPAIGN_SEED`.
    #[must_use]
    pub fn new() -> Self {
        Self(number("KIWI_CAMPAIGN_SEED").unwrap_or(1))
    }

    /// The next. The linear congruential generator of Knuth's MMIX: any will do.
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
