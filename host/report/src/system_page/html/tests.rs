use kiwi_core::saved_system::Dtype;
use serde_json::{Value, json};

use super::*;
use crate::structure::{check, colours, contrast};
use crate::system_page::fixtures::{Tensor, header, line, reading, report, vocabulary};

fn files() -> CorpusFiles {
    CorpusFiles { source: "test.src".into(), target: "test.tgt".into(), post_edit: None }
}

/// The page, checked for what holds of each.
fn page(report: &SystemReport, corpus: Option<(&CorpusFiles, &Reading)>) -> String {
    let page = render(report, corpus);
    assert_eq!(page, render(report, corpus), "the same system gave other bytes");
    assert!(page.starts_with(BEGINNING) && page.ends_with("</html>\n"));
    // Two scripts, ours.
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for part in ["http:", "https:", "src=", "@import", "url(", "<link", "<img", "<iframe", "fetch("] {
        assert!(!outside.contains(part), "{part}");
    }
    assert!(page.contains("default-src 'none'"));
    let (_, rest) = page.split_once("id=\"vocabulary\">").unwrap();
    serde_json::from_str::<Value>(rest.split_once("</script>").unwrap().0).unwrap();
    check(&page);
    page
}

/// What a reader sees, in one line, elements as spaces.
fn words(page: &str) -> String {
    let body = &page[page.find("<body>").unwrap()..page.find("<script").unwrap()];
    let mut out = String::new();
    let mut within = false;
    for c in body.chars() {
        match c {
            '<' => within = true,
            '>' => (within, _) = (false, out.push(' ')),
            c if !within => out.push(c),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn has(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
}

fn tensors() -> [Tensor; 3] {
    [
        Tensor::f32(
            "encoder.embeddings.target.weight",
            &[8, 2],
            &[0.0, 0.0, 0.1, 0.0, 0.0, 0.1, 0.1, 0.0, 0.0, 0.1, 0.0, 0.1, 30.0, 40.0, 0.1, 0.0],
        ),
        Tensor::f32("encoder.scale", &[], &[2.0]),
        Tensor::f32("head.bias", &[3], &[1.0, f32::NAN, -1.0]),
    ]
}

#[test]
fn what_the_file_holds_is_on_the_page() {
    let (_folder, report) = report(&header(), &tensors());
    let page = page(&report, None);
    let words = words(&page);
    for part in [
        "toy.safetensors A saved system of kiwi-host: Predictor , 20 parameters",
        "encoder PredictorEncoder plugin-of-PredictorEncoder 0.1.0 17 ab12ab12",
        "Options of the encoder (3)",
        "embeddings.source.dim 2",
        "hidden_size 4",
        "other {}",
        "Training (1)",
        "8 entries: 3 words and the special tokens &lt;unk&gt;",
        "1 entries of the target (33.33 %) are in the source's vocabulary too",
        "There are numbers that are not finite",
        "encoder.embeddings.target 16 80.00 %",
        "head.bias : 1 not finite",
        "1 of 8 rows are zero; row 6 (katuta) is 500 times as long as the middle one",
        "8 × 2 F32 64 B 4.4125",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    for part in ["On this corpus", "Sentences", "kiwi-host evaluate"] {
        assert!(!words.contains(part), "{part:?} in {words}");
    }
}

#[test]
fn sentences_have_their_words_with_figures() {
    let header = header();
    let (_folder, report) = report(&header, &tensors());
    let lines = [
        line(1, "the cat .", "la katuta .", &[Some(0.1), Some(9.25), Some(2.5)]),
        line(2, "the dog .", "la zebruta <eos>", &[Some(f64::NAN), Some(0.7), None]),
        r#"{"pairs": 2, "loss": 6.5, "metrics": {"target_PERP": 12.5, "none": null}}"#.to_owned(),
    ];
    let reading = reading(&header, 10, &lines);
    let page = page(&report, Some((&files(), &reading)));
    has(
        &page,
        &[
            "<span class=\"n0\" title=\"0.100 nats, 90 %\">la</span>",
            "<span class=\"n7\" title=\"9.250 nats, 1 in 10,405\">katuta</span>",
            "<span class=\"n4\" title=\"2.500 nats, 8.21 %\">.</span>",
            "<span class=\"n7\" title=\"NaN nats\">la</span>",
            "<span class=\"n2 u\" title=\"0.700 nats, 50 %; not in the vocabulary\">zebruta</span>",
            "<span title=\"spelled like a special token: not counted\">&lt;eos&gt;</span>",
            "<span class=\"u\" title=\"not in the vocabulary\">dog</span>",
            "data-sort=\"number\" aria-sort=\"descending\">Surprise, nats</th>",
            "<p class=\"target\" dir=\"auto\">",
        ],
    );
    assert!(page.find(">zebruta<").unwrap() < page.find(">katuta<").unwrap(), "NaN comes first");
    let words = words(&page);
    for part in [
        "Source test.src , target test.tgt .",
        "Pairs 2",
        "Target perplexity NaN",
        "Target words 6 1 not in the vocabulary (16.67 %)",
        "loss mean over the batches 6.5 none nothing to say target_PERP 12.5",
        "All 2 pairs that have a word to predict.",
        "1 sentences are not in the chart: their surprise is not finite.",
        "not in the vocabulary 1",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

#[test]
fn texts_are_texts_and_nothing_else() {
    let evil = "</script><b/onclick=x>\"'&<!--";
    let mut header = header();
    header.class_name = evil.to_owned();
    header.encoder.class_name = evil.to_owned();
    header.encoder.plugin.version = evil.to_owned();
    header.encoder.config = json!({evil: evil});
    header.head.extra = Some(json!(evil));
    header.training = Some(json!(evil));
    header.source_vocabulary = vocabulary(&[evil]);
    header.target_vocabulary = vocabulary(&[evil, "שלום", "\u{202e}evil"]);
    let (_folder, report) = report(&header, &[Tensor::f32("</script><b>.x", &[1], &[1.0])]);
    let text = format!("{evil} שלום \u{202e}evil <script>alert(1)</script>");
    let lines = [
        line(1, &text, &text, &[Some(1.0); 4]),
        format!(r#"{{"pairs": 1, "loss": 1, "metrics": {{{}: 1}}}}"#, json!(evil)),
    ];
    let reading = reading(&header, 3, &lines);
    let files = CorpusFiles { source: evil.into(), target: evil.into(), post_edit: Some(evil.into()) };
    let page = page(&report, Some((&files, &reading)));
    assert!(!page.contains("<b/") && !page.contains("<b>") && !page.contains("<script>alert"));
    has(&page, &["&lt;script&gt;alert(1)&lt;/script&gt;", "שלום", "<bdi>\u{202e}evil</bdi>"]);
}

#[test]
fn a_page_does_not_grow_with_the_corpus() {
    let header = header();
    let (_folder, report) = report(&header, &[]);
    let size = |pairs: u64| {
        let lines: Vec<_> = (1..=pairs)
            .map(|pair| line(pair, "the cat", "la katuta", &[Some(pair as f64 / 700.0); 2]))
            .collect();
        page(&report, Some((&files(), &reading(&header, 20, &lines)))).len()
    };
    let (some, many) = (size(500), size(5000));
    assert!(many < some + some / 10, "{some} bytes of 500 pairs, {many} of 5000");
}

#[test]
fn a_corpus_without_a_word_and_a_system_without_a_tensor_have_their_page() {
    let mut header = header();
    header.target_vocabulary = header.source_vocabulary.clone();
    let (_folder, report) = report(&header, &[]);
    let reading = reading(&header, 3, &[line(1, "the", "", &[])]);
    let words = words(&page(&report, Some((&files(), &reading))));
    for part in
        ["Target perplexity none", "No pair has a word to predict.", "Both sides 8 entries", "0 tensors"]
    {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

#[test]
fn post_edits_stand_below_their_target() {
    let header = header();
    let (_folder, report) = report(&header, &[]);
    let mut pair: Value = serde_json::from_str(&line(1, "the", "la", &[Some(1.0)])).unwrap();
    pair["pe"] = json!({"words": ["katuta", "nova"], "word_nll": [3.5, 0.5], "nll": 4.0, "perplexity": 7.4});
    let reading = reading(&header, 3, &[pair.to_string()]);
    let page = page(&report, Some((&files(), &reading)));
    has(&page, &["post-edit: ", "title=\"3.500 nats, 3.02 %\">katuta"]);
    has(
        &words(&page),
        &["Post-edits mean surprise 2.000 nats", "Post-edits words 2 1 not in the vocabulary"],
    );
}

#[test]
fn numbers_of_every_type_are_read() {
    let tensor = |name, dtype, bytes: &[u8]| Tensor { name, dtype, shape: vec![2], bytes: bytes.to_vec() };
    let mut wide = 0.5_f64.to_le_bytes().to_vec();
    wide.extend((-1.5_f64).to_le_bytes());
    let (_folder, report) = report(
        &header(),
        &[
            tensor("a", Dtype::F16, &[0x00, 0x38, 0x00, 0xbe]),
            tensor("b", Dtype::BF16, &[0x00, 0x3f, 0xc0, 0xbf]),
            tensor("c", Dtype::F64, &wide),
            tensor("d", Dtype::I8, &[3, 0xfb]),
            tensor("e", Dtype::F8_E4M3, &[1, 2]),
        ],
    );
    let of = |place: usize| {
        let finite = report.tensors[place].values.as_ref()?.finite?;
        Some((finite.mean.0, finite.std.0, finite.min.0, finite.max.0))
    };
    for place in 0..3 {
        assert_eq!(of(place), Some((-0.5, 1.0, -1.5, 0.5)), "{}", report.tensors[place].dtype);
    }
    assert_eq!(of(3), Some((-1.0, 4.0, -5.0, 3.0)));
    assert_eq!(report.tensors[4].values, None);
    page(&report, None);
}

#[test]
fn colours_of_words_are_ordered_and_can_be_read_on() {
    for (theme, colours) in colours(SYSTEM_STYLE).into_iter().enumerate() {
        let of = |name: &str, place: usize| colours[&format!("{name}{place}")];
        let lightness: Vec<_> = (0..=sentences::BOUNDS.len()).map(|place| of("n", place)).collect();
        // From the page's own brightness away, each step to be seen.
        for (place, pair) in lightness.windows(2).enumerate() {
            let step = contrast(pair[0], pair[1]);
            let away = if theme == 0 { pair[1] < pair[0] } else { pair[1] > pair[0] };
            assert!(away && step >= 1.1, "theme {theme}, {place}: {step}");
        }
        for place in 0..=sentences::BOUNDS.len() {
            let readable = contrast(of("n", place), of("t", place));
            assert!(readable >= 4.5, "theme {theme}, {place}: {readable}");
        }
    }
    for colours in colours(STYLE) {
        for text in ["text", "faint", "link", "good", "bad", "warn"] {
            for ground in ["page", "raised"] {
                let readable = contrast(colours[text], colours[ground]);
                assert!(readable >= 4.5, "{text} on {ground}: {readable}");
            }
        }
    }
}

#[test]
fn the_data_say_what_the_page_says() {
    let header = header();
    let (_folder, report) = report(&header, &tensors());
    let lines = [line(1, "the cat", "la zebruta", &[Some(1.0), Some(3.0)])];
    let reading = reading(&header, 3, &lines);
    let json: Value = serde_json::from_str(&report.json(Some((&files(), &reading)))).unwrap();
    assert_eq!((&json["format"], &json["system"]["parameters"]), (&json!(1), &json!(20)));
    assert_eq!(json["system"]["tensors"][2]["values"]["not_finite"], 1);
    assert_eq!(json["corpus"]["target"]["surprise"], 2.0);
    assert_eq!(json["corpus"]["target"]["perplexity"], json!(2_f64.exp()));
    assert_eq!(json["corpus"]["by_frequency"][1]["name"], "not in the vocabulary");
    assert_eq!(
        json["corpus"]["most_costly_words"][0],
        json!({"word": "<unk>", "rank": null, "count": 1, "surprise": 3.0, "nll": 3.0})
    );
    assert_eq!(json["corpus"]["sentences"][0]["surprise"], 2.0);
    let without: Value = serde_json::from_str(&report.json(None)).unwrap();
    assert_eq!(without["corpus"], Value::Null);
}
