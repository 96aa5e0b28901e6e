//! What the tests share: the built program and plugins, and the golden cases. The tests themselves are in `tests/tests/`.

pub mod built;
pub mod golden;
