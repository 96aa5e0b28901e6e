//! Where the files of a run go, by the URI that the server gives for it.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Error;
use super::client::Client;

/// What a path does not hold as it is.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A store of files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// The server's own, by this path of it.
    Server(String),
    /// A folder of this machine.
    Folder(PathBuf),
    /// One that only MLflow's Python clients reach.
    Other,
}

impl Store {
    /// The store of an artifact URI; a folder only if the server is on this machine too.
    pub(super) fn of(uri: &str, server_is_local: bool) -> Self {
        if let Some(path) = uri.strip_prefix("mlflow-artifacts:") {
            // With a host in it, the files would go to another server.
            return match path.strip_prefix("//") {
                Some(rest) if !rest.starts_with('/') => Self::Other,
                _ => Self::Server(path.trim_matches('/').to_owned()),
            };
        }
        let path = match uri.strip_prefix("file:") {
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => uri,
        };
        // A relative one is relative to where the server was started, wherever that is.
        if server_is_local && path.starts_with('/') { Self::Folder(PathBuf::from(path)) } else { Self::Other }
    }

    /// Sends a file of a run's directory, `name` being its path in there. `false` if this store cannot be reached.
    pub(super) fn send(&self, client: &Client, directory: &Path, name: &str) -> Result<bool, Error> {
        let path = directory.join(name);
        match self {
            Self::Other => Ok(false),
            Self::Server(root) => {
                let failed = |cause| Error::File { file: path.clone(), action: "read", cause };
                let file = File::open(&path).map_err(failed)?;
                let bytes = file.metadata().map_err(failed)?.len();
                client.put_file(&encoded(&format!("{root}/{name}")), file, bytes)?;
                Ok(true)
            }
            Self::Folder(root) => {
                let target = root.join(name);
                copy(&path, &target).map_err(|cause| Error::File {
                    file: target,
                    action: "written",
                    cause,
                })?;
                Ok(true)
            }
        }
    }
}

/// Whether a path leads to something below where it starts.
pub(super) fn is_below(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut beside = to.as_os_str().to_owned();
    beside.push(".part");
    fs::copy(from, &beside)?;
    fs::rename(&beside, to)
}

/// A path as it stands in a URL.
fn encoded(path: &str) -> String {
    utf8_percent_encode(path, &ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_told_apart() {
        let server = |path: &str| Store::Server(path.to_owned());
        assert_eq!(Store::of("mlflow-artifacts:/1/ab/artifacts", false), server("1/ab/artifacts"));
        assert_eq!(Store::of("mlflow-artifacts:///1/ab", false), server("1/ab"));
        assert_eq!(Store::of("mlflow-artifacts://host:1/1/ab", true), Store::Other);
        assert_eq!(Store::of("file:///a/b", true), Store::Folder("/a/b".into()));
        assert_eq!(Store::of("/a/b", true), Store::Folder("/a/b".into()));
        assert_eq!(Store::of("/a/b", false), Store::Other);
        assert_eq!(Store::of("./mlruns/0", true), Store::Other);
        assert_eq!(Store::of("s3://bucket/a", true), Store::Other);
    }

    #[test]
    fn paths_are_encoded_and_stay_below() {
        assert_eq!(encoded("a b/ä?.x"), "a%20b/%C3%A4%3F.x");
        assert!(is_below("checkpoints/a.safetensors"));
        for name in ["", "/etc/passwd", "../a", "a/../../b"] {
            assert!(!is_below(name), "{name}");
        }
    }
}
