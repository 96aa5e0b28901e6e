//! Safetensors files written in a fixed order and safely (a temporary file beside, flushed, renamed), and read over a memory
//! map. The `safetensors` crate checks and reads the format; its writer is not used, since it orders metadata differently
//! from process to process. What the metadata mean is not known here.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use memmap2::Mmap;
pub use safetensors::Dtype;
use safetensors::{
    SafeTensorError, SafeTensors,
    tensor::{Metadata, TensorInfo},
};
use serde::ser::{SerializeMap, Serializer};

use super::{Error, NotSafetensors};

/// The header's name for the metadata.
const METADATA: &str = "__metadata__";

/// The largest header that the safetensors library reads.
const HEADER_LIMIT: usize = 100_000_000;

/// Bytes before the header: its length.
const LENGTH: usize = 8;

/// A tensor as it lies in a file: little-endian elements, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorData<'a> {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape; empty for a single number.
    pub shape: Vec<usize>,
    /// Its elements.
    pub bytes: &'a [u8],
}

/// A tensor as a file's header tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorLayout {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its shape; empty for a single number.
    pub shape: Vec<usize>,
}

impl TensorLayout {
    /// How many bytes its elements have; `None` where that is no whole number, or none that can be held.
    fn bytes(&self) -> Option<usize> {
        let elements = self.shape.iter().copied().try_fold(1_usize, usize::checked_mul)?;
        let bits = elements.checked_mul(self.dtype.bitsize())?;
        (bits % 8 == 0).then_some(bits / 8)
    }

    fn wrong_size(&self, found: usize) -> Error {
        Error::TensorSize {
            name: self.name.clone(),
            dtype: self.dtype,
            shape: self.shape.clone(),
            expected: self.bytes(),
            found,
        }
    }
}

/// Writes a file of metadata and tensors; the same content gives the same bytes. The header has the metadata first, then the
/// tensors by name; their data follow by name too, those of wider types first, so that all are aligned.
///
/// # Errors
/// As for [`super::write`].
pub fn write<'a>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = TensorData<'a>>,
) -> Result<(), Error> {
    let (mut layouts, mut bytes) = (Vec::new(), BTreeMap::new());
    for TensorData { name, dtype, shape, bytes: held } in tensors {
        let layout = TensorLayout { name, dtype, shape };
        if layout.bytes() != Some(held.len()) {
            return Err(layout.wrong_size(held.len()));
        }
        bytes.insert(layout.name.clone(), held);
        layouts.push(layout);
    }
    write_each(path, metadata, layouts, |name| {
        Ok(Cow::Borrowed(bytes.get(name).copied().unwrap_or_default()))
    })
}

/// As [`write`], for tensors whose elements are asked for by name one tensor after the other, so that no more than one need
/// be in memory.
///
/// # Errors
/// As for [`super::write`]; and what `elements` gives.
pub fn write_each<'a>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = TensorLayout>,
    mut elements: impl FnMut(&str) -> io::Result<Cow<'a, [u8]>>,
) -> Result<(), Error> {
    write_streamed(path, metadata, tensors, |name, file| file.write_all(&elements(name)?))
}

/// As [`write`], for tensors that are written piece by piece: `write` is called for one tensor after the other, by name, and
/// writes its elements.
///
/// # Errors
/// As for [`super::write`]; and what `write` gives.
pub fn write_streamed(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: impl IntoIterator<Item = TensorLayout>,
    mut write: impl FnMut(&str, &mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let mut by_name = BTreeMap::new();
    for tensor in tensors {
        if tensor.name == METADATA {
            return Err(Error::ReservedName { name: tensor.name });
        }
        if let Some(tensor) = by_name.insert(tensor.name.clone(), tensor) {
            return Err(Error::DuplicateTensor { name: tensor.name });
        }
    }
    let mut in_file: Vec<(&TensorLayout, usize)> = Vec::with_capacity(by_name.len());
    for tensor in by_name.values() {
        in_file.push((tensor, tensor.bytes().ok_or_else(|| tensor.wrong_size(0))?));
    }
    // A stable sort: names stay in order within a width.
    in_file.sort_by_key(|(tensor, _)| std::cmp::Reverse(tensor.dtype.bitsize()));
    let mut offsets = BTreeMap::new();
    let mut end = 0;
    for (tensor, bytes) in &in_file {
        let start = end;
        end += bytes;
        offsets.insert(tensor.name.as_str(), (start, end));
    }
    let unwritable = |cause| Error::Unwritable { file: path.to_owned(), cause };
    let mut header =
        serialize_header(metadata, &by_name, &offsets).map_err(|error| unwritable(error.into()))?;
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    if header.len() > HEADER_LIMIT {
        return Err(Error::HeaderTooLarge { file: path.to_owned(), size: header.len(), limit: HEADER_LIMIT });
    }
    let needed = (LENGTH + header.len() + end) as u64;
    replace(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        in_file.iter().try_for_each(|(tensor, bytes)| {
            let mut counted = Counted { file, written: 0 };
            write(&tensor.name, &mut counted)?;
            let written = counted.written;
            if written == *bytes { Ok(()) } else { Err(io::Error::other(tensor.wrong_size(written))) }
        })
    })
    .map_err(|cause| match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::DiskFull { file: path.to_owned(), needed, free: free_space(folder(path)) }
        }
        _ => unwritable(cause),
    })
}

/// Counts what is written.
struct Counted<'a, 'f> {
    file: &'a mut BufWriter<&'f File>,
    written: usize,
}

