//! The files that scoring writes. Each grows under a name that ends in `.partial` and gets its own once all is done. How far they are
//! is kept beside the first of them, in a file that ends in `.progress`: whatever a killed job has written after the last word of
//! that is cut off when it is gone on with, so that the same bytes come of it as if nothing had happened.

mod begun;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::scoring::Scoring;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::selection::Counts;
pub(super) use begun::{Begun, look};
use begun::{named, same};

/// Saving takes at most this share of the time, as one part of so many,
const SHARE: u32 = 50;
/// and is done at most so often.
const PAUSE: Duration = Duration::from_secs(1);

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A line a pair.
    Scores,
    /// Source lines that are kept.
    Source,
    /// Target lines that are kept.
    Target,
    /// Lines with both sides that are kept.
    Lines,
    /// The perplexity of each pair, until it is known which are kept; it is removed at the end.
    Perplexities,
}

/// How far a job is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Point {
    /// What the job is; see [`Files::open`].
    job: Map<String, Value>,
    /// The first pair that is not done, from 0.
    pub(super) next_pair: u64,
    /// Of a stream the hash of its text before that pair.
    pub(super) digest: Option<String>,
    pub(super) counts: Counts,
    /// Seconds that it has taken.
    pub(super) seconds: f64,
    /// Bytes of each file.
    bytes: Vec<u64>,
    /// Whether all is done and the files only lack their names.
    complete: bool,
}

struct Output {
    role: Role,
    name: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

/// The files of a job under way.
pub(super) struct Files {
    outputs: Vec<Output>,
    progress: PathBuf,
    point: Point,
    saved: Instant,
    pause: Duration,
}

/// `PATH.ENDING`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn invalid(error: Diagnostic) -> Failure {
    Failure::new(ExitCode::Invalid, error)
}

fn unwritten(path: &Path, cause: &io::Error) -> Failure {
    let error =
        Diagnostic::error(Code::FileUnwritable, format!("{} cannot be written: {cause}", path.display()));
    Failure::new(
        ExitCode::RunFailed,
        error.help(
            "make room or rights there, then give the same command with --resume: it goes on where it was",
        ),
    )
}

impl Files {
    /// Creates the files, or opens what there is of them. `job` is all that decides their bytes, by what people call it: it must be
    /// the same when a job is gone on with.
    ///
    /// # Errors
    /// What was begun is another job, or is worked on by another process, or the files cannot be written.
    pub(super) fn open(
        scoring: &Scoring,
        job: Map<String, Value>,
        from: u64,
        begun: &Begun,
    ) -> Result<Self, Failure> {
        let names = named(scoring);
        let progress = beside(names.first().map_or(Path::new(""), |(_, name)| name), ".progress");
        let point = match begun {
            Begun::Part(point) => {
                same(&point.job, &job, &progress)?;
                Point::clone(point)
            }
            _ => Point { job, next_pair: from, bytes: vec![0; names.len()], ..Point::default() },
        };
        if !matches!(begun, Begun::Part(_)) {
            write_progress(&progress, &point)?;
        }
        let mut outputs = Vec::new();
        for ((role, name), bytes) in names.into_iter().zip(&point.bytes) {
            let partial = beside(&name, ".partial");
            // Only some of its names may have been given before it was killed.
            if point.complete && !is_there(&partial) {
                continue;
            }
            let file = at(&partial, *bytes)?;
            outputs.push(Output {
                role,
                name,
                partial,
                file: BufWriter::with_capacity(1 << 20, file),
                bytes: *bytes,
            });
        }
        if let Some(first) = outputs.first() {
            lock(first.file.get_ref(), &first.partial)?;
        }
        Ok(Self { outputs, progress, point, saved: Instant::now(), pause: PAUSE })
    }

    /// How far it was when it was opened, or saved last.
    pub(super) fn point(&self) -> &Point {
        &self.point
    }

    /// Whether all was done but for the names.
    pub(super) fn is_complete(&self) -> bool {
        self.point.complete
    }

