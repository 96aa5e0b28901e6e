//! Factors of dropout: how many are zero, and what they depend on.

use kiwi_torch_ext::dropout_factors;
use tch::{Device, Kind, Tensor};

fn rows(count: i64) -> Tensor {
    Tensor::arange(count, (Kind::Int64, Device::Cpu))
}

#[test]
fn as_many_are_zero_as_asked_for_and_the_mean_is_one() {
    tch::manual_seed(1);
    for probability in [0.0, 0.1, 0.5, 0.9] {
        let (count, width) = (500, 401);
        let factors = dropout_factors(&rows(count), width, probability, Kind::Float).unwrap();
        let numbers = f64::from((count * width) as i32);
        let zeros = factors.eq(0.0).sum(Kind::Int64).int64_value(&[]) as f64 / numbers;
        // Six standard deviations.
        let scatter = 6.0 * (probability * (1.0 - probability) / numbers).sqrt();
        assert!((zeros - probability).abs() <= scatter, "{probability}: {zeros}");
        let others = factors.masked_select(&factors.ne(0.0));
        let kept = (1.0 / (1.0 - probability)) as f32;
        assert!(others.eq(f64::from(kept)).all().int64_value(&[]) == 1, "{probability}");
        // No column and no row is special.
        for dimension in [0, 1] {
            let means =
                factors.eq(0.0).to_kind(Kind::Double).mean_dim([dimension].as_slice(), false, Kind::Double);
            let each = if dimension == 0 { count } else { width } as f64;
            let limit = 6.0 * (probability * (1.0 - probability) / each).sqrt();
            assert!(
                (means - probability).abs().max().double_value(&[]) <= limit,
                "{probability}, {dimension}"
            );
        }
    }
}

#[test]
fn a_row_has_its_factors_wherever_it_stands_and_whoever_computes_it() {
    let drawn = |rows: &Tensor, threads: i32| {
        tch::set_num_threads(threads);
        tch::manual_seed(7);
        dropout_factors(rows, 300, 0.5, Kind::Float).unwrap()
    };
    let all = drawn(&rows(400), 1);
    assert_eq!(all, drawn(&rows(400), 3));
    let some = Tensor::from_slice(&[399i64, 0, 17]);
    assert_eq!(drawn(&some, 2), all.index_select(0, &some));
    tch::manual_seed(8);
    assert_ne!(all, dropout_factors(&rows(400), 300, 0.5, Kind::Float).unwrap());
    // The next draw is another.
    assert_ne!(
        dropout_factors(&rows(4), 300, 0.5, Kind::Double).unwrap(),
        dropout_factors(&rows(4), 300, 0.5, Kind::Double).unwrap()
    );
}

#[test]
fn nonsense_is_told() {
    let refused = |rows: &Tensor, probability, kind| {
        dropout_factors(rows, 3, probability, kind).unwrap_err().to_string()
    };
    assert!(refused(&rows(2), 1.0, Kind::Float).contains("probability 1"));
    assert!(refused(&rows(2), 0.5, Kind::Half).contains("expected Float or Double"));
    assert!(refused(&rows(2).to_kind(Kind::Int), 0.5, Kind::Float).contains("expected [N] of Long"));
}