impl Write for Counted<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn serialize_header(
    metadata: &BTreeMap<String, String>,
    tensors: &BTreeMap<String, TensorLayout>,
    offsets: &BTreeMap<&str, (usize, usize)>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut header = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut header);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry(METADATA, metadata)?;
    for (tensor, data_offsets) in tensors.values().zip(offsets.values().copied()) {
        let info = TensorInfo { dtype: tensor.dtype, shape: tensor.shape.clone(), data_offsets };
        map.serialize_entry(&tensor.name, &info)?;
    }
    map.end()?;
    Ok(header)
}

/// Writes a file beside `path`, makes sure that it is on the disk, and gives it the name.
fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    builder.prefix(&prefix).suffix(".partial");
    #[cfg(unix)]
    {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt};
        // As for any new file: what the umask leaves.
        builder.permissions(Permissions::from_mode(0o666));
    }
    let temporary = builder.tempfile_in(folder(path))?;
    let mut buffered = BufWriter::with_capacity(1 << 20, temporary.as_file());
    write(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    // The name is part of the folder, which has to reach the disk as well.
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn free_space(folder: &Path) -> Option<u64> {
    let system = rustix::fs::statvfs(folder).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

/// A safetensors file, opened: its metadata, and its tensors in the mapped file, which must not be changed meanwhile (replacing
/// it by another, as [`write`] does, is no change).
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    map: Mmap,
    /// Where the tensors' bytes begin.
    data: usize,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Archive {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// The file is missing, unreadable, or no complete safetensors file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = map(path)?;
        let (header, contents) = SafeTensors::read_metadata(&map).map_err(|error| Error::NotSafetensors {
            file: path.to_owned(),
            reason: diagnose(&map, &error),
        })?;
        let tensors = contents.tensors().into_iter().map(|(name, info)| {
            let info =
                TensorInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: info.data_offsets };
            (name, info)
        });
        Ok(Self {
            path: path.to_owned(),
            data: LENGTH + header,
            metadata: contents
                .metadata()
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            tensors: tensors.collect(),
            map,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its metadata.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The tensors in the order of their names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = TensorData<'_>> {
        self.tensors.iter().map(|(name, info)| self.data(name, info))
    }

    /// One tensor.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<TensorData<'_>> {
        self.tensors.get(name).map(|info| self.data(name, info))
    }

    fn data(&self, name: &str, info: &TensorInfo) -> TensorData<'_> {
        let (start, end) = info.data_offsets;
        // Within the map: the library has checked that the tensors fill the file exactly.
        let bytes = &self.map[self.data + start..self.data + end];
        TensorData { name: name.to_owned(), dtype: info.dtype, shape: info.shape.clone(), bytes }
    }
}

fn map(path: &Path) -> Result<Mmap, Error> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::Missing { file: path.to_owned(), nearest: nearest(path) }
        }
        _ => Error::Unreadable { file: path.to_owned(), cause },
    };
    // Asked before opening: opening a pipe waits for its other end.
    let kind = path.metadata().map_err(unreadable)?;
    if kind.is_dir() {
        return Err(Error::Directory { file: path.to_owned() });
    }
    if !kind.is_file() {
        let cause = io::Error::new(io::ErrorKind::Unsupported, "it is no regular file");
        return Err(Error::Unreadable { file: path.to_owned(), cause });
    }
    let file = File::open(path).map_err(unreadable)?;
    if kind.len() == 0 {
        return Err(Error::NotSafetensors { file: path.to_owned(), reason: NotSafetensors::Empty });
    }
    // SAFETY: the map is private to `Archive` and only read, as plain bytes for which every value is valid. That the file does
    // not shrink meanwhile is asked of callers in `Archive`'s documentation; this module's own writer never writes into an
    // existing file.
    unsafe { Mmap::map(&file) }.map_err(unreadable)
}

/// The nearest name in the folder of a file that is not there.
fn nearest(path: &Path) -> Option<PathBuf> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let names = folder(path).read_dir().into_iter().flatten().flatten().map(|entry| entry.file_name());
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(&wanted, &name.to_string_lossy()), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|(a, a_name), (b, b_name)| a.total_cmp(b).then_with(|| b_name.cmp(a_name)))
        .map(|(_, name)| path.with_file_name(name))
}

/// What a file that is no safetensors file seems to be.
fn diagnose(bytes: &[u8], error: &SafeTensorError) -> NotSafetensors {
    let start = &bytes[..bytes.len().min(512)];
    if start.starts_with(b"version https://git-lfs") {
        return NotSafetensors::GitLfsPointer;
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02") {
        return NotSafetensors::PyTorch;
    }
    // A safetensors file's length has zero bytes, which text has not.
    let text = match str::from_utf8(start) {
        Ok(_) => true,
        Err(cut) => cut.error_len().is_none(),
    };
    if text && !start.contains(&0) {
        return NotSafetensors::Text;
    }
    let found = bytes.len() as u64;
    match error {
        SafeTensorError::HeaderTooSmall => NotSafetensors::Truncated { found, expected: None },
        SafeTensorError::InvalidHeaderLength if bytes.get(LENGTH).is_none_or(|first| *first == b'{') => {
            NotSafetensors::Truncated { found, expected: None }
        }
        SafeTensorError::MetadataIncompleteBuffer => match expected_length(bytes) {
            Some(expected) if expected > found => {
                NotSafetensors::Truncated { found, expected: Some(expected) }
            }
            Some(expected) => NotSafetensors::TooLong { found, expected },
            None => NotSafetensors::Invalid(error.to_string()),
        },
        error => NotSafetensors::Invalid(error.to_string()),
    }
}

/// The length that a file's header implies.
fn expected_length(bytes: &[u8]) -> Option<u64> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let header: Metadata = serde_json::from_slice(rest.get(..length)?).ok()?;
    length.checked_add(LENGTH)?.checked_add(header.data_len()).map(|length| length as u64)
}
