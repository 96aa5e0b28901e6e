//! A config with the files that its `defaults:` names, put together as Hydra up to 1.0 does: first the file itself, then each
//! file of the list over it, unless `_self_` says where the file itself comes.
//!
//! `- GROUP: NAME` is the file `GROUP/NAME.yaml` beside the config, `- NAME` is `NAME.yaml`. Where the content of a group's file
//! belongs its first comment says (`# @package _global_`, `_group_` or a path); without one it belongs where it has the group's
//! own name or a section's, and else under the group.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kiwi_core::diagnostic::{Diagnostic, nearest};
use kiwi_core::error_code::Code;

use super::error::{Error, Problem};
use super::node::{Content, Entry, Node, Place, Sources};
use super::yaml;

/// More than any config has; a corpus given by mistake is not read to its end.
const LARGEST: u64 = 1 << 20;

/// The sections of a config.
pub(super) const SECTIONS: [&str; 7] = ["run", "trainer", "data", "system", "debug", "verbose", "quiet"];

/// Reads a config and the files that it names.
///
/// # Errors
/// A file is missing or no YAML, or an entry of `defaults` is one that is not read.
pub(super) fn compose(
    file: &Path,
    sources: &mut Sources,
    changes: &mut Vec<Diagnostic>,
) -> Result<Node, Error> {
    let (mut own, _) = read(file, None, sources)?;
    let place = own.place;
    let Some(list) = own.remove("defaults") else { return Ok(own) };
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut own = Some(own);
    let mut layers = Vec::new();
    for item in defaults(&list)? {
        match item {
            Default::Own => layers.extend(own.take()),
            Default::File { group, name, place } => layers.push(layer(folder, group, name, place, sources)?),
        }
    }
    // Without `_self_` the file itself comes first.
    layers.splice(0..0, own);
    let mut merged = Node { place, content: Content::Map(Vec::new()) };
    for layer in layers {
        merge(&mut merged, layer, "", sources, changes);
    }
    Ok(merged)
}

/// What an entry of `defaults` stands for.
enum Default<'a> {
    Own,
    File { group: Option<&'a str>, name: &'a str, place: Place },
}

fn defaults(list: &Entry) -> Result<Vec<Default<'_>>, Error> {
    let unread = |place: Place, why: &str| Error::at(place, Problem::Defaults { why: why.to_owned() });
    let items = match &list.value.content {
        Content::List(items) => items,
        Content::Null => return Ok(Vec::new()),
        _ => return Err(unread(list.place, "the whole is no list")),
    };
    let mut read = Vec::new();
    for item in items {
        let place = item.place;
        match &item.content {
            Content::Text(name) if name == "_self_" => read.push(Default::Own),
            Content::Text(name) => read.push(Default::File { group: None, name, place }),
            Content::Map(entries) => match entries.as_slice() {
                [Entry { key, .. }]
                    if key.starts_with("override ") || key.starts_with("optional ") || key.contains('@') =>
                {
                    return Err(unread(place, &format!("`{key}` is of a newer Hydra")));
                }
                // Hydra leaves such a group out.
                [Entry { value: Node { content: Content::Null, .. }, .. }] => {}
                [Entry { key, value: Node { content: Content::Text(name), .. }, .. }] => {
                    read.push(Default::File { group: Some(key), name, place });
                }
                _ => return Err(unread(place, "it is not one group with one name")),
            },
            _ => return Err(unread(place, "it is neither a name nor a group with a name")),
        }
    }
    Ok(read)
}

