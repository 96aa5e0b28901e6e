//! A config file's text, or a complaint that says what the file is instead. Not here: anything about JSON.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::diagnostic::{Diagnostic, Location, nearest};
use crate::error_code::Code;

/// More than any config has; a corpus given by mistake is not read to its end.
const LARGEST: u64 = 16 << 20;

pub(super) const EXAMPLE: &str = "`kiwi-host train --example` prints a config that runs";

/// The text of the file, without a byte order mark at its start.
pub(super) fn read(path: &Path) -> Result<String, Box<Diagnostic>> {
    let shown = path.display();
    let bytes = read_bytes(path).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > LARGEST {
        let complaint =
            Diagnostic::error(Code::ConfigUnreadable, format!("`{shown}` is too large for a config"))
                .found(format!("more than {} MiB", LARGEST >> 20))
                .expected("a config file in JSON")
                .help("give the config, not a corpus or a saved system");
        return Err(Box::new(complaint));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let text = str::from_utf8(bytes).map_err(|error| not_utf8(path, bytes, error.valid_up_to()))?;
    if text.trim().is_empty() {
        let complaint =
            Diagnostic::error(Code::ConfigUnreadable, format!("the config file `{shown}` is empty"))
                .found("no text")
                .expected("a JSON object with data and system")
                .help(EXAMPLE);
        return Err(Box::new(complaint));
    }
    Ok(text.to_owned())
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => not_found(path),
        io::ErrorKind::IsADirectory => {
            Diagnostic::error(Code::ConfigUnreadable, format!("`{shown}` is a directory"))
                .found("a directory")
                .expected("a config file in JSON")
                .help("name a file in it")
        }
        io::ErrorKind::PermissionDenied => {
            Diagnostic::error(Code::ConfigUnreadable, format!("the config file `{shown}` may not be read"))
                .note(error.to_string())
                .help("change the file's permissions, or run as a user who may read it")
        }
        _ => Diagnostic::error(Code::ConfigUnreadable, format!("the config file `{shown}` cannot be read"))
            .note(error.to_string()),
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn not_found(path: &Path) -> Diagnostic {
    let complaint =
        Diagnostic::error(Code::ConfigUnreadable, format!("there is no config file `{}`", path.display()))
            .found("no such file");
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !directory.is_dir() {
        return complaint
            .note(format!("there is no directory `{}` either", directory.display()))
            .help(EXAMPLE);
    }
    match nearest_file(directory, path) {
        Some(near) => complaint.help(format!("give `{near}`, if that is the one")).nearest(Some(near)),
        None => complaint.help(EXAMPLE),
    }
}

/// The JSON file of this directory whose name is nearest to the one of `path`.
fn nearest_file(directory: &Path, path: &Path) -> Option<String> {
    let asked = path.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".json"))
        .collect();
    let near = nearest(asked, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near).display().to_string())
}

fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Diagnostic {
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    let column = str::from_utf8(&before[start..]).map_or(at - start, |text| text.chars().count()) + 1;
    let utf16 = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF");
    let found = if utf16 { "UTF-16".to_owned() } else { format!("the byte 0x{:02X}", bytes[at]) };
    Diagnostic::error(Code::ConfigUnreadable, format!("the config file `{}` is not UTF-8", path.display()))
        .located(Location { file: path.to_owned(), line, column: Some(column) })
        .found(found)
        .expected("text in UTF-8")
        .help("save the file as UTF-8")
}