    /// Appends to a file, if there is one that holds such.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&mut self, role: Role, bytes: &[u8]) -> Result<(), Failure> {
        for output in self.outputs.iter_mut().filter(|output| output.role == role) {
            output.file.write_all(bytes).map_err(|cause| unwritten(&output.partial, &cause))?;
            output.bytes += bytes.len() as u64;
        }
        Ok(())
    }

    /// Empties the files of lines that are kept.
    ///
    /// # Errors
    /// As [`Files::write`].
    pub(super) fn begin_kept(&mut self) -> Result<(), Failure> {
        let kept = |role| matches!(role, Role::Source | Role::Target | Role::Lines);
        for output in self.outputs.iter_mut().filter(|output| kept(output.role)) {
            let file = at(&output.partial, 0)?;
            output.file.flush().map_err(|cause| unwritten(&output.partial, &cause))?;
            *output.file.get_mut() = file;
            output.bytes = 0;
        }
        // The lock was that of the first file, which was opened anew.
        self.outputs.first().map_or(Ok(()), |first| lock(first.file.get_ref(), &first.partial))
    }

    /// The perplexities that were written, where they are kept until it is known which are low enough.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn perplexities(&mut self) -> Result<Vec<f64>, Failure> {
        let Some(output) = self.outputs.iter_mut().find(|output| output.role == Role::Perplexities) else {
            return Ok(Vec::new());
        };
        output.file.flush().map_err(|cause| unwritten(&output.partial, &cause))?;
        let bytes = fs::read(&output.partial).map_err(|cause| unwritten(&output.partial, &cause))?;
        Ok(bytes.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value)).collect())
    }

    /// Saves how far it is, if the last time is some time ago.
    ///
    /// # Errors
    /// As [`Files::save`].
    pub(super) fn save_now_and_then(&mut self, far: impl FnOnce(&mut Point)) -> Result<(), Failure> {
        if self.saved.elapsed() < self.pause {
            return Ok(());
        }
        self.save(far)
    }

    /// Brings all that was written to the disk, and then word of it.
    ///
    /// # Errors
    /// Something cannot be written.
    pub(super) fn save(&mut self, far: impl FnOnce(&mut Point)) -> Result<(), Failure> {
        let started = Instant::now();
        for output in &mut self.outputs {
            let synced = output.file.flush().and_then(|()| output.file.get_ref().sync_data());
            synced.map_err(|cause| unwritten(&output.partial, &cause))?;
        }
        far(&mut self.point);
        if !self.point.complete {
            self.point.bytes = self.outputs.iter().map(|output| output.bytes).collect();
        }
        write_progress(&self.progress, &self.point)?;
        self.saved = Instant::now();
        self.pause = (started.elapsed() * SHARE).max(PAUSE);
        Ok(())
    }

    /// Removes the files and word of them.
    ///
    /// # Errors
    /// One cannot be removed.
    pub(super) fn discard(self) -> Result<(), Failure> {
        for output in &self.outputs {
            fs::remove_file(&output.partial).map_err(|cause| unwritten(&output.partial, &cause))?;
        }
        fs::remove_file(&self.progress).map_err(|cause| unwritten(&self.progress, &cause))
    }

    /// All is written: the files get their names.
    ///
    /// # Errors
    /// Something cannot be written, or a file of that name has come up meanwhile.
    pub(super) fn finish(mut self, far: impl FnOnce(&mut Point)) -> Result<(), Failure> {
        if !self.point.complete {
            self.save(far)?;
            self.save(|point| point.complete = true)?;
        }
        for Output { role, name, partial, .. } in &self.outputs {
            if *role == Role::Perplexities {
                fs::remove_file(partial).map_err(|cause| unwritten(partial, &cause))?;
                continue;
            }
            if is_there(name) {
                let error = Diagnostic::error(
                    Code::FileExists,
                    format!(
                        "{} has come up while this was going on, and nothing is overwritten",
                        name.display()
                    ),
                );
                return Err(Failure::new(
                    ExitCode::RunFailed,
                    error.help(format!(
                        "move it away and give the same command with --resume, or take {}, which is complete",
                        partial.display()
                    )),
                ));
            }
            fs::rename(partial, name).map_err(|cause| unwritten(name, &cause))?;
            sync_folder(name).map_err(|cause| unwritten(name, &cause))?;
        }
        fs::remove_file(&self.progress).map_err(|cause| unwritten(&self.progress, &cause))
    }
}

/// Opens a file so that what is written comes after its first `bytes` bytes, and cuts off the rest.
fn at(partial: &Path, bytes: u64) -> Result<File, Failure> {
    let open = || {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(partial)?;
        let length = file.metadata()?.len();
        if length >= bytes {
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
        }
        Ok((file, length))
    };
    let (file, length) = open().map_err(|cause| unwritten(partial, &cause))?;
    if length < bytes {
        let error =
            Diagnostic::error(Code::ScoringJob, format!("{} is shorter than it was", partial.display()));
        return Err(invalid(
            error
                .found(format!("{length} bytes"))
                .expected(format!("at least {bytes} bytes"))
                .help("begin anew: remove it and the file that ends in .progress"),
        ));
    }
    Ok(file)
}

/// Sees that no other process works on the same.
fn lock(file: &File, partial: &Path) -> Result<(), Failure> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let error = Diagnostic::error(
                Code::ScoringJob,
                format!("another process is writing {}", partial.display()),
            );
            Err(invalid(error.help("wait until it is done, or choose another name")))
        }
        // Some file systems know no locks.
        Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn write_progress(progress: &Path, point: &Point) -> Result<(), Failure> {
    let write = || {
        let folder = folder_of(progress);
        let mut file = tempfile::Builder::new().prefix(".").suffix(".progress").tempfile_in(folder)?;
        serde_json::to_writer(&mut file, point)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(progress).map_err(|error| error.error)?;
        sync_folder(progress)
    };
    write().map_err(|cause| unwritten(progress, &cause))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
