//! A request to a tracking server and what its answer means.

use std::fs::File;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiwi_core::tracking_uri::ServerUri;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Response;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::{Error, Settings};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a connection is kept for the next request: less than servers keep one, which would otherwise be gone when it is used.
const IDLE: Duration = Duration::from_secs(1);

/// What a file gets of time besides that of every request: as much as it takes at a mebibyte a second.
const BYTES_A_SECOND: u64 = 1 << 20;

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    pub(super) uri: ServerUri,
    authorization: Option<String>,
    timeout: Duration,
}

/// What MLflow answers where something is wrong.
#[derive(Debug, Default, Deserialize)]
struct Complaint {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    message: String,
}

impl Client {
    /// Connects to nothing yet.
    pub(super) fn new(uri: &ServerUri, settings: &Settings) -> Self {
        let mut tls = TlsConfig::builder().disable_verification(settings.insecure);
        if let Some(certificates) = &settings.certificates {
            tls = tls.root_certs(RootCerts::new_with_certs(certificates));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT.min(settings.timeout)))
            .timeout_global(Some(settings.timeout))
            .max_idle_age(IDLE)
            .tls_config(tls.build())
            .user_agent(concat!("kiwi-host/", env!("CARGO_PKG_VERSION")))
            .build();
        let basic = |(name, password): &(String, String)| {
            format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
        };
        let authorization = uri.credentials.as_ref().or(settings.user.as_ref()).map(basic);
        let authorization =
            authorization.or_else(|| settings.token.as_ref().map(|token| format!("Bearer {token}")));
        Self { agent: config.into(), uri: uri.clone(), authorization, timeout: settings.timeout }
    }

    /// Asks for something: `endpoint` as `experiments/get-by-name`.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut request = self.agent.get(self.url(endpoint));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        self.answer(endpoint, request.call())
    }

    /// Has something done.
    pub(super) fn post<T: DeserializeOwned>(&self, endpoint: &str, body: &Value) -> Result<T, Error> {
        let mut request = self.agent.post(self.url(endpoint)).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        self.answer(endpoint, request.send(body.to_string()))
    }

    /// Sends a file to the server's own store, `path` being percent-encoded.
    pub(super) fn put_file(&self, path: &str, file: File, bytes: u64) -> Result<(), Error> {
        let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/{path}", self.uri.address);
        let timeout = self.timeout + Duration::from_secs(bytes / BYTES_A_SECOND);
        let mut request = self.agent.put(url).config().timeout_global(Some(timeout)).build();
        request = request.header("Content-Type", "application/octet-stream");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let text = self.text(path, request.send(file))?;
        // It answers nothing, or an empty object.
        if text.trim().is_empty() { Ok(()) } else { self.json::<Value>(path, &text).map(|_| ()) }
    }

    fn url(&self, endpoint: &str) -> String {
        format!("{}/api/2.0/mlflow/{endpoint}", self.uri.address)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        endpoint: &str,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Error> {
        self.json(endpoint, &self.text(endpoint, response)?)
    }

    fn json<T: DeserializeOwned>(&self, endpoint: &str, text: &str) -> Result<T, Error> {
        serde_json::from_str(text).map_err(|_| Error::NotMlflow {
            server: self.uri.address.clone(),
            found: format!("{endpoint} gave `{}`", excerpt(text)),
        })
    }

    /// What an answer holds that says that all is well.
    fn text(&self, endpoint: &str, response: Result<Response<Body>, ureq::Error>) -> Result<String, Error> {
        let server = self.uri.address.clone();
        let unreachable =
            |cause: ureq::Error| Error::Unreachable { server: server.clone(), cause: cause.to_string() };
        let mut response = response.map_err(|error| match error {
            // What cannot be said in HTTP at all will not be understood the next time either.
            ureq::Error::Protocol(_) | ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
                Error::NotMlflow { server: server.clone(), found: format!("{endpoint} gave `{error}`") }
            }
            error => unreachable(error),
        })?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        if response.status().is_success() {
            return Ok(text);
        }
        let complaint = serde_json::from_str::<Complaint>(&text).ok();
        let said = complaint.as_ref().map_or_else(|| excerpt(&text), |complaint| excerpt(&complaint.message));
        let message = if said.is_empty() { String::new() } else { format!(": {said}") };
        let code = complaint.unwrap_or_default().error_code;
        Err(match status {
            401 => Error::Unauthorized { server },
            403 => Error::Forbidden { server, message },
            404 if code != "RESOURCE_DOES_NOT_EXIST" => {
                Error::NotMlflow { server, found: format!("{endpoint} gave status 404{message}") }
            }
            408 | 425 | 429 | 500.. => Error::Failing { server, status, message },
            400..500 => Error::Refused { status, code, message: said },
            _ => Error::NotMlflow { server, found: format!("{endpoint} gave status {status}{message}") },
        })
    }
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
