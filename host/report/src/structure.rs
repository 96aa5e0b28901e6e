//! What holds of every page, whoever reads it and with what: names, headings, tables, contrast.

use std::collections::{BTreeMap, BTreeSet};

/// The tags of a page outside its scripts and styles, without what is between them.
fn tags(page: &str) -> Vec<&str> {
    let (head, body) = page.split_once("<body>").unwrap();
    assert_eq!(head.matches("<title>").count(), 1);
    let body = &body[..body.find("<script").unwrap()];
    body.split('<').skip(1).map(|tag| tag.split('>').next().unwrap()).collect()
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

/// Checks that identifiers are there once and lead somewhere, headings go down a level at a time, drawings and regions have names,
/// and the cells of a heading say what they head.
#[track_caller]
pub(crate) fn check(page: &str) {
    let tags = tags(page);
    let ids: Vec<_> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
    let unique: BTreeSet<_> = ids.iter().copied().collect();
    assert_eq!(unique.len(), ids.len(), "an identifier is there twice: {ids:?}");
    let mut level = 0;
    for tag in &tags {
        for name in ["aria-labelledby", "aria-describedby"] {
            for id in attribute(tag, name).into_iter().flat_map(str::split_whitespace) {
                assert!(unique.contains(id), "{tag}: nothing is {id}");
            }
        }
        if let Some(id) = attribute(tag, "href").and_then(|href| href.strip_prefix('#')) {
            assert!(unique.contains(id), "{tag}");
        }
        let mut letters = tag.chars();
        if let (Some('h'), Some(next @ '1'..='6')) = (letters.next(), letters.next()) {
            let next = next.to_digit(10).unwrap();
            assert!(next <= level + 1, "{tag} after a heading of level {level}");
            assert!(next > 1 || level == 0, "a second h1");
            level = next;
        }
        let named = attribute(tag, "aria-label").or_else(|| attribute(tag, "aria-labelledby")).is_some();
        if attribute(tag, "role").is_some_and(|role| ["img", "region", "group"].contains(&role)) {
            assert!(named, "{tag} has no name");
        }
        if tag.starts_with("th ") || *tag == "th" {
            assert!(attribute(tag, "scope").is_some(), "{tag}");
        }
        assert_eq!(attribute(tag, "style"), None, "{tag}: what it looks like is the style's");
    }
    assert!(level > 0, "no heading");
}

/// The colours of a style by name: of light pages, and of dark ones.
pub(crate) fn colours(style: &str) -> [BTreeMap<String, f64>; 2] {
    let mut themes = [BTreeMap::new(), BTreeMap::new()];
    let mut theme = Some(0);
    for line in style.lines() {
        match line {
            "@media (prefers-color-scheme: dark) {" => theme = Some(1),
            "@media print {" => theme = None,
            "}" => theme = theme.map(|_| 0),
            _ => {}
        }
        let Some(theme) = theme else { continue };
        for part in line.split(';') {
            let Some((name, value)) = part.trim().split_once(": #") else { continue };
            if let (Some(name), Ok(rgb)) = (name.strip_prefix("--"), u32::from_str_radix(value, 16)) {
                themes[theme].insert(name.to_owned(), luminance(rgb));
            }
        }
    }
    themes
}

/// Relative luminance as WCAG defines it.
fn luminance(rgb: u32) -> f64 {
    let [_, red, green, blue] = rgb.to_be_bytes().map(|channel| {
        let channel = f64::from(channel) / 255.0;
        if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/// Contrast as WCAG defines it.
pub(crate) fn contrast(a: f64, b: f64) -> f64 {
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}
