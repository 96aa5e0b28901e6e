//! Ranks whose other end is a bare connection.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::sync::mpsc;

use super::error::list;
use super::frames::{ANSWER_SIZE, Frame};
use super::*;

const LONG: Duration = Duration::from_secs(30);
const TOKEN: &[u8] = b"night";

const PACE: Pace = Pace {
    beat: Duration::from_millis(50),
    silence: Duration::from_millis(500),
    grace: Duration::from_millis(100),
};

fn listener() -> Listener {
    Listener::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap()
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// Rank 0 and a bare connection that has greeted it as rank 1.
fn first_and_bare(pace: Pace) -> (Watch, TcpStream) {
    let listener = listener();
    let mut stream = connect(listener.port());
    stream.write_all(&frames::greeting(1, TOKEN)).unwrap();
    let watch = Watch::first(listener, 2, TOKEN, pace, LONG, |_| {}).unwrap();
    let mut answer = [0; ANSWER_SIZE];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(frames::read_answer(&answer), Ok(Ok(())));
    (watch, stream)
}

/// The first frame that comes and is no beat, if one does before the connection ends.
fn word(stream: &mut TcpStream) -> Option<Frame> {
    let mut bytes = Vec::new();
    loop {
        while let Some((frame, size)) = Frame::read(&bytes).unwrap() {
            if frame != Frame::Beat {
                return Some(frame);
            }
            bytes.drain(..size);
        }
        let mut chunk = [0; 64];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(size) => bytes.extend(&chunk[..size]),
        }
    }
}

#[test]
fn a_rank_that_says_nothing_is_lost_and_may_still_read_that() {
    let (watch, mut stream) = first_and_bare(PACE);
    let start = Instant::now();
    let loss = watch.loss(LONG).unwrap();
    assert!(matches!(loss, Loss { rank: 1, how: How::Silent(time) } if time >= PACE.silence), "{loss:?}");
    assert!(start.elapsed() >= PACE.silence / 2);
    assert_eq!(word(&mut stream), Some(Frame::Loss(loss)));
}

#[test]
fn a_rank_that_says_nothing_but_beats_is_not_lost() {
    let (watch, mut stream) = first_and_bare(PACE);
    let start = Instant::now();
    while start.elapsed() < 3 * PACE.silence {
        stream.write_all(&Frame::Beat.bytes()).unwrap();
        thread::sleep(PACE.beat);
    }
    assert_eq!(watch.loss(Duration::ZERO), None);
    // Its goodbye needs no end of the connection.
    stream.write_all(&Frame::Goodbye.bytes()).unwrap();
    assert_eq!(watch.loss(LONG), None);
    assert_eq!(word(&mut stream), None);
    watch.leave();
}

#[test]
fn rank_0_that_says_nothing_is_lost_and_may_still_read_that() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let joining =
        thread::spawn(move || Watch::join("localhost", port, 1, TOKEN, PACE, LONG, |_| {}).unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    let mut greeting = frames::greeting(1, TOKEN);
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(frames::read_greeting(&greeting, TOKEN), Ok(Some((1, greeting.len()))));
    stream.write_all(&frames::answer(Ok(()))).unwrap();
    let loss = joining.join().unwrap().loss(LONG).unwrap();
    assert!(matches!(loss, Loss { rank: 0, how: How::Silent(_) }), "{loss:?}");
    assert_eq!(word(&mut stream), Some(Frame::Loss(loss)));
}

#[test]
fn a_rank_that_sends_what_is_no_frame_is_lost() {
    let of_another = Frame::Loss(Loss { rank: 7, how: How::Failed("not mine to say".to_owned()) });
    for bytes in [vec![0xff; 100], vec![2, 0xff, 0xff, 0xff, 0xff], of_another.bytes()] {
        let (watch, mut stream) = first_and_bare(PACE);
        stream.write_all(&bytes).unwrap();
        let loss = watch.loss(LONG).unwrap();
        assert_eq!(loss.to_string(), "rank 1 failed: it sends what cannot be understood");
    }
}

#[test]
fn a_text_is_heard_though_the_connection_ends_at_once_and_in_pieces() {
    let (watch, mut stream) = first_and_bare(PACE);
    let said = Loss { rank: 1, how: How::Failed("no memory ".repeat(1000)) };
    for piece in Frame::Loss(said.clone()).bytes().chunks(4000) {
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(20));
    }
    drop(stream);
    assert_eq!(watch.loss(LONG), Some(said));
}

#[test]
fn whoever_does_not_greet_disturbs_nobody() {
    let listener = listener();
    let port = listener.port();
    let mut silent = connect(port);
    let mut stray = connect(port);
    stray.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut half = connect(port);
    half.write_all(&frames::greeting(1, TOKEN)[..10]).unwrap();
    let mut other = connect(port);
    other.write_all(&frames::greeting(1, b"light")).unwrap();
    drop(connect(port));
    let start = Instant::now();
    let first = thread::spawn(move || Watch::first(listener, 3, TOKEN, PACE, LONG, |_| {}).unwrap());
    let join = |rank| Watch::join("127.0.0.1", port, rank, TOKEN, PACE, LONG, |_| {}).unwrap();
    let one = join(1);
    let mut answer = Vec::new();
    other.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, frames::answer(Err(Refusal::OtherRun)));
    // The one is sent away at once, the others after a while. What they get is an end, or an error where something was not read.
    assert_eq!(stray.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(start.elapsed() < Duration::from_secs(4));
    assert_eq!(half.read(&mut [0; 1]).unwrap_or(0), 0);
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(start.elapsed() >= Duration::from_secs(4));
    let two = join(2);
    let first = first.join().unwrap();
    for watch in [&first, &one, &two] {
        assert_eq!(watch.loss(Duration::from_millis(100)), None);
    }
    one.leave();
    two.leave();
    assert_eq!(first.loss(LONG), None);
}

#[test]
fn somebody_else_who_answers_is_not_rank_0() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let join = |patience| Watch::join("127.0.0.1", port, 1, TOKEN, PACE, patience, |_| {}).unwrap_err();
    let message = |what: &str| format!("cannot reach rank 0 at 127.0.0.1:{port}: {what}");
    assert_eq!(join(Duration::from_millis(300)).to_string(), message("no answer within 0.3 s"));
    let (waiting, served) = mpsc::channel();
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            // The first has gone.
            let _ = stream.write_all(b"220 mail.example.org at your service\r\n");
            waiting.send(stream).unwrap();
        }
    });
    assert_eq!(join(LONG).to_string(), message("somebody else answers there"));
    serving.join().unwrap();
    drop(served);
    // Nobody listens any more.
    assert!(matches!(join(Duration::ZERO), WatchError::Unreachable { .. }));
}

#[test]
fn times_and_ranks_are_named_briefly() {
    let times = [(10_049, "10 s"), (500, "0.5 s"), (1000, "1 s"), (2600, "3 s"), (0, "0 s")];
    for (milliseconds, text) in times {
        assert_eq!(seconds(Duration::from_millis(milliseconds)), text);
    }
    assert_eq!(list(&[3]), "rank 3 has");
    assert_eq!(list(&[1, 2, 5]), "ranks 1, 2 and 5 have");
    let many: Vec<_> = (1..100).collect();
    assert_eq!(list(&many), "ranks 1, 2, 3, 4, 5, 6, 7, 8 and 91 others have");
}
