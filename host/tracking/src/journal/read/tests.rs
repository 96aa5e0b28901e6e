use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::number::Number;
use crate::record::{Environment, Interrupted, Message, Started, Training, Values};

fn record(second: u64, event: Event) -> Record {
    let time = format!("2026-01-02T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60);
    Record { time: time.parse().unwrap(), event }
}

fn started(resumed_at: Option<u64>) -> Event {
    Event::Started(Started {
        run_id: "0".repeat(32),
        experiment: "default".to_owned(),
        resumed_at,
        epochs: 2,
        batches: 10,
        main_metric: None,
        ordering: "min".to_owned(),
        parameters: 7,
        components: Vec::new(),
        environment: Environment {
            kiwi_host: "0.1.0".to_owned(),
            torch: "2.11.0".to_owned(),
            device: "cpu".to_owned(),
            threads: 2,
            processor: None,
            platform: "linux x86_64".to_owned(),
        },
    })
}

fn logged(step: u64, loss: f64) -> Event {
    Event::Logged(Training {
        epoch: 0,
        step,
        loss: Number(loss),
        values: Values::new(),
        learning_rates: [("lr".to_owned(), Number(0.1))].into(),
        words_per_second: Number(1000.0),
    })
}

fn lines(events: impl IntoIterator<Item = Event>) -> String {
    let lines = events.into_iter().zip(0..).map(|(event, second)| {
        let line = serde_json::to_string(&record(second, event)).unwrap();
        line + "\n"
    });
    lines.collect()
}

fn from(text: &str) -> Journal {
    read_from(Cursor::new(text)).unwrap()
}

fn steps(journal: &Journal) -> Vec<u64> {
    journal.records.iter().filter_map(|record| record.event.step()).collect()
}

#[test]
fn a_run_that_was_not_resumed_is_read_as_it_stands() {
    let events = [started(None), logged(5, 2.0), logged(10, 1.0)];
    let journal = from(&lines(events.clone()));
    assert_eq!(journal.records.iter().map(|record| &record.event).collect::<Vec<_>>(), events.each_ref());
    assert_eq!((journal.resumes, journal.undone), (0, 0));
    assert_eq!(journal.skipped, Skipped::default());
}

#[test]
fn what_a_resumed_run_does_again_did_not_last() {
    let signal = Interrupted { signal: "SIGTERM".to_owned(), step: 10, resumable: true };
    let failed = Event::Failed(Message { message: "no memory".to_owned() });
    let journal = from(&lines([
        started(None),
        logged(5, 2.0),
        Event::Interrupted(signal.clone()),
        started(Some(10)),
        logged(15, 1.5),
        logged(20, f64::NAN),
        failed.clone(),
        started(Some(15)),
        logged(20, 1.0),
    ]));
    assert_eq!(steps(&journal), [5, 10, 15, 20]);
    assert_eq!((journal.resumes, journal.undone), (2, 1));
    // What belongs to no step lasts.
    assert!(journal.records.iter().any(|record| record.event == failed));
    assert_eq!(journal.records.last().unwrap().event, logged(20, 1.0));
}

#[test]
fn a_run_that_begins_anew_has_done_nothing_yet() {
    let journal = from(&lines([started(None), logged(5, 2.0), started(None), logged(3, 2.0)]));
    assert_eq!(steps(&journal), [3]);
    assert_eq!((journal.resumes, journal.undone), (0, 1));
}

#[test]
fn lines_that_cannot_be_read_are_told_with_their_numbers() {
    let good = lines([logged(5, 2.0)]);
    let newer = good.replace("\"logged\"", "\"moved_house\"");
    let lacking = good.replace("\"step\":5,", "");
    let long = format!("\"{}\"\n", "x".repeat(LONGEST_LINE as usize + 5));
    let text = format!("{good}\u{0}\n\n{newer}{lacking}{long}{good}{}", &good[..40]);
    let journal = from(&text);
    assert_eq!(steps(&journal), [5, 5]);
    assert_eq!(journal.skipped.count, 5);
    let told: Vec<_> = journal.skipped.first.iter().map(|skipped| (skipped.line, &skipped.reason)).collect();
    assert!(matches!(told[0], (2, Reason::Broken(_))), "{told:?}");
    assert_eq!(told[1], (4, &Reason::UnknownKind("moved_house".to_owned())));
    assert!(matches!(told[2], (5, Reason::Broken(error)) if error.contains("step")), "{told:?}");
    assert_eq!(told[3], (6, &Reason::TooLong));
    assert_eq!(told[4], (8, &Reason::Torn));
}

#[test]
fn a_line_that_was_torn_does_not_take_the_next_with_it() {
    let whole = lines([logged(5, 2.0), logged(20, 1.0)]);
    let journal =
        from(&format!("{}{}", &whole[..whole.len() - 30], lines([started(Some(5)), logged(10, 1.0)])));
    assert_eq!(steps(&journal), [5, 10]);
    assert_eq!(journal.resumes, 1);
    assert_eq!(journal.skipped.count, 1);
}

#[test]
fn fields_of_newer_versions_are_no_obstacle() {
    let text = lines([logged(5, 2.0)]).replace("\"step\"", "\"moon\":[1],\"step\"");
    assert_eq!(steps(&from(&text)), [5]);
}

#[test]
fn of_many_bad_lines_the_first_are_told() {
    let journal = from(&"x\n".repeat(1000));
    assert_eq!(journal.skipped.count, 1000);
    assert_eq!(journal.skipped.first.len(), TOLD);
}

#[test]
fn a_run_without_a_record_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    assert!(matches!(read(folder.path()), Err(Error::Missing { path }) if path == file));
    fs::write(&file, "").unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("holds no record of a run: it is empty"), "{error}");
    fs::write(&file, "hello\n").unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("holds no record of a run: line 1 is no record"), "{error}");
    fs::write(&file, lines([started(None)])).unwrap();
    assert_eq!(read(folder.path()).unwrap().records.len(), 1);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(matches!(read(folder.path()), Err(Error::NotAFile { path }) if path == file));
    assert!(matches!(read(&folder.path().join("none")), Err(Error::Missing { .. })));
}

