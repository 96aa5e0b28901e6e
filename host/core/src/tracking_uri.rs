//! Where the values of runs are sent: what `run.mlflow_tracking_uri`, MLFLOW_TRACKING_URI and `kiwi-host mlflow sync` accept.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::diagnostic::Diagnostic;
use crate::error_code::Code;

/// A tracking URI of MLflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackingUri {
    /// A server.
    Server(ServerUri),
    /// A folder, which current MLflow refuses as a store: values stay in the run.
    Folder(PathBuf),
}

/// The URI of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUri {
    /// Scheme, host, port and path, without credentials and without a slash at the end.
    pub address: String,
    /// User name and password, where they were part of the URI.
    pub credentials: Option<(String, String)>,
}

/// What a tracking URI may be, for messages.
pub const EXPECTED: &str = "http://HOST:PORT or https://HOST of a tracking server, or a folder, in which case values stay in the run";

/// Why a tracking URI is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrackingUriError {
    /// A store that only MLflow's own Python clients reach.
    #[error("kiwi-host sends to tracking servers over HTTP and cannot reach `{scheme}` itself")]
    Scheme {
        /// The scheme, or the word that stands for one.
        scheme: String,
    },
    /// Not the URI of a server.
    #[error("the URI of a tracking server {problem}")]
    Server {
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl TrackingUriError {
    /// The complaint: found `text`.
    #[must_use]
    pub fn diagnostic(&self, text: &str) -> Diagnostic {
        let help = match self {
            Self::Scheme { scheme } if scheme.starts_with("databricks") || scheme == "uc" => {
                "name a tracking server"
            }
            Self::Scheme { .. } => {
                "start a server on that store with `mlflow server --backend-store-uri`, and name the server"
            }
            Self::Server { .. } => "correct it, as http://127.0.0.1:5000",
        };
        Diagnostic::error(Code::TrackingUri, self.to_string())
            .found(format!("\"{}\"", without_password(text)))
            .expected(EXPECTED)
            .help(help)
    }
}

impl TrackingUri {
    /// Reads a tracking URI.
    ///
    /// # Errors
    /// When it is neither the URI of a server nor a folder.
    pub fn parse(text: &str) -> Result<Self, TrackingUriError> {
        let text = text.trim();
        if let "databricks" | "databricks-uc" | "uc" = text {
            return Err(TrackingUriError::Scheme { scheme: text.to_owned() });
        }
        let Some((scheme, rest)) = scheme_of(text) else {
            return Ok(Self::Folder(PathBuf::from(text)));
        };
        match scheme.as_str() {
            "http" | "https" => ServerUri::parse(&scheme, rest).map(Self::Server),
            "file" => Ok(Self::Folder(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)))),
            _ => Err(TrackingUriError::Scheme { scheme }),
        }
    }
}

impl ServerUri {
    fn parse(scheme: &str, rest: &str) -> Result<Self, TrackingUriError> {
        let wrong = |problem| Err(TrackingUriError::Server { problem });
        let Some(rest) = rest.strip_prefix("//") else { return wrong("lacks `//` after its scheme") };
        if rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '\\' | '"' | '<' | '>'))
        {
            return wrong("holds a character that no URI has");
        }
        if rest.contains(['?', '#']) {
            return wrong("ends with its path, without `?` and `#`");
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let (name, port) = match host.rsplit_once(':') {
            // The colons of an address of IPv6 are within brackets.
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (host, None),
        };
        if name.is_empty() {
            return wrong("lacks a host");
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return wrong("has a port that is no number from 0 to 65535");
        }
        let credentials = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (decoded(name), decoded(password))
        });
        let address = format!("{scheme}://{}{}", host.to_ascii_lowercase(), path.trim_end_matches('/'));
        Ok(Self { address, credentials })
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let host = self.address.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.split('/').next().unwrap_or_default();
        let name =
            host.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(host, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// The scheme in lower case, if there is one, and what follows its colon. A single letter is no scheme.
fn scheme_of(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then(|| (scheme.to_ascii_lowercase(), rest))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A URI for people to read: no password.
#[must_use]
pub fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            format!("{scheme}://{name}@{host}{path}")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> ServerUri {
        match TrackingUri::parse(text) {
            Ok(TrackingUri::Server(server)) => server,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn servers_and_folders_are_told_apart() {
        assert_eq!(server("HTTP://Host:5000/").address, "http://host:5000");
        assert_eq!(server("https://host/mlflow//").address, "https://host/mlflow");
        for folder in ["mlruns/", "/data/mlruns", "a:b/c", "./x:y"] {
            assert_eq!(TrackingUri::parse(folder), Ok(TrackingUri::Folder(folder.into())), "{folder}");
        }
        assert_eq!(TrackingUri::parse("file:///a/b"), Ok(TrackingUri::Folder("/a/b".into())));
        assert_eq!(TrackingUri::parse("file:a"), Ok(TrackingUri::Folder("a".into())));
    }

    #[test]
    fn credentials_are_taken_out_of_the_address() {
        let server = server("http://ann%40home:p%3Aw@host:1/x");
        assert_eq!(server.address, "http://host:1/x");
        assert_eq!(server.credentials, Some(("ann@home".to_owned(), "p:w".to_owned())));
        let shown =
            TrackingUri::parse("http://ann:secret@:1").unwrap_err().diagnostic("http://ann:secret@:1");
        assert_eq!(shown.found.as_deref(), Some("\"http://ann@:1\""));
    }

    #[test]
    fn what_cannot_be_reached_is_refused() {
        for text in
            ["databricks", "databricks://profile", "sqlite:///a.db", "postgresql+psycopg2://h/d", "s3://b"]
        {
            let error = TrackingUri::parse(text).unwrap_err();
            assert!(matches!(error, TrackingUriError::Scheme { .. }), "{text}: {error}");
        }
        for text in
            ["http:host", "http://", "http://:5", "http://h:x", "http://h:70000", "http://a b", "http://h?x"]
        {
            let error = TrackingUri::parse(text).unwrap_err();
            assert!(matches!(error, TrackingUriError::Server { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_server_may_be_on_this_machine() {
        for text in ["http://localhost", "http://127.0.0.1:5000/x", "https://[::1]:5000", "http://[::1]"] {
            assert!(server(text).is_local(), "{text}");
        }
        for text in ["http://localhost.example", "http://10.0.0.1", "http://[::2]:1"] {
            assert!(!server(text).is_local(), "{text}");
        }
    }
}
