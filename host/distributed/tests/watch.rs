//! Ranks that are threads of this process, over loopback as they are between machines; and some that are processes.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use kiwi_distributed::{How, Listener, Loss, Pace, Refusal, Watch, WatchError};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);
const TOKEN: &[u8] = b"night";
const HOST: &str = "127.0.0.1";

/// Nobody is silent by this one, however busy the machine is.
const PACE: Pace = Pace {
    beat: Duration::from_millis(50),
    silence: Duration::from_secs(20),
    grace: Duration::from_millis(600),
};

/// One by which ranks that are stopped are soon silent.
const BRISK: Pace = Pace { silence: Duration::from_millis(500), ..PACE };

fn listener() -> Listener {
    Listener::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap()
}

fn first(listener: Listener, ranks: u32, pace: Pace) -> Watch {
    Watch::first(listener, ranks, TOKEN, pace, LONG, |_| {}).unwrap()
}

fn join(port: u16, rank: u32, pace: Pace) -> Watch {
    Watch::join(HOST, port, rank, TOKEN, pace, LONG, |_| {}).unwrap()
}

/// What each of so many ranks comes to once all are there, in their order.
fn each<T: Send + 'static>(ranks: u32, work: impl Fn(u32, Watch) -> T + Clone + Send + 'static) -> Vec<T> {
    let listener = listener();
    let port = listener.port();
    let all_there = Arc::new(Barrier::new(ranks as usize));
    let joining = |rank| {
        let (work, all_there) = (work.clone(), Arc::clone(&all_there));
        thread::spawn(move || {
            let watch = join(port, rank, PACE);
            all_there.wait();
            work(rank, watch)
        })
    };
    let threads: Vec<_> = (1..ranks).map(joining).collect();
    let watch = first(listener, ranks, PACE);
    all_there.wait();
    let mut found = vec![work(0, watch)];
    found.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    found
}

fn failed(rank: u32, text: &str) -> Loss {
    Loss { rank, how: How::Failed(text.to_owned()) }
}

fn ended(rank: u32) -> Loss {
    Loss { rank, how: How::Ended }
}

#[test]
fn ranks_that_leave_are_not_lost_in_whatever_order_they_do() {
    for ranks in [1, 2, 4, 16] {
        for first_leaves_first in [false, true] {
            let start = Instant::now();
            let losses = each(ranks, move |rank, watch| {
                let later = if first_leaves_first { rank } else { ranks - rank };
                let loss = watch.loss(Duration::from_millis(u64::from(later) * 40));
                watch.leave();
                loss
            });
            assert_eq!(losses, vec![None; ranks as usize]);
            assert!(start.elapsed() < LONG / 2);
        }
    }
}

#[test]
fn when_rank_0_has_left_nobody_waits_for_a_loss() {
    let losses = each(3, |rank, watch| {
        if rank == 0 {
            watch.leave();
            return None;
        }
        let start = Instant::now();
        let loss = watch.loss(LONG);
        assert!(start.elapsed() < LONG / 2);
        loss
    });
    assert_eq!(losses, [None, None, None]);
}

