//! The form of a file of the cache: a page that says what it is, then some long arrays. It is checked whole when it is
//! opened: a file that is cut, damaged, of another version or of other content is as good as none.
//!
//! The first page is 512 numbers of 64 bits in the machine's order of bytes: magic number, version, kind, key (4), number of
//! sections, then of each section its start and size in bytes and its hash (4), at the end the hash (4) of the page so far.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

use bytemuck::Pod;

use super::{CacheProblem, Kind, Mapped};
use crate::{ContentHash, numbers::InFile, threads};

/// Read backwards on a machine with the other order of bytes, so such a file is foreign there.
const MAGIC: u64 = 0x6b69_7769_7465_7874;

/// Of this form and of everything that is kept in it; raised when the rules by which text becomes words change, too.
const VERSION: u64 = 1;

/// Bytes of the first page.
pub(super) const PAGE: usize = 4096;

/// Where its numbers are.
const SECTIONS: usize = 8;
const SECTION_NUMBERS: usize = 6;
const MOST_SECTIONS: usize = 8;
const CHECKSUM: usize = PAGE / 8 - 4;

/// Bytes that are hashed at a time: a large array is checked on all cores.
const SEGMENT: usize = 4 << 20;

/// Bytes that are gathered before they are written.
const BUFFER: usize = 1 << 20;

/// An array in a file.
#[derive(Debug, Clone)]
pub(super) struct Section {
    bytes: Range<u64>,
    hash: ContentHash,
}

impl Section {
    pub(super) fn end(&self) -> u64 {
        self.bytes.end
    }
}

/// An array that is written piece by piece, while others of the same file may be.
pub(super) struct SectionWriter<'a> {
    file: &'a File,
    start: u64,
    end: u64,
    pending: Vec<u8>,
    hash: SegmentedHash,
}

impl<'a> SectionWriter<'a> {
    /// Begins at `start` or, to suit numbers of 64 bits, a little later.
    pub(super) fn new(file: &'a File, start: u64) -> Self {
        let start = start.next_multiple_of(8);
        Self { file, start, end: start, pending: Vec::new(), hash: SegmentedHash::default() }
    }

    pub(super) fn write<T: Pod>(&mut self, numbers: &[T]) -> io::Result<()> {
        let bytes = bytemuck::cast_slice(numbers);
        self.hash.update(bytes);
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pending, self.end)?;
        self.end += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Section> {
        self.flush()?;
        Ok(Section { bytes: self.start..self.end, hash: self.hash.finish() })
    }
}

/// The first page.
pub(super) fn page(kind: Kind, key: ContentHash, sections: &[Section]) -> Vec<u8> {
    let mut numbers = vec![0; PAGE / 8];
    numbers[..3].copy_from_slice(&[MAGIC, VERSION, kind as u64]);
    numbers[3..7].copy_from_slice(&hash_as_numbers(key));
    numbers[7] = sections.len() as u64;
    for (place, section) in numbers[SECTIONS..].chunks_mut(SECTION_NUMBERS).zip(sections) {
        place[0] = section.bytes.start;
        place[1] = section.bytes.end - section.bytes.start;
        place[2..].copy_from_slice(&hash_as_numbers(section.hash));
    }
    let checksum = page_hash(&numbers);
    numbers[CHECKSUM..].copy_from_slice(&checksum);
    bytemuck::cast_slice(&numbers).to_vec()
}

fn page_hash(numbers: &[u64]) -> [u64; 4] {
    let bytes: &[u8] = bytemuck::cast_slice(&numbers[..CHECKSUM]);
    hash_as_numbers(ContentHash(blake3::hash(bytes).into()))
}

fn hash_as_numbers(hash: ContentHash) -> [u64; 4] {
    bytemuck::cast(hash.0)
}

/// An opened file.
pub(super) struct Stored {
    file: Arc<Mapped>,
    sections: Vec<Section>,
}

impl Stored {
    /// Opens a file that may be anything.
    pub(super) fn open(file: &File, kind: Kind, key: ContentHash) -> Result<Self, CacheProblem> {
        let stored = Self::open_written(file, kind, key)?;
        let good = stored.sections.iter().all(|section| {
            let bytes = &stored.file[section.bytes.start as usize..section.bytes.end as usize];
            segmented_hash(bytes) == section.hash
        });
        if good { Ok(stored) } else { Err(CacheProblem::Damaged) }
    }

