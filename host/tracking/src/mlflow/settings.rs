//! What the environment says of the connection to a tracking server, by the variables of MLflow's own clients.

use std::fmt;
use std::fs;
use std::time::Duration;

use kiwi_core::environment::{
    MLFLOW_EXPERIMENT_NAME, MLFLOW_HTTP_REQUEST_TIMEOUT, MLFLOW_TRACKING_INSECURE_TLS,
    MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_SERVER_CERT_PATH, MLFLOW_TRACKING_TOKEN,
    MLFLOW_TRACKING_USERNAME, Variable,
};
use ureq::tls::{Certificate, PemItem, parse_pem};

use super::Error;

/// How long a server has for a whole request, unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a server is spoken to.
#[derive(Clone)]
pub struct Settings {
    /// User name and password.
    pub(super) user: Option<(String, String)>,
    /// A bearer token.
    pub(super) token: Option<String>,
    /// Whether certificates go unchecked.
    pub(super) insecure: bool,
    /// The certificates that vouch for the server; `None` for those that browsers trust.
    pub(super) certificates: Option<Vec<Certificate<'static>>>,
    /// How long a whole request may take.
    pub(super) timeout: Duration,
    /// The experiment where a config names none.
    pub(super) experiment: Option<String>,
}

impl Default for Settings {
    /// What holds in an empty environment.
    fn default() -> Self {
        Self {
            user: None,
            token: None,
            insecure: false,
            certificates: None,
            timeout: TIMEOUT,
            experiment: None,
        }
    }
}

impl fmt::Debug for Settings {
    /// Without secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|(name, _)| name);
        formatter.debug_struct("Settings").field("user", &user).finish_non_exhaustive()
    }
}

/// The value of a variable that is set and not empty.
pub(super) fn variable(variable: Variable) -> Option<String> {
    std::env::var(variable.name).ok().filter(|value| !value.trim().is_empty())
}

impl Settings {
    /// What this process's environment says.
    ///
    /// # Errors
    /// When a variable is not what it should be.
    pub fn from_environment() -> Result<Self, Error> {
        Self::read(variable)
    }

    /// With this much time for a whole request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    fn read(value: impl Fn(Variable) -> Option<String>) -> Result<Self, Error> {
        let user = value(MLFLOW_TRACKING_USERNAME)
            .map(|name| (name, value(MLFLOW_TRACKING_PASSWORD).unwrap_or_default()));
        let insecure = match value(MLFLOW_TRACKING_INSECURE_TLS).map(|text| text.to_ascii_lowercase()) {
            None => false,
            Some(text) if text == "true" || text == "1" => true,
            Some(text) if text == "false" || text == "0" => false,
            Some(text) => {
                return Err(wrong(
                    MLFLOW_TRACKING_INSECURE_TLS,
                    format!("is `{text}`, expected true or false"),
                ));
            }
        };
        let timeout = match value(MLFLOW_HTTP_REQUEST_TIMEOUT) {
            None => TIMEOUT,
            Some(text) => match text.trim().parse::<u32>() {
                Ok(seconds) if seconds > 0 => Duration::from_secs(u64::from(seconds)),
                _ => {
                    let problem = format!("is `{text}`, expected a whole number of seconds of at least 1");
                    return Err(wrong(MLFLOW_HTTP_REQUEST_TIMEOUT, problem));
                }
            },
        };
        let certificates =
            value(MLFLOW_TRACKING_SERVER_CERT_PATH).map(|path| certificates(&path)).transpose()?;
        Ok(Self {
            user,
            token: value(MLFLOW_TRACKING_TOKEN),
            insecure,
            certificates,
            timeout,
            experiment: value(MLFLOW_EXPERIMENT_NAME),
        })
    }
}

fn wrong(variable: Variable, problem: String) -> Error {
    Error::Variable { name: variable.name, problem }
}

fn certificates(path: &str) -> Result<Vec<Certificate<'static>>, Error> {
    let refuse = |what: String| {
        wrong(
            MLFLOW_TRACKING_SERVER_CERT_PATH,
            format!("names {path}, {what}; expected a PEM file of certificates"),
        )
    };
    let pem = fs::read(path).map_err(|error| refuse(format!("which cannot be read: {error}")))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(refuse(format!("which is damaged: {error}"))),
        }
    }
    if certificates.is_empty() {
        Err(refuse("which holds no certificate".to_owned()))
    } else {
        Ok(certificates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::read(|variable| {
            set.iter().find(|(name, _)| *name == variable.name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_is_read_as_mlflow_reads_it() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.user, settings.timeout, settings.insecure), (None, TIMEOUT, false));
        let settings = read(&[
            ("MLFLOW_TRACKING_USERNAME", "ann"),
            ("MLFLOW_TRACKING_PASSWORD", "secret"),
            ("MLFLOW_TRACKING_INSECURE_TLS", "True"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "7"),
        ])
        .unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
        assert_eq!(settings.user, Some(("ann".to_owned(), "secret".to_owned())));
        assert_eq!((settings.timeout, settings.insecure), (Duration::from_secs(7), true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value) in [
            ("MLFLOW_TRACKING_INSECURE_TLS", "maybe"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "0"),
            ("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon"),
            ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere/at/all"),
            ("MLFLOW_TRACKING_SERVER_CERT_PATH", "/dev/null"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("expected"), "{error}");
        }
    }
}
