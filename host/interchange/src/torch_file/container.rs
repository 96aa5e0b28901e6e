//! The zip container of torch 1.6 and later: entries that are stored as they are, in one folder.
//!
//! Read here rather than by the `zip` crate, which keeps the last of two entries with one name and gives a reader where slices
//! of the file are wanted. Only what `torch.save` writes is read, so there is nothing to unpack and no entry can become larger
//! than the file. The layout is that of PKWARE's APPNOTE, sections 4.3.7 (entry), 4.3.12 (directory), 4.3.14 and 4.3.15 (its
//! end, with 64 bits), 4.3.16 (its end) and 4.5.3 (64-bit lengths).

use std::collections::{BTreeSet, HashMap};

use super::{Error, TorchFile, unpickle};

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const END64: &[u8] = b"PK\x06\x06";
const END64_LOCATOR: &[u8] = b"PK\x06\x07";
const LOCATOR_LENGTH: usize = 20;
const DIRECTORY: &[u8] = b"PK\x01\x02";
const DIRECTORY_LENGTH: usize = 46;
const ENTRY: &[u8] = b"PK\x03\x04";
const ENTRY_LENGTH: usize = 30;

/// Extra field with 64-bit lengths.
const WIDE: u16 = 1;
/// What stands in place of a number that has 64 bits.
const IN_WIDE: u64 = u32::MAX as u64;

/// An entry, as the directory tells of it.
struct Entry<'a> {
    name: &'a str,
    crc: u32,
    bytes: &'a [u8],
    /// Where its header begins, and where its bytes end.
    span: (usize, usize),
}

pub(super) fn parse(bytes: &[u8]) -> Result<TorchFile<'_>, Error> {
    let entries = entries(bytes)?;
    let folder = entries
        .iter()
        .find_map(|entry| {
            entry.name.strip_suffix("data.pkl").filter(|folder| folder.is_empty() || folder.ends_with('/'))
        })
        .ok_or(Error::ZipNoPickle)?;
    for entry in &entries {
        if crc32fast::hash(entry.bytes) != entry.crc {
            return Err(Error::ZipChecksum { name: entry.name.to_owned() });
        }
    }
    let inside: HashMap<&str, &[u8]> =
        entries.iter().filter_map(|entry| Some((entry.name.strip_prefix(folder)?, entry.bytes))).collect();
    if inside.get("byteorder").is_some_and(|order| *order == b"big") {
        return Err(Error::BigEndian);
    }
    let pickle = inside.get("data.pkl").copied().ok_or(Error::ZipNoPickle)?;
    let graph = unpickle(pickle, "the pickle `data.pkl`")?;
    let storages =
        inside.into_iter().filter_map(|(name, bytes)| Some((name.strip_prefix("data/")?.to_owned(), bytes)));
    Ok(TorchFile { graph, storages: storages.collect() })
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Error> {
    let (count, mut at, end) = directory(bytes)?;
    let mut entries = Vec::new();
    let mut names = BTreeSet::new();
    while at < end {
        let (entry, next) = entry(bytes, at, end)?;
        if !names.insert(entry.name) {
            return Err(Error::ZipDuplicate { name: entry.name.to_owned() });
        }
        entries.push(entry);
        at = next;
    }
    if entries.len() as u64 != count {
        return Err(damaged(format!("its directory has {} entries and says {count}", entries.len())));
    }
    entries.sort_by_key(|entry| entry.span);
    for pair in entries.windows(2) {
        if let [first, second] = pair
            && first.span.1 > second.span.0
        {
            return Err(Error::ZipOverlap { first: first.name.to_owned(), second: second.name.to_owned() });
        }
    }
    Ok(entries)
}

/// How many entries the directory has, where it begins and where it ends.
fn directory(bytes: &[u8]) -> Result<(u64, usize, usize), Error> {
    // The end record is the last, followed by a comment of at most 64 KiB.
    let earliest = bytes.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let tail = &bytes[earliest..];
    let last = tail.windows(END.len()).rposition(|window| window == END).ok_or(Error::ZipCut)?;
    let at = earliest + last;
    let end = Record::new(bytes, at, END_LENGTH)?;
    let (mut count, mut length, mut start) = (end.u16(10)?.into(), end.u32(12)?.into(), end.u32(16)?.into());
    let mut limit = at;
    if let Some(locator_at) = at.checked_sub(LOCATOR_LENGTH)
        && bytes[locator_at..].starts_with(END64_LOCATOR)
    {
        let locator = Record::new(bytes, locator_at, LOCATOR_LENGTH)?;
        limit = position(locator.u64(8)?, bytes)?;
        if !bytes[limit..].starts_with(END64) {
            return Err(damaged("its 64-bit directory end is not where it says".to_owned()));
        }
        let wide = Record::new(bytes, limit, 56)?;
        (count, length, start) = (wide.u64(32)?, wide.u64(40)?, wide.u64(48)?);
    }
    let begin = position(start, bytes)?;
    let stop = begin.checked_add(position(length, bytes)?).filter(|stop| *stop <= limit);
    let stop = stop.ok_or_else(|| damaged("its directory does not fit into the file".to_owned()))?;
    Ok((count, begin, stop))
}

