//! A server that answers as MLflow does until it is told to misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Answer,
    /// The connection is closed unheard.
    Close,
    /// Nothing is ever said.
    Hang,
    /// Half an answer is given, after the request was carried out.
    CloseMidResponse,
    /// A status and a text, and nothing is done.
    Status(u16, &'static str),
    /// A page that is no JSON.
    Page,
}

/// What a server has heard and holds.
#[derive(Debug)]
pub struct State {
    pub mode: Mode,
    pub requests: u64,
    /// How many runs were created.
    pub runs: u64,
    pub parameters: BTreeMap<String, String>,
    /// How often each value arrived, by name and step.
    pub values: BTreeMap<(String, u64), u64>,
    pub status: Vec<String>,
    pub files: BTreeMap<String, usize>,
    /// Where the server says that files of the run go.
    pub artifact_uri: String,
    /// How the last request was authorized.
    pub authorization: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Fake {
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn on(listener: TcpListener) -> Self {
        let state = Arc::new(Mutex::new(State {
            mode: Mode::Answer,
            requests: 0,
            runs: 0,
            parameters: BTreeMap::new(),
            values: BTreeMap::new(),
            status: Vec::new(),
            files: BTreeMap::new(),
            artifact_uri: "mlflow-artifacts:/1/r1/artifacts".to_owned(),
            authorization: None,
        }));
        let fake = Self { address: format!("http://{}", listener.local_addr().unwrap()), state };
        let served = fake.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                thread::spawn(move || served.serve(&stream));
            }
        });
        fake
    }

    pub fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    pub fn keep_files_at(&self, uri: &str) {
        self.state.lock().unwrap().artifact_uri = uri.to_owned();
    }

    pub fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    /// Waits until it holds so much, for a minute at most.
    pub fn wait(&self, until: impl Fn(&State) -> bool) {
        let began = Instant::now();
        while !self.with(&until) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{:#?}",
                self.with(|state| format!("{state:?}"))
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(Request { method, path, authorization, body }) = request(&mut reader) {
            let mode = {
                let mut state = self.state.lock().unwrap();
                state.requests += 1;
                state.authorization = authorization;
                state.mode
            };
            let (status, text) = match mode {
                Mode::Close => return,
                Mode::Hang => {
                    // Until the other side gives up.
                    let _ = reader.read(&mut [0]);
                    return;
                }
                Mode::Status(status, text) => (status, text.to_owned()),
                Mode::Page => (200, "<html>hello</html>".to_owned()),
                Mode::Answer | Mode::CloseMidResponse => self.answer(&method, &path, &body),
            };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
            let mut writer = stream;
            let all = head + &text;
            let part = if mode == Mode::CloseMidResponse { &all[..all.len() - 1] } else { &all };
            if writer.write_all(part.as_bytes()).is_err() || part.len() < all.len() {
                return;
            }
        }
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut state = self.state.lock().unwrap();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let info = json!({"info": {"run_id": "r1", "artifact_uri": state.artifact_uri, "lifecycle_stage": "active"}});
        if let ("PUT", Some(name)) =
            (method, path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts/1/r1/artifacts/"))
        {
            state.files.insert(name.to_owned(), body.len());
            return (200, String::new());
        }
        let answer = match path.strip_prefix("/api/2.0/mlflow/").unwrap_or(path) {
            "experiments/get-by-name" => {
                json!({"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}})
            }
            "runs/search" if state.runs == 0 => json!({}),
            "runs/search" => json!({"runs": [info]}),
            "runs/create" => {
                state.runs += 1;
                json!({"run": info})
            }
            "runs/get" => json!({"run": info}),
            "runs/log-batch" => {
                if body.windows(5).any(|text| text == b"bad/x") {
                    let message = "something in it is bad";
                    return (
                        400,
                        json!({"error_code": "INVALID_PARAMETER_VALUE", "message": message}).to_string(),
                    );
                }
                for one in sent["params"].as_array().into_iter().flatten() {
                    let text = |key: &str| one[key].as_str().unwrap().to_owned();
                    state.parameters.insert(text("key"), text("value"));
                }
                for one in sent["metrics"].as_array().into_iter().flatten() {
                    let name = one["key"].as_str().unwrap().to_owned();
                    *state.values.entry((name, one["step"].as_u64().unwrap())).or_default() += 1;
                }
                json!({})
            }
            "runs/update" => {
                state.status.push(sent["status"].as_str().unwrap().to_owned());
                json!({})
            }
            other => {
                return (
                    404,
                    format!("{{\"error_code\": \"ENDPOINT_NOT_FOUND\", \"message\": \"{other}\"}}"),
                );
            }
        };
        (200, answer.to_string())
    }
}

struct Request {
    method: String,
    path: String,
    authorization: Option<String>,
    body: Vec<u8>,
}

/// The next request of a connection.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut parts = line.split(' ').map(str::to_owned);
    let (method, path) = (parts.next()?, parts.next()?);
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        if let Some((name, value)) = header.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.trim().to_owned());
        }
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        assert!(!header.starts_with("transfer-encoding"), "bodies have a length");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, authorization, body })
}
