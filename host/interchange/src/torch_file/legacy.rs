//! The stream of torch before 1.6: a magic number, a version, facts about the machine, the value, the keys of the storages, each
//! a pickle of its own; then for each key the number of elements (64 bits) and the elements.

use std::collections::HashMap;

use super::{Error, TorchFile, unpickle};
use crate::pickle::{ElementType, Graph, Object, Value};

/// torch's magic number for this stream.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const VERSION: i128 = 1001;

pub(super) fn parse(bytes: &[u8]) -> Result<TorchFile<'_>, Error> {
    let mut rest = bytes;
    // A pickle of something else begins in the same way.
    let magic = next(&mut rest, "its first pickle")?;
    if *magic.root() != Value::Int(MAGIC) {
        return Err(Error::NoMagic);
    }
    let version = next(&mut rest, "the pickle of its version")?;
    match version.root() {
        Value::Int(VERSION) => {}
        Value::Int(found) => return Err(Error::LegacyVersion { found: found.to_string() }),
        other => return Err(Error::LegacyVersion { found: version.kind(other).to_owned() }),
    }
    let machine = next(&mut rest, "the pickle about the machine")?;
    match machine.get(machine.root(), "little_endian") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(Error::BigEndian),
        _ => {
            let found = machine.kind(machine.root()).to_owned();
            return Err(Error::Legacy { found, expected: "a dictionary with `little_endian`" });
        }
    }
    let graph = next(&mut rest, "the pickle of the system")?;
    let keys = next(&mut rest, "the pickle of the storages' keys")?;
    let storages = storages(rest, &graph, &keys)?;
    Ok(TorchFile { graph, storages })
}

/// Reads the next pickle of a stream.
fn next(rest: &mut &[u8], what: &'static str) -> Result<Graph, Error> {
    let graph = unpickle(rest, what)?;
    *rest = &rest[graph.length()..];
    Ok(graph)
}

fn storages<'a>(mut rest: &'a [u8], graph: &Graph, keys: &Graph) -> Result<HashMap<String, &'a [u8]>, Error> {
    // The stream does not say of which type a storage is; the value does.
    let mut kinds: HashMap<&str, ElementType> = HashMap::new();
    for storage in graph.storages() {
        kinds.insert(&storage.key, storage.kind);
    }
    let Some(Object::List(list)) = keys.object(keys.root()) else {
        let found = keys.kind(keys.root()).to_owned();
        return Err(Error::Legacy { found, expected: "a list of keys" });
    };
    let mut found = HashMap::new();
    for key in list {
        let Value::Text(key) = key else {
            return Err(Error::Legacy { found: keys.kind(key).to_owned(), expected: "the key of a storage" });
        };
        let kind = *kinds.get(&**key).ok_or_else(|| Error::NoStorage { key: key.to_string() })?;
        let cut =
            |needed: u64, left: usize| Error::LegacyCut { key: key.to_string(), needed, left: left as u64 };
        let (length, after) = rest.split_first_chunk::<8>().ok_or_else(|| cut(8, rest.len()))?;
        let needed = u64::from_le_bytes(*length).saturating_mul(kind.width() as u64);
        let bytes = usize::try_from(needed).ok().and_then(|needed| after.split_at_checked(needed));
        let (bytes, after) = bytes.ok_or_else(|| cut(needed, after.len()))?;
        if found.insert(key.to_string(), bytes).is_some() {
            return Err(Error::DuplicateStorage { key: key.to_string() });
        }
        rest = after;
    }
    match rest.len() {
        0 => Ok(found),
        extra => Err(Error::LegacyLong { extra }),
    }
}
