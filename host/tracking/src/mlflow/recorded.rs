//! What a run's directory holds: its config, the beginning of its record, and what a line of the record does to a cursor.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::api::{Metric, State};
use super::cursor::Cursor;
use super::{Error, entries};
use crate::journal;
use crate::record::{Event, Record, Started};
use crate::tensorboard::scalars::Scalars;

/// The config of a run, in its directory.
pub(super) const CONFIG: &str = "config.json";

/// Lines of the record among which the first must tell that training began.
const BEGINNING: usize = 100;

/// Takes a line of the record into the cursor; its values.
pub(super) fn take_in(line: &[u8], cursor: &mut Cursor) -> Vec<Metric> {
    cursor.bytes += line.len() as u64;
    // A later version of the program may record what this one does not know.
    let Ok(record) = serde_json::from_slice::<Record>(line) else { return Vec::new() };
    let mut scalars = Scalars { step: cursor.step };
    let metrics = entries::metrics(&record, &mut scalars);
    cursor.step = scalars.step;
    let state = match &record.event {
        Event::Started(_) => State::Running,
        Event::Finished(summary) => {
            cursor.best = summary.best.as_ref().map(|best| best.file.clone());
            State::Finished
        }
        Event::Interrupted(_) => State::Killed,
        Event::Failed(_) => State::Failed,
        _ => return metrics,
    };
    cursor.state = Some(state);
    cursor.ended = (state != State::Running).then(|| record.time.as_millisecond());
    metrics
}

/// The line of the record that tells that training began, and when that was in milliseconds since 1970.
pub(super) fn beginning(directory: &Path) -> Result<Option<(Started, i64)>, Error> {
    let path = directory.join(journal::FILE);
    let failed = |cause| Error::File { file: path.clone(), action: "read", cause };
    let mut reader = match File::open(&path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut line = Vec::new();
    for _ in 0..BEGINNING {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(failed)? == 0 || line.last() != Some(&b'\n') {
            return Ok(None);
        }
        if let Ok(Record { time, event: Event::Started(started) }) = serde_json::from_slice(&line) {
            return Ok(Some((started, time.as_millisecond())));
        }
    }
    Ok(None)
}

/// The config of a run, if there is one that can be read as JSON.
pub(super) fn read_config(directory: &Path) -> Result<Option<Value>, Error> {
    let file = directory.join(CONFIG);
    match fs::read(&file) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::File { file, action: "read", cause }),
    }
}