#[test]
fn the_kinds_are_those_of_events() {
    let error = serde_json::from_str::<Event>(r#"{"kind":"none"}"#).unwrap_err().to_string();
    let kinds = KINDS.map(|kind| format!("`{kind}`")).join(", ");
    assert!(error.starts_with(&format!("unknown variant `none`, expected one of {kinds} at")), "{error}");
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        read_from(Cursor::new(bytes)).unwrap();
    }

    #[test]
    fn a_changed_file_is_no_panic(place in 0_usize..2000, byte in any::<u8>(), length in 0_usize..2000) {
        let text = lines([started(None), logged(5, 2.0), started(Some(2)), logged(4, 1.0)]);
        let mut bytes = text.into_bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        bytes.truncate(length.max(1));
        read_from(Cursor::new(bytes)).unwrap();
    }

    #[test]
    fn what_lasted_is_what_no_later_beginning_undid(events in proptest::collection::vec((any::<bool>(), 0_u64..30), 0..60)) {
        let events: Vec<_> = events
            .into_iter()
            .map(|(begins, step)| if begins { started(Some(step)) } else { logged(step, 1.0) })
            .collect();
        let lasting = events.iter().enumerate().filter(|(place, event)| {
            let Some(step) = event.step() else { return true };
            events[place + 1..].iter().all(|later| match later {
                Event::Started(started) => started.resumed_at.is_none_or(|at| step <= at),
                _ => true,
            })
        });
        let expected: Vec<_> = lasting.map(|(_, event)| event.clone()).collect();
        let journal = from(&lines(events));
        let found: Vec<_> = journal.records.into_iter().map(|record| record.event).collect();
        prop_assert_eq!(found, expected);
    }
}