/// The entry whose directory record begins at `at`, and where the next record begins.
fn entry(bytes: &[u8], at: usize, end: usize) -> Result<(Entry<'_>, usize), Error> {
    if !bytes[at..].starts_with(DIRECTORY) {
        return Err(damaged("its directory has something else than an entry".to_owned()));
    }
    let record = Record::new(bytes, at, DIRECTORY_LENGTH)?;
    let (name_length, extra_length, comment) = (record.u16(28)?, record.u16(30)?, record.u16(32)?);
    let name_at = at + DIRECTORY_LENGTH;
    let extra_at = name_at + usize::from(name_length);
    let next = extra_at + usize::from(extra_length) + usize::from(comment);
    if next > end {
        return Err(damaged("an entry of its directory does not fit into it".to_owned()));
    }
    let name = str::from_utf8(&bytes[name_at..extra_at])
        .map_err(|_| damaged("an entry's name is not UTF-8".to_owned()))?;
    if leads_out(name) {
        return Err(Error::ZipPath { name: name.to_owned() });
    }
    let name_of = || name.to_owned();
    if record.u16(8)? & 1 != 0 {
        return Err(Error::ZipEncrypted { name: name_of() });
    }
    let extra = &bytes[extra_at..extra_at + usize::from(extra_length)];
    let mut wide = Wide::of(extra);
    let size = wide.or(record.u32(24)?)?;
    let packed = wide.or(record.u32(20)?)?;
    let header = wide.or(record.u32(42)?)?;
    if record.u16(10)? != 0 || size != packed {
        return Err(Error::ZipCompressed { name: name_of(), packed, size });
    }
    let header_at = position(header, bytes)?;
    if !bytes[header_at..].starts_with(ENTRY) {
        return Err(damaged(format!("entry {name:?} is not where its directory says")));
    }
    let local = Record::new(bytes, header_at, ENTRY_LENGTH)?;
    let local_name = header_at + ENTRY_LENGTH;
    let data = local_name + usize::from(local.u16(26)?) + usize::from(local.u16(28)?);
    if bytes.get(local_name..local_name + usize::from(local.u16(26)?)) != Some(name.as_bytes()) {
        return Err(damaged(format!("entry {name:?} has another name where it lies")));
    }
    let stop = data.checked_add(position(size, bytes)?).filter(|stop| *stop <= bytes.len());
    let stop =
        stop.ok_or_else(|| damaged(format!("entry {name:?} claims {size} bytes, more than the file has")))?;
    let entry = Entry { name, crc: record.u32(16)?, bytes: &bytes[data..stop], span: (header_at, stop) };
    Ok((entry, next))
}

fn leads_out(name: &str) -> bool {
    name.starts_with(['/', '\\'])
        || name.contains('\0')
        || name.get(1..2) == Some(":")
        || name.split(['/', '\\']).any(|part| part == "..")
}

/// The 64-bit numbers of an extra field, in their order.
struct Wide<'a>(&'a [u8]);

impl<'a> Wide<'a> {
    fn of(mut extra: &'a [u8]) -> Self {
        while let Some((head, rest)) = extra.split_first_chunk::<4>() {
            let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let Some((field, others)) = rest.split_at_checked(length) else { break };
            if u16::from_le_bytes([head[0], head[1]]) == WIDE {
                return Self(field);
            }
            extra = others;
        }
        Self(&[])
    }

    /// The number itself, or the next of the extra field where it stands there.
    fn or(&mut self, number: u32) -> Result<u64, Error> {
        if u64::from(number) != IN_WIDE {
            return Ok(number.into());
        }
        let (first, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| damaged("an entry lacks its 64-bit length".to_owned()))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*first))
    }
}

/// A record of fixed length, at a place of the file.
struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn new(bytes: &'a [u8], at: usize, length: usize) -> Result<Self, Error> {
        let end = at.checked_add(length);
        end.and_then(|end| bytes.get(at..end)).map(Self).ok_or(Error::ZipCut)
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Error> {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(Error::ZipCut)
    }

    fn u16(&self, at: usize) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    fn u32(&self, at: usize) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    fn u64(&self, at: usize) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }
}

/// A number of the container as a place or length that lies in the file.
fn position(number: u64, bytes: &[u8]) -> Result<usize, Error> {
    let found = usize::try_from(number).ok().filter(|number| *number <= bytes.len());
    found.ok_or_else(|| damaged(format!("it speaks of byte {number}, and the file has {}", bytes.len())))
}

fn damaged(what: String) -> Error {
    Error::Zip { what }
}
