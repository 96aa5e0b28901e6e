//! Fewer points that look the same.

use super::Point;

/// At most about `most` of the points: of each stretch the lowest, the highest and the first that is not finite, and of all the
/// first and the last. Few points are left as they are.
pub(crate) fn thin(points: &[Point], most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points.to_vec();
    }
    // Up to three points of each stretch remain.
    let stretches = (most / 3).max(1);
    let mut thinned = Vec::with_capacity(most + 2);
    for stretch in 0..stretches {
        let (begin, end) = (points.len() * stretch / stretches, points.len() * (stretch + 1) / stretches);
        let places = begin..end;
        let finite = || places.clone().filter(|place| points[*place].value.is_finite());
        let lowest = finite().min_by(|a, b| points[*a].value.total_cmp(&points[*b].value));
        let highest = finite().max_by(|a, b| points[*a].value.total_cmp(&points[*b].value));
        let odd = places.clone().find(|place| !points[*place].value.is_finite());
        let first = (begin == 0).then_some(0);
        let last = (end == points.len()).then_some(end - 1);
        let mut kept: Vec<_> = [first, lowest, highest, odd, last].into_iter().flatten().collect();
        kept.sort_unstable();
        kept.dedup();
        thinned.extend(kept.into_iter().map(|place| points[place]));
    }
    thinned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(values: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let values = values.into_iter().zip(1..);
        values.map(|(value, step)| Point { step, seconds: step as f64, value }).collect()
    }

    #[test]
    fn a_single_peak_of_many_points_is_kept() {
        let mut long = points((0..100_000).map(|step| f64::from(step % 7)));
        long[54_321].value = 1e6;
        long[77_777].value = f64::NAN;
        let thinned = thin(&long, 600);
        assert!(thinned.len() <= 602, "{}", thinned.len());
        assert!(thinned.contains(&long[54_321]));
        assert!(thinned.iter().any(|point| point.step == 77_778 && point.value.is_nan()));
        assert_eq!((thinned[0], thinned[thinned.len() - 1]), (long[0], long[99_999]));
    }

    proptest! {
        #[test]
        fn order_ends_and_extremes_are_kept(values in proptest::collection::vec(any::<f64>(), 0..400), most in 0_usize..80) {
            let all = points(values);
            let thinned = thin(&all, most);
            prop_assert!(thinned.len() <= most.max(3) + 2 || thinned.len() == all.len());
            prop_assert!(thinned.windows(2).all(|pair| pair[0].step < pair[1].step));
            let finite = |points: &[Point]| {
                let values = points.iter().map(|point| point.value).filter(|value| value.is_finite());
                (values.clone().reduce(f64::min), values.reduce(f64::max))
            };
            prop_assert_eq!(finite(&all), finite(&thinned));
            let odd = |points: &[Point]| points.iter().any(|point| !point.value.is_finite());
            prop_assert_eq!(odd(&all), odd(&thinned));
            prop_assert_eq!(all.first().map(|point| point.step), thinned.first().map(|point| point.step));
            prop_assert_eq!(all.last().map(|point| point.step), thinned.last().map(|point| point.step));
        }
    }
}
