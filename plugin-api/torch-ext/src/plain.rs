//! Plain operations instead of fused ones, to compare the two.

use std::sync::OnceLock;

/// Whether the environment asks for libtorch's own operations where there are fused ones: `KIWI_OPERATIONS=plain`. Read once a
/// process. Both compute the same; the fused ones are faster.
#[must_use]
pub fn plain_operations() -> bool {
    static ASKED: OnceLock<bool> = OnceLock::new();
    *ASKED.get_or_init(|| std::env::var_os("KIWI_OPERATIONS").is_some_and(|value| value == "plain"))
}
