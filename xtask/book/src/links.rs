//! Follows the links of a built book: to its own pages and to places in them. What lies elsewhere on the net is not asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use percent_encoding::percent_decode_str;
use scraper::{Html, Selector};

/// What is known of a page.
struct Page {
    places: BTreeSet<String>,
    links: Vec<String>,
}

/// The links that lead nowhere, each with the page that it stands on.
pub(crate) fn broken(book: &Path) -> Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    collect(book, book, &mut pages)?;
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            if let Some(reason) = reason(book, path, link, &pages) {
                broken.push(format!("{}: {link} {reason}", path.display()));
            }
        }
    }
    Ok(broken)
}

/// Reads all pages, by their paths in the book.
fn collect(book: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.strip_prefix(book).unwrap_or(&path).to_owned();
        // The page for addresses that do not exist links to the site's root, wherever that is.
        if path.is_dir() {
            collect(book, &path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html")
            && name != Path::new("404.html")
        {
            let text =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            pages.insert(name, page(&text)?);
        }
    }
    Ok(())
}

fn page(text: &str) -> Result<Page> {
    let html = Html::parse_document(text);
    let values = |selector: &str, attribute: &str| -> Result<Vec<String>> {
        let selector = Selector::parse(selector).map_err(|error| anyhow::anyhow!("{error}"))?;
        let of = |element: scraper::ElementRef<'_>| element.value().attr(attribute).map(str::to_owned);
        Ok(html.select(&selector).filter_map(of).collect())
    };
    let mut links = values("a[href]", "href")?;
    links.extend(values("img[src]", "src")?);
    let places = values("[id]", "id")?.into_iter().collect();
    Ok(Page { places, links })
}

/// Why a link leads nowhere, if it does.
fn reason(book: &Path, from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Option<String> {
    let elsewhere = ["http://", "https://", "mailto:", "javascript:", "data:"];
    if elsewhere.iter().any(|start| link.starts_with(start)) {
        return None;
    }
    let (path, place) = link.split_once('#').map_or((link, None), |(path, place)| (path, Some(place)));
    let path = percent_decode_str(path.split('?').next().unwrap_or(path)).decode_utf8_lossy().into_owned();
    let target = if path.is_empty() { from.to_owned() } else { joined(from, &path) };
    match (pages.get(&target), place) {
        (None, _) if !book.join(&target).is_file() => Some("is no file of the book".to_owned()),
        (Some(page), Some(place)) if !place.is_empty() => {
            let place = percent_decode_str(place).decode_utf8_lossy().into_owned();
            (!page.places.contains(&place)).then(|| "names no heading of that page".to_owned())
        }
        _ => None,
    }
}

/// A path as seen from a page, without `.` and `..`.
fn joined(from: &Path, path: &str) -> PathBuf {
    let mut joined = PathBuf::new();
    let folder = from.parent().unwrap_or(Path::new(""));
    for component in folder.join(path).components() {
        match component {
            Component::ParentDir => {
                joined.pop();
            }
            Component::Normal(part) => joined.push(part),
            _ => {}
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let book = tempfile::tempdir().unwrap();
        fs::create_dir_all(book.path().join("sub")).unwrap();
        let index = "<h1 id='top'>T</h1><a href='#top'>1</a><a href='sub/page.html#here'>2</a><a href='https://example.org'>3</a>\
            <a href='#nowhere'>4</a><a href='none.html'>5</a><img src='none.png'><a href='sub/page.html#there'>6</a>";
        fs::write(book.path().join("index.html"), index).unwrap();
        let page = "<p id='here'>P</p><a href='../index.html'>1</a><a href='index.html'>2</a>";
        fs::write(book.path().join("sub/page.html"), page).unwrap();
        assert_eq!(
            broken(book.path()).unwrap(),
            [
                "index.html: #nowhere names no heading of that page",
                "index.html: none.html is no file of the book",
                "index.html: sub/page.html#there names no heading of that page",
                "index.html: none.png is no file of the book",
                "sub/page.html: index.html is no file of the book",
            ]
        );
    }
}