    /// Opens a file that was written just now; what its sections hold is not looked at.
    pub(super) fn open_written(file: &File, kind: Kind, key: ContentHash) -> Result<Self, CacheProblem> {
        let size = file.metadata()?.len();
        if size < PAGE as u64 {
            return Err(CacheProblem::Truncated);
        }
        let file = Mapped::new(file)?;
        // A map begins at a page, so its numbers lie as numbers must.
        let numbers: &[u64] = bytemuck::try_cast_slice(&file[..PAGE]).map_err(|_| CacheProblem::Foreign)?;
        if numbers[0] != MAGIC {
            return Err(CacheProblem::Foreign);
        }
        if numbers[1] != VERSION {
            return Err(CacheProblem::Version { found: numbers[1], expected: VERSION });
        }
        if numbers[CHECKSUM..] != page_hash(numbers) {
            return Err(CacheProblem::Damaged);
        }
        if numbers[2] != kind as u64 || numbers[3..7] != hash_as_numbers(key) {
            return Err(CacheProblem::OtherContent);
        }
        let count = numbers[7] as usize;
        if count > MOST_SECTIONS {
            return Err(CacheProblem::Damaged);
        }
        let mut sections = Vec::with_capacity(count);
        for place in numbers[SECTIONS..].chunks(SECTION_NUMBERS).take(count) {
            let end = place[0].checked_add(place[1]).ok_or(CacheProblem::Damaged)?;
            let hash = [place[2], place[3], place[4], place[5]];
            sections.push(Section { bytes: place[0]..end, hash: ContentHash(bytemuck::cast(hash)) });
        }
        let end = sections.last().map_or(PAGE as u64, Section::end);
        if sections.iter().any(|section| section.end() > size) || end != size {
            return Err(CacheProblem::Truncated);
        }
        Ok(Self { file: Arc::new(file), sections })
    }

    /// An array.
    pub(super) fn array<T: Pod>(&self, section: usize) -> Result<InFile<T>, CacheProblem> {
        let Section { bytes, .. } = self.sections.get(section).ok_or(CacheProblem::Damaged)?;
        InFile::new(&self.file, bytes.start as usize..bytes.end as usize).ok_or(CacheProblem::Damaged)
    }

    pub(super) fn size(&self) -> u64 {
        self.file.len() as u64
    }
}

/// The hash of the hashes of segments.
#[derive(Default)]
struct SegmentedHash {
    segment: blake3::Hasher,
    filled: usize,
    segments: Vec<u8>,
}

impl SegmentedHash {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(SEGMENT - self.filled));
            self.segment.update(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == SEGMENT {
                self.end_segment();
            }
        }
    }

    fn end_segment(&mut self) {
        self.segments.extend_from_slice(self.segment.finalize().as_bytes());
        self.segment.reset();
        self.filled = 0;
    }

    fn finish(mut self) -> ContentHash {
        if self.filled > 0 {
            self.end_segment();
        }
        ContentHash(blake3::hash(&self.segments).into())
    }
}

/// What [`SegmentedHash`] gives for these bytes, computed on all cores.
fn segmented_hash(bytes: &[u8]) -> ContentHash {
    let segments = bytes.len().div_ceil(SEGMENT);
    let workers = threads::cores().min(segments);
    let hash = |segment: &[u8]| *blake3::hash(segment).as_bytes();
    let parts = threads::each(workers, |worker| {
        bytes.chunks(SEGMENT).skip(worker).step_by(workers).map(hash).collect::<Vec<_>>()
    });
    let in_order = (0..segments).flat_map(|segment| parts[segment % workers][segment / workers]);
    ContentHash(blake3::hash(&in_order.collect::<Vec<u8>>()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..2 * SEGMENT + 12_345).map(|at| (at % 251) as u8).collect();
        for length in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, bytes.len()] {
            let whole = segmented_hash(&bytes[..length]);
            for piece in [1000, SEGMENT, 3 * SEGMENT] {
                let mut hash = SegmentedHash::default();
                bytes[..length].chunks(piece).for_each(|piece| hash.update(piece));
                assert_eq!(hash.finish(), whole, "{length} bytes in pieces of {piece}");
            }
        }
        assert_ne!(segmented_hash(&bytes), segmented_hash(&bytes[1..]));
    }
}