/// The content of a file of `defaults`, where it belongs.
fn layer(
    folder: &Path,
    group: Option<&str>,
    name: &str,
    place: Place,
    sources: &mut Sources,
) -> Result<Node, Error> {
    let mut path = folder.to_owned();
    path.extend(group);
    path.push(if name.ends_with(".yaml") || name.ends_with(".yml") {
        name.to_owned()
    } else {
        format!("{name}.yaml")
    });
    let (node, package) = read(&path, Some(place), sources)?;
    if let Some(list) = node.entry("defaults") {
        let why = "the file that it names has `defaults` too".to_owned();
        return Err(Error::at(list.place, Problem::Defaults { why }));
    }
    let under = match (package.as_deref(), group) {
        (Some("_global_"), _) | (None, None) => String::new(),
        (Some("_group_") | None, Some(group)) => {
            let group = group.replace('/', ".");
            let first = group.split('.').next().unwrap_or_default();
            let belongs = |entry: &Entry| entry.key == first || SECTIONS.contains(&entry.key.as_str());
            if package.is_none() && node.entries().iter().any(belongs) { String::new() } else { group }
        }
        (Some("_group_"), None) => String::new(),
        (Some(package), _) => package.to_owned(),
    };
    let keys = under.rsplit('.').filter(|key| !key.is_empty());
    Ok(keys.fold(node, |node, key| {
        let place = node.place;
        Node { place, content: Content::Map(vec![Entry { key: key.to_owned(), place, value: node }]) }
    }))
}

/// Lays `over` upon `under`: mappings are merged key by key, all else is replaced.
fn merge(under: &mut Node, over: Node, path: &str, sources: &Sources, changes: &mut Vec<Diagnostic>) {
    if let (Content::Map(entries), Content::Map(above)) = (&mut under.content, &over.content) {
        for Entry { key, place, value } in above {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match entries.iter_mut().find(|entry| entry.key == *key) {
                Some(entry) => merge(&mut entry.value, value.clone(), &path, sources, changes),
                None => entries.push(Entry { key: key.clone(), place: *place, value: value.clone() }),
            }
        }
        return;
    }
    if under.content != over.content && under.place.file != over.place.file {
        let (lost, held) = (sources.location(under.place), sources.location(over.place));
        let why = "two files give a value, and the later in `defaults` holds, as in Hydra up to 1.0";
        changes.push(
            Diagnostic::warning(Code::ConvertedWithChanges, format!("`{path}`: {why}"))
                .located(held)
                .at(path)
                .note(format!("the other stands in {}:{}", lost.file.display(), lost.line))
                .help("put `_self_` into `defaults` where the file itself comes"),
        );
    }
    *under = over;
}

/// The value of a file, and the package that its first comments name.
fn read(path: &Path, named: Option<Place>, sources: &mut Sources) -> Result<(Node, Option<String>), Error> {
    let file = sources.add(path.to_owned());
    let error = |problem| Error { place: named, problem };
    let bytes = read_bytes(path).map_err(|cause| error(unreadable(path, &cause)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(error(Problem::TooLarge { file: path.to_owned(), limit: LARGEST }));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = str::from_utf8(bytes).map_err(|cut| {
        let at = cut.valid_up_to();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::at(Place { file, line, column: 0 }, Problem::NotUtf8 { byte: bytes[at] })
    })?;
    let node = yaml::parse(text, file)?;
    if !matches!(node.content, Content::Map(_)) {
        return Err(Error::at(node.place, Problem::NoMapping { found: node.kind() }));
    }
    let comments = text.lines().map(str::trim).take_while(|line| line.starts_with('#') || line.is_empty());
    let package = comments
        .filter_map(|line| line.trim_start_matches('#').trim().strip_prefix("@package"))
        .map(|package| package.trim().to_owned())
        .next();
    Ok((node, package))
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before opening: opening a pipe waits for its other end.
    let kind = path.metadata()?;
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, cause: &io::Error) -> Problem {
    let file = path.to_owned();
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Problem::Missing { nearest: nearest_file(path).map(|near| near.display().to_string()), file }
        }
        io::ErrorKind::IsADirectory => Problem::Directory { file },
        _ => Problem::Unreadable { file, cause: cause.to_string() },
    }
}

/// The YAML file of its folder whose name is nearest to that of `path`.
fn nearest_file(path: &Path) -> Option<PathBuf> {
    let asked = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = folder
        .read_dir()
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    let near = nearest(asked, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near))
}
