//! How often the same trouble is spoken of.

use std::time::{Duration, Instant};

/// Time between two warnings of the same trouble.
const PAUSE: Duration = Duration::from_secs(600);

/// Lets through the first time, and then at most one a [`PAUSE`].
#[derive(Debug, Default)]
pub(crate) struct Limit {
    spoke: Option<Instant>,
}

impl Limit {
    /// Whether it may be spoken of now; then not again for a while.
    pub(crate) fn may_speak(&mut self) -> bool {
        let now = Instant::now();
        let may = self.spoke.is_none_or(|spoke| now.duration_since(spoke) >= PAUSE);
        if may {
            self.spoke = Some(now);
        }
        may
    }
}
