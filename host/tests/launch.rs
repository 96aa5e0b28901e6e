//! Runs in several processes: what the program starts, what each process is told, and how the run ends. The engine is a small C library
//! that does what a test says.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![expect(unreachable_pub, reason = "the support module is shared in the way of integration tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use kiwi_core::config;
use kiwi_core::plugins::testing::{component, library, metadata, system};
use kiwi_plugin_metadata::reader::PluginMetadata;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Installation, Outcome, text};

/// What the bodies of engines use: the rank, files named by it, the sockets that the process listens on, and signals.
const PRELUDE: &str = r#"
extern char *getenv(const char *);
extern int atoi(const char *);
extern void *fopen(const char *, const char *);
extern int fclose(void *);
extern unsigned long fwrite(const void *, unsigned long, unsigned long, void *);
extern int fprintf(void *, const char *, ...);
extern int snprintf(char *, unsigned long, const char *, ...);
extern int rename(const char *, const char *);
extern int access(const char *, int);
extern int getpid(void);
extern int getppid(void);
extern int kill(int, int);
extern int usleep(unsigned);
extern void (*signal(int, void (*)(int)))(int);
extern int getsockopt(int, int, int, void *, unsigned *);
typedef void (*Send)(void *, const char *, unsigned long);

static int rank(void) { return getenv("RANK") ? atoi(getenv("RANK")) : -1; }
static const char *of(const char *name) { return getenv(name) ? getenv(name) : "-"; }
static void *begin(void) { return fopen(getenv("RANK") ? getenv("RANK") : "alone", "w"); }
static void ready(void *file) {
    char name[64];
    fclose(file);
    snprintf(name, sizeof name, "%s.ready", getenv("RANK") ? getenv("RANK") : "alone");
    rename(getenv("RANK") ? getenv("RANK") : "alone", name);
}
static int listening(void) {
    int count = 0;
    for (int fd = 3; fd < 256; fd++) {
        int value = 0;
        unsigned length = sizeof value;
        if (getsockopt(fd, 1, 30, &value, &length) == 0 && value) count += fd;
    }
    return count;
}
static int after_second(void) {
    while (access("1.ready", 0)) usleep(5000);
    usleep(500000);
    return 1;
}
static volatile int received;
static void receive(int signal) { received = signal; }
int kiwi_engine_run(const char *request, unsigned long length, Send send, void *context) {
"#;

/// An installation with a config, what it names, and an engine that does what `body` says.
fn installation(body: &str) -> Installation {
    let installation = Installation::new();
    fs::create_dir(installation.at("bin/plugins")).unwrap();
    let models = PluginMetadata {
        components: vec![
            component("encoder", "PredictorEncoder"),
            component("head", "TLMOutputs"),
            component("optimizer", "adam"),
        ],
        systems: vec![system("Predictor", "PredictorEncoder", "TLMOutputs")],
        ..metadata("models")
    };
    library(&installation.at("bin/plugins"), "libmodels.so", &models);
    installation.write("config.json", config::example());
    installation.library("bin/libkiwi_engine.so", &format!("{PRELUDE}{body}\nreturn 0;\n}}\n"));
    installation
}

fn train(installation: &Installation, arguments: &[&str]) -> Command {
    let torch = installation.libtorch([2, 11, 0]);
    let given = ["train", "config.json", "--libtorch", text(&torch)];
    installation.command(&[&given[..], arguments].concat())
}

/// What the process of a rank has written, once it is ready.
fn written(installation: &Installation, rank: &str) -> String {
    let file = installation.at(&format!("{rank}.ready"));
    for _ in 0..6000 {
        if let Ok(text) = fs::read_to_string(&file) {
            return text;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("rank {rank} was never ready");
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// Whether a process is gone, be it that nobody has asked how it ended.
fn is_gone(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    status.map_or(true, |status| status.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

/// Has the engine tell where it is.
const TELL: &str = r#"
    void *file = begin();
    fprintf(file, "%s %s %s %s %s %s %s %d %d ", of("RANK"), of("WORLD_SIZE"), of("LOCAL_RANK"), of("LOCAL_WORLD_SIZE"),
        of("MASTER_ADDR"), of("MASTER_PORT"), of("KIWI_LISTEN_FD"), listening(), atoi(of("KIWI_LAUNCHED")) == getppid());
    fwrite(request, 1, length, file);
    ready(file);
"#;

/// The place that an engine has told, and the request that it was given.
fn told(installation: &Installation, rank: &str) -> (Vec<String>, Value) {
    let written = written(installation, rank);
    let (place, request) = written.split_at(written.find('{').unwrap());
    (place.split_whitespace().map(str::to_owned).collect(), serde_json::from_str(request).unwrap())
}

#[test]
fn each_process_is_told_its_place_and_the_first_has_the_socket() {
    let installation = installation(TELL);
    let outcome = Outcome::of(&mut train(&installation, &["--nproc", "3", "--set", "trainer.epochs=7"]));
    let outcome = outcome.ends_with(0);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .starts_with("starting 3 processes on this machine, all on the CPU; each has --threads "),
        "{}",
        outcome.stderr
    );
    let mut ports = Vec::new();
    for (index, rank) in ["0", "1", "2"].into_iter().enumerate() {
        let (place, request) = told(&installation, rank);
        assert_eq!(place[..5], [rank, "3", rank, "3", "127.0.0.1"]);
        ports.push(place[5].clone());
        if index == 0 {
            assert_ne!(place[6], "-");
            assert_eq!(place[7], place[6], "the only socket that it listens on");
        } else {
            assert_eq!(place[6..8], ["-", "0"], "nobody else has the socket");
        }
        assert_eq!(place[8], "1", "its parent is the program that it was told of");
        assert_eq!(request["overrides"][0][1], "7");
        let cores = thread::available_parallelism().unwrap().get();
        assert_eq!(request["common"]["threads"], (cores / 3).max(1));
        assert_eq!(request["resume"], false);
    }
    assert!(ports.iter().all(|port| *port == ports[0] && port != "0"));
}

#[test]
fn threads_are_as_many_as_the_user_says() {
    let installation = installation(TELL);
    let _ = Outcome::of(&mut train(&installation, &["--nproc=2", "--threads", "5", "-q"])).ends_with(0);
    assert_eq!(told(&installation, "1").1["common"]["threads"], 5);
    let mut command = train(&installation, &["--nproc", "2"]);
    let outcome = Outcome::of(command.env("OMP_NUM_THREADS", "3")).ends_with(0);
    assert_eq!(told(&installation, "1").1["common"]["threads"], Value::Null);
    assert!(!outcome.stderr.contains("--threads"), "{}", outcome.stderr);
}

#[test]
fn the_help_says_what_is_started() {
    let help = Installation::new().run(&["train", "--help"]).ends_with(0);
    let _ = help.stdout_has(&["--nproc <N>", "--nproc 4", "trainer.gpus=-1"]);
    for wrong in ["0", "-1", "2000", "all"] {
        let refused = Installation::new().run(&["train", "config.json", "--nproc", wrong]).ends_with(2);
        assert!(refused.stderr.contains("--nproc"), "{}", refused.stderr);
    }
}

#[test]
fn one_process_is_no_launch() {
    let installation = installation(TELL);
    let outcome = Outcome::of(&mut train(&installation, &["--nproc", "1"])).ends_with(0);
    assert_eq!(outcome.stderr, "");
    assert_eq!(told(&installation, "alone").0[..2], ["-", "-"]);
}

#[test]
fn the_first_that_fails_says_the_exit_code() {
    let body = "if (rank() == 1) { ready(begin()); return 3; } return after_second();";
    let installation = installation(body);
    let outcome = Outcome::of(&mut train(&installation, &["--nproc", "2"])).ends_with(3);
    let last = "rank 1 of 2 failed first, with exit code 3: what it said stands above";
    assert_eq!(outcome.stderr.lines().last(), Some(last));
}

#[test]
fn one_that_is_killed_is_told() {
    let body = "if (rank() == 1) { ready(begin()); kill(getpid(), 9); } return after_second();";
    let installation = installation(body);
    let file = installation.at("error.json");
    let mut command = train(&installation, &["--nproc", "2"]);
    let outcome = Outcome::of(command.env("TORCHELASTIC_ERROR_FILE", &file)).ends_with(1);
    let said = outcome.stderr_has(&[
        "error[E0607]: rank 1 of 2 was ended by SIGKILL",
        "help: so the kernel ends a process",
    ]);
    let last = "kiwi-host train failed with exit code 1: rank 1 of 2 was ended by SIGKILL";
    assert_eq!(said.stderr.lines().last(), Some(last));
    let error: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(error["message"]["message"], "rank 1 of 2 was ended by SIGKILL");
}

/// Has the engine wait for SIGTERM, end with 75 then, and count SIGUSR1 for nothing.
const WAIT: &str = r#"
    signal(15, receive);
    void *file = begin();
    fprintf(file, "%d", getpid());
    ready(file);
    while (!received) { usleep(5000); }
    return 75;
"#;

#[test]
fn a_signal_reaches_all_processes() {
    let installation = installation(WAIT);
    let mut run = train(&installation, &["--nproc", "3"]).stderr(Stdio::null()).spawn().unwrap();
    let pids = ["0", "1", "2"].map(|rank| written(&installation, rank));
    signal(&run, Signal::TERM);
    assert_eq!(run.wait().unwrap().code(), Some(75));
    assert!(pids.iter().all(|pid| is_gone(pid)));
}

#[test]
fn no_process_outlives_the_one_that_started_it() {
    // What is interrupted before training ends at once, by the program's own hand.
    let installation = installation(&WAIT.replace("signal(15, receive);", ""));
    let mut run = train(&installation, &["--nproc", "2"]).stderr(Stdio::null()).spawn().unwrap();
    let pids = ["0", "1"].map(|rank| written(&installation, rank));
    assert!(pids.iter().all(|pid| !is_gone(pid)));
    signal(&run, Signal::KILL);
    let _ = run.wait().unwrap();
    for _ in 0..6000 {
        if pids.iter().all(|pid| is_gone(pid)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("a process is left");
}

#[test]
fn who_is_no_child_of_the_program_does_not_take_itself_for_one() {
    let installation = installation(TELL);
    let mut command = train(&installation, &[]);
    let _ = Outcome::of(command.env("KIWI_LAUNCHED", "1")).ends_with(2).stderr_has(&[
        "error[E0610]: KIWI_LAUNCHED does not name the process that started this one",
        "found: 1, in a child of ",
        "help: unset it",
    ]);
}

#[test]
fn a_wrong_config_and_what_is_missing_are_told_once() {
    let installation = installation(TELL);
    let once = |arguments: &[&str], code: i32, error: &str| {
        let outcome = Outcome::of(&mut train(&installation, arguments)).ends_with(code);
        assert_eq!(outcome.stderr.matches(error).count(), 1, "{}", outcome.stderr);
        assert!(!outcome.stderr.contains("starting"), "{}", outcome.stderr);
    };
    once(&["--nproc", "2", "--set", "trainer.epochs=0"], 2, "error[E0102]: invalid value for epochs");
    once(&["--set", "trainer.gpus=2"], 2, "error[E0504]: libtorch in ");
    once(&["--set", "trainer.gpus=[0,1,0]"], 2, "error[E0115]: GPU 0 is asked for twice");
    once(
        &["--nproc", "3", "--set", "trainer.gpus=2"],
        2,
        "error[E0508]: trainer.gpus asks for 2 GPUs, and kiwi-host starts",
    );
    let check = installation.run(&["check", "config.json", "--libtorch", "torch", "--set", "trainer.gpus=2"]);
    let _ = check.ends_with(2).stderr_has(&["has no CUDA part", "--> trainer.gpus"]);
    fs::remove_file(installation.at("bin/libkiwi_engine.so")).unwrap();
    once(&["--nproc", "2"], 2, "error[E0503]: the engine libkiwi_engine.so");
    assert!(!installation.at("0.ready").exists());
}

const TORCHRUN: [(&str, &str); 6] = [
    ("RANK", "0"),
    ("WORLD_SIZE", "2"),
    ("LOCAL_RANK", "0"),
    ("LOCAL_WORLD_SIZE", "2"),
    ("MASTER_ADDR", "127.0.0.1"),
    ("MASTER_PORT", "29500"),
];

#[test]
fn a_launcher_and_nproc_do_not_go_together() {
    let installation = installation(TELL);
    let mut command = train(&installation, &["--nproc", "2"]);
    let _ = Outcome::of(command.envs(TORCHRUN)).ends_with(2).stderr_has(&[
        "error[E0508]: --nproc starts processes, and torchrun does so already",
        "found: --nproc 2 in rank 0 of 2, started by torchrun",
        "help: leave out --nproc, and say by torchrun's --nproc-per-node how many there are",
    ]);
    let mut command = train(&installation, &["--set", "trainer.gpus=3"]);
    let _ = Outcome::of(command.envs(TORCHRUN)).ends_with(2).stderr_has(&[
        "error[E0508]: trainer.gpus asks for 3 GPUs, and torchrun starts another number of processes on this machine",
        "--> trainer.gpus",
        "found: 3 GPUs, 2 processes",
        "--nproc-per-node 3",
    ]);
    let mut command = train(&installation, &[]);
    let _ = Outcome::of(command.env("RANK", "0"))
        .ends_with(2)
        .stderr_has(&["torchrun sets RANK, but WORLD_SIZE is not set", "unset them"]);
    assert!(!installation.at("0.ready").exists());
}

#[test]
fn a_run_that_is_started_anew_goes_on_where_it_was() {
    let installation = installation(TELL);
    let restart = |rank: &str, arguments: &[&str]| {
        let _ = fs::remove_file(installation.at(&format!("{rank}.ready")));
        let mut command = train(&installation, arguments);
        command.envs(TORCHRUN).env("RANK", rank).env("LOCAL_RANK", rank);
        let outcome = Outcome::of(command.env("TORCHELASTIC_RESTART_COUNT", "2")).ends_with(0);
        (outcome.stderr, told(&installation, rank).1["resume"].as_bool().unwrap())
    };
    let (said, resumed) = restart("0", &["--set", "run.output_dir=null"]);
    assert!(
        said.starts_with("warning[W0682]: torchrun has started the run anew, and it begins at its start"),
        "{said}"
    );
    assert!(said.contains("--output-dir") && !resumed, "{said}");
    let directory = ["--output-dir", "run"];
    assert_eq!(restart("0", &directory), (String::new(), false), "no run has begun there");
    fs::create_dir_all(installation.at("run/checkpoints")).unwrap();
    installation.write("run/config.json", r#"{"run": {}, "trainer": {}, "data": {}, "system": {}}"#);
    let (said, resumed) = restart("0", &directory);
    let note = "torchrun has started the run anew (restart 2): it goes on in run, as with --resume\n";
    assert_eq!((said.as_str(), resumed), (note, true));
    assert_eq!(restart("1", &directory), (String::new(), true), "one speaks for all");
    // Under srun with one task, which starts processes of its own.
    let mut command = train(&installation, &["--nproc", "2", "-q", "--output-dir", "run"]);
    let slurm = [
        ("SLURM_PROCID", "0"),
        ("SLURM_STEP_NUM_TASKS", "1"),
        ("SLURM_JOB_ID", "7"),
        ("SLURM_RESTART_COUNT", "1"),
    ];
    command.envs(slurm).env("SLURM_STEP_NODELIST", "gpu7");
    let _ = Outcome::of(&mut command).ends_with(0);
    assert_eq!(told(&installation, "1").1["resume"], true);
}

#[test]
fn a_launcher_is_told_why_a_process_failed() {
    let error = r#"{"message":"diagnostics","content":[{"severity":"error","code":601,"message":"the loss is gone","notes":[]}]}"#;
    let installation = installation(TELL);
    installation.engine(&[error], 1);
    let file = installation.at("error.json");
    let run = |arguments: &[&str]| {
        let _ = fs::remove_file(&file);
        let outcome = Outcome::of(train(&installation, arguments).env("TORCHELASTIC_ERROR_FILE", &file));
        (
            outcome.code.unwrap(),
            fs::read(&file).ok().map(|json| serde_json::from_slice::<Value>(&json).unwrap()),
        )
    };
    let (code, told) = run(&[]);
    let told = told.unwrap();
    assert_eq!((code, told["message"]["message"].as_str()), (1, Some("the loss is gone")));
    let stack = told["message"]["extraInfo"]["py_callstack"].as_str().unwrap();
    assert!(stack.starts_with("error[E0601]: the loss is gone\n"), "{stack}");
    // What is wrong with a config is told by the program, beside what the engine says about options.
    let (code, told) = run(&["--set", "trainer.epochs=0"]);
    let stack = told.unwrap()["message"]["extraInfo"]["py_callstack"].to_string();
    assert!(code == 2 && stack.contains("invalid value for epochs"), "{stack}");
    for end in [75, 0] {
        installation.engine(&[error], end);
        assert_eq!(run(&[]), (end, None));
    }
    installation.engine(&[error], 1);
    let mut command = train(&installation, &[]);
    let _ = Outcome::of(command.env("TORCHELASTIC_ERROR_FILE", installation.at("missing/error.json")))
        .ends_with(1)
        .stderr_has(&["warning[W0782]: the launcher cannot be told of the error: "]);
}
