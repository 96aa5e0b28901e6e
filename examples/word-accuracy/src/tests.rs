use super::*;

/// The metric's sum over these batches: for each the width, and the sentences as whether each word is predicted right.
fn value(batches: &[(i64, Vec<Vec<bool>>)]) -> Option<f64> {
    let mut total = [0.0; 2];
    for (width, sentences) in batches {
        let (mut positions, mut correct) = (Vec::new(), Vec::new());
        for (row, words) in sentences.iter().enumerate() {
            positions.extend((1..=words.len() as i64).map(|position| row as i64 * width + position));
            correct.extend(words);
        }
        add(&mut total, &positions, &correct);
    }
    WordAccuracy.value(&total)
}

fn add(total: &mut [f64; 2], positions: &[i64], correct: &[bool]) {
    let tensors = vec![
        (Output::POSITIONS.to_owned(), Tensor::from_slice(positions)),
        (Output::CORRECT.to_owned(), Tensor::from_slice(correct)),
    ];
    let contribution = WordAccuracy.contribution(&Output::new("target", tensors)).unwrap();
    assert_eq!((contribution.kind(), contribution.size()), (Kind::Double, vec![2]));
    for (sum, more) in total.iter_mut().zip(Vec::<f64>::try_from(contribution).unwrap()) {
        *sum += more;
    }
}

const SENTENCES: [&[bool]; 4] =
    [&[true, false, false, false], &[true], &[false, true], &[true, true, true, true, false]];

#[test]
fn each_sentence_weighs_the_same() {
    let sentences: Vec<Vec<bool>> = SENTENCES.iter().map(|words| words.to_vec()).collect();
    let expected = (0.25 + 1.0 + 0.5 + 0.8) / 4.0;
    let found = value(&[(7, sentences)]).unwrap();
    assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
}

#[test]
fn batches_and_their_padding_change_nothing() {
    let sentences: Vec<Vec<bool>> = SENTENCES.iter().map(|words| words.to_vec()).collect();
    let whole = value(&[(7, sentences.clone())]);
    assert_eq!(whole, value(&[(30, sentences.clone())]));
    let alone: Vec<_> = sentences.iter().map(|words| (words.len() as i64 + 2, vec![words.clone()])).collect();
    assert_eq!(whole, value(&alone));
}

#[test]
fn sentences_without_words_do_not_weigh() {
    let batch = vec![vec![], vec![true, false], vec![], vec![], vec![true, true], vec![]];
    assert_eq!(value(&[(4, batch)]), Some(0.75));
    assert_eq!(value(&[(2, vec![vec![], vec![]])]), None);
    assert_eq!(value(&[]), None);
}

#[test]
fn a_word_that_is_not_counted_does_not_end_a_sentence() {
    let mut total = [0.0; 2];
    // The word at 3 is spelled like a special token.
    add(&mut total, &[1, 2, 4, 5], &[true, false, false, false]);
    assert_eq!(total, [0.25, 1.0]);
}

#[test]
fn an_output_that_lacks_a_tensor_is_refused() {
    let output = Output::new("target", vec![(Output::POSITIONS.to_owned(), Tensor::from_slice(&[1_i64]))]);
    let error = WordAccuracy.contribution(&output).unwrap_err().to_string();
    assert_eq!(error, "output `target` has no tensor `correct`, only positions");
}
