use super::*;
use crate::fixtures::{Fixture, STARTED};

#[test]
fn placeholder() {
    let mut fixture = Fixture::new(&STARTED);
    fixture.logged(10, 3.0).validated(10, 40.0, true).tested().warning("w").rate_lowered(10).finished(20);
    let page = render(&[fixture.run("a")]);
    assert!(page.starts_with(BEGINNING));
}