#[test]
fn what_a_rank_says_of_its_failure_is_heard_by_all_and_what_comes_later_is_not() {
    for ranks in [4, 16] {
        for failing in [0, 1, ranks - 1] {
            let losses = each(ranks, move |rank, watch| {
                if rank == failing {
                    watch.failed("no room left on the device");
                    // It was not lost itself.
                    return watch.loss(LONG);
                }
                let loss = watch.loss(LONG);
                // As a consequence, these fail, too, and end.
                watch.failed("a collective call failed");
                assert_eq!(watch.loss(LONG), loss);
                loss
            });
            let expected = |rank| (rank != failing).then(|| failed(failing, "no room left on the device"));
            assert_eq!(losses, (0..ranks).map(expected).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_rank_that_ends_without_a_word_is_named_by_all() {
    for ranks in [4, 16] {
        for ending in [0, 2] {
            let losses = each(ranks, move |rank, watch| {
                if rank == ending {
                    drop(watch);
                    return None;
                }
                let loss = watch.loss(LONG);
                // Some of them end as a consequence, and the others still name the first.
                if rank % 2 == 1 {
                    drop(watch);
                } else {
                    thread::sleep(SHORT);
                    assert_eq!(watch.loss(LONG), loss);
                }
                loss
            });
            let expected = |rank| (rank != ending).then(|| ended(ending));
            assert_eq!(losses, (0..ranks).map(expected).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_long_text_arrives_in_part() {
    let losses = each(3, |rank, watch| {
        if rank == 1 {
            watch.failed(&"é".repeat(100_000));
            return None;
        }
        watch.loss(LONG)
    });
    let text = "é".repeat(8 << 10);
    assert_eq!(losses, [Some(failed(1, &text)), None, Some(failed(1, &text))]);
}

#[test]
fn ranks_that_do_not_come_are_named_to_those_that_did() {
    let listener = listener();
    let port = listener.port();
    let three = thread::spawn(move || join(port, 3, PACE).loss(LONG));
    let error = Watch::first(listener, 5, TOKEN, PACE, Duration::from_secs(2), |_| {}).unwrap_err();
    let text = "ranks 1, 2 and 4 have not come within 2 s";
    assert_eq!(error, WatchError::Missing { ranks: vec![1, 2, 4], patience: Duration::from_secs(2) });
    assert_eq!(error.to_string(), text);
    assert_eq!(three.join().unwrap(), Some(failed(0, text)));
}

#[test]
fn a_rank_lost_while_others_are_awaited_is_an_error() {
    let listener = listener();
    let port = listener.port();
    let two = thread::spawn(move || join(port, 2, PACE).loss(LONG));
    let one = thread::spawn(move || join(port, 1, PACE).failed("no such file"));
    let error = Watch::first(listener, 4, TOKEN, PACE, LONG, |_| {}).unwrap_err();
    assert_eq!(error, WatchError::Lost(failed(1, "no such file")));
    assert_eq!(error.to_string(), "rank 1 failed: no such file");
    one.join().unwrap();
    // It came before that, or at the latest then.
    if let Ok(loss) = two.join() {
        assert!(loss == Some(failed(1, "no such file")) || loss == Some(ended(0)), "{loss:?}");
    }
}

#[test]
fn who_does_not_belong_to_the_run_is_refused() {
    let listener = listener();
    let port = listener.port();
    let waiting = thread::spawn(move || first(listener, 3, PACE));
    let one = join(port, 1, PACE);
    let refused = |rank, token: &[u8], reason| {
        let error = Watch::join(HOST, port, rank, token, PACE, LONG, |_| {}).unwrap_err();
        assert_eq!(error, WatchError::Refused { host: HOST.to_owned(), port, rank, why: reason });
        error.to_string()
    };
    let message = refused(2, b"light", Refusal::OtherRun);
    assert_eq!(message, format!("rank 0 at 127.0.0.1:{port} refuses rank 2: it belongs to another run"));
    refused(2, &TOKEN.repeat(100_000), Refusal::OtherRun);
    refused(2, b"", Refusal::OtherRun);
    refused(1, TOKEN, Refusal::CameBefore);
    refused(0, TOKEN, Refusal::NoSuchRank);
    refused(3, TOKEN, Refusal::NoSuchRank);
    let two = join(port, 2, PACE);
    let zero = waiting.join().unwrap();
    for watch in [&zero, &one, &two] {
        assert_eq!(watch.loss(SHORT), None);
    }
    [two, one, zero].into_iter().for_each(Watch::leave);
}

#[test]
fn rank_0_that_ends_before_it_lets_others_in_is_not_waited_for() {
    let listener = listener();
    let port = listener.port();
    let joining =
        thread::spawn(move || Watch::join(HOST, port, 1, TOKEN, PACE, Duration::from_secs(2), |_| {}));
    thread::sleep(SHORT);
    drop(listener);
    assert!(matches!(joining.join().unwrap(), Err(WatchError::Unreachable { .. })));
}

#[test]
fn a_loss_is_called_after_the_grace_once_unless_this_rank_has_left_or_failed() {
    let listener = listener();
    let port = listener.port();
    let (sender, calls) = mpsc::channel();
    let calling = |rank: u32| {
        let sender = sender.clone();
        move |loss: &Loss| sender.send((rank, loss.clone(), Instant::now())).unwrap()
    };
    let joining: Vec<_> = (1..5)
        .map(|rank| {
            let lost = calling(rank);
            thread::spawn(move || Watch::join(HOST, port, rank, TOKEN, PACE, LONG, lost).unwrap())
        })
        .collect();
    let zero = Watch::first(listener, 5, TOKEN, PACE, LONG, calling(0)).unwrap();
    let [one, two, three, four] = <[_; 4]>::try_from(joining).unwrap().map(|thread| thread.join().unwrap());
    let start = Instant::now();
    one.failed("no memory");
    for watch in [&zero, &two, &three, &four] {
        assert_eq!(watch.loss(LONG), Some(failed(1, "no memory")));
    }
    two.leave();
    // One that tells why it ends hangs all the same.
    four.failed("a collective call failed");
    let mut called: Vec<_> = (0..3).map(|_| calls.recv_timeout(LONG).unwrap()).collect();
    called.sort_by_key(|(rank, ..)| *rank);
    for ((rank, loss, at), expected) in called.into_iter().zip([0, 3, 4]) {
        assert_eq!((rank, loss), (expected, failed(1, "no memory")));
        assert!(at - start >= PACE.grace, "rank {rank}: {:?}", at - start);
    }
    assert!(calls.recv_timeout(2 * PACE.grace).is_err());
}

/// Another process of this test, that does this; once it is so far.
fn process(does: &str, port: u16) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "what_another_process_does", "--nocapture"]);
    command.env("WATCH_TEST", does).env("WATCH_TEST_PORT", port.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(line(&mut output, "here"), "");
    (child, output)
}

/// What follows `start` on the next line that has it: the test's own output is there, too.
fn line(output: &mut impl BufRead, start: &str) -> String {
    let start = format!("<{start}>");
    let found =
        output.lines().find_map(|line| line.unwrap().split_once(&start).map(|(_, rest)| rest.to_owned()));
    found.unwrap()
}

fn signal(child: &Child, signal: &str) {
    let command = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
}

#[test]
fn what_another_process_does() {
    let Ok(does) = std::env::var("WATCH_TEST") else { return };
    if does == "a rank" {
        let watch = join(std::env::var("WATCH_TEST_PORT").unwrap().parse().unwrap(), 1, BRISK);
        println!("<here>");
        println!("<loss>{}", watch.loss(LONG).unwrap());
    } else {
        let listener = listener();
        let port = listener.port();
        let joining = thread::spawn(move || join(port, 1, BRISK));
        let watches = [first(listener, 2, BRISK), joining.join().unwrap()];
        println!("<here>");
        thread::sleep(Duration::from_secs(2));
        println!("<loss>{:?}", watches.each_ref().map(|watch| watch.loss(Duration::ZERO)));
    }
}

#[cfg(unix)]
#[test]
fn a_process_that_is_killed_is_named() {
    let listener = listener();
    let port = listener.port();
    let two = thread::spawn(move || join(port, 2, PACE));
    let zero = thread::spawn(move || first(listener, 3, PACE));
    let (mut child, _output) = process("a rank", port);
    let (zero, two) = (zero.join().unwrap(), two.join().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(zero.loss(LONG), Some(ended(1)));
    assert_eq!(two.loss(LONG), Some(ended(1)));
}

#[cfg(unix)]
#[test]
fn a_process_that_is_stopped_is_named_and_learns_it_when_it_wakes() {
    let listener = listener();
    let port = listener.port();
    let two = thread::spawn(move || join(port, 2, PACE));
    let zero = thread::spawn(move || first(listener, 3, BRISK));
    let (mut child, mut output) = process("a rank", port);
    let (zero, two) = (zero.join().unwrap(), two.join().unwrap());
    signal(&child, "STOP");
    let loss = zero.loss(LONG).unwrap();
    assert!(matches!(loss, Loss { rank: 1, how: How::Silent(_) }), "{loss:?}");
    assert_eq!(two.loss(LONG).as_ref(), Some(&loss));
    thread::sleep(2 * BRISK.silence);
    signal(&child, "CONT");
    let text = line(&mut output, "loss");
    assert!(text.starts_with("rank 1 has not answered for 0.5 s"), "{text}");
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn processes_that_were_stopped_together_do_not_accuse_each_other() {
    let (mut child, mut output) = process("two ranks", 0);
    signal(&child, "STOP");
    thread::sleep(3 * BRISK.silence);
    signal(&child, "CONT");
    assert_eq!(line(&mut output, "loss"), "[None, None]");
    assert!(child.wait().unwrap().success());
}
