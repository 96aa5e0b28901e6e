//! Neither panics nor C++ exceptions leave a guard, and nothing is lost on the way.

use std::panic;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kiwi_torch_ext::{Caught, guard, install_panic_hook};
use kiwi_torch_ext_throwing as throwing;
use tch::{Device, Kind, Tensor};

fn cpp(result: Result<(), Caught>) -> (String, String) {
    match result {
        Err(Caught::CppException { type_name, message }) => (type_name, message),
        other => panic!("expected a C++ exception, got {other:?}"),
    }
}

fn message(result: Result<(), Caught>) -> String {
    match result {
        Err(Caught::Panic { message, .. }) => message,
        other => panic!("expected a panic, got {other:?}"),
    }
}

#[test]
fn a_value_comes_back() {
    let text = String::from("owned");
    assert_eq!(guard(move || text + " value"), Ok("owned value".to_owned()));
}

#[test]
fn a_panic_is_caught_with_its_message() {
    assert_eq!(message(guard(|| panic!("the sky is {}", "green"))), "the sky is green");
    assert_eq!(message(guard(|| panic!("plain"))), "plain");
    assert_eq!(message(guard(|| panic::panic_any(7_u8))), "a panic whose payload is not text");
}

#[test]
fn a_payload_that_panics_when_dropped_is_survived() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload's own");
        }
    }
    assert_eq!(message(guard(|| panic::panic_any(Bomb))), "a panic whose payload is not text");
}

#[test]
fn a_panic_tells_where_it_was_once_the_hook_is_installed() {
    install_panic_hook();
    let line = line!() + 1;
    let caught: Caught = guard::<()>(|| panic!("here")).unwrap_err();
    let Caught::Panic { location: Some(location), .. } = &caught else {
        panic!("no location in {caught:?}");
    };
    assert!(location.starts_with(&format!("{}:{line}:", file!())), "{location}");
    assert_eq!(caught.to_string(), format!("panic: here (at {location})"));
}

#[test]
fn a_thread_started_under_a_guard_is_not_under_it() {
    install_panic_hook();
    let outcome = guard(|| thread::spawn(|| panic!("printed by the usual hook")).join().is_err());
    assert_eq!(outcome, Ok(true));
}

#[test]
fn a_standard_exception_is_caught() {
    let expected = ("std::runtime_error".to_owned(), "the kettle boiled over".to_owned());
    assert_eq!(cpp(guard(throwing::runtime_error)), expected);
}

#[test]
fn exceptions_that_are_not_standard_are_caught() {
    assert_eq!(cpp(guard(throwing::int)), ("int".to_owned(), "42".to_owned()));
    let (type_name, text) = cpp(guard(throwing::string));
    assert!(type_name.contains("basic_string"), "{type_name}");
    assert_eq!(text, "a string on its own");
    assert_eq!(cpp(guard(throwing::unprintable)), ("Unprintable".to_owned(), String::new()));
    let shown = guard(throwing::unprintable).unwrap_err().to_string();
    assert_eq!(shown, "C++ exception Unprintable");
}

#[test]
fn an_error_of_libtorch_is_caught() {
    let a = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
    let (type_name, text) = cpp(guard(|| throwing::product(&a, &a)));
    assert_eq!(type_name, "c10::Error");
    assert!(text.contains("2x3 and 2x3"), "{text}");
    assert!(!text.contains("frame #"), "a backtrace in {text}");
}

#[test]
fn guards_nest() {
    let outcome = guard(|| {
        assert!(guard(throwing::int).is_err());
        assert_eq!(message(guard(|| panic!("inner"))), "inner");
        throwing::runtime_error();
    });
    assert_eq!(cpp(outcome).0, "std::runtime_error");
    let outcome = guard(|| {
        let _ = guard(throwing::runtime_error);
        panic!("outer");
    });
    assert_eq!(message(outcome), "outer");
}

#[test]
fn a_guard_in_a_destructor_keeps_the_panic_under_way() {
    install_panic_hook();
    struct Guarding;
    impl Drop for Guarding {
        fn drop(&mut self) {
            assert!(guard(|| panic!("in the destructor")).is_err());
            assert!(guard(throwing::int).is_err());
        }
    }
    let line = line!() + 3;
    let outcome = guard(|| {
        let _guarding = Guarding;
        panic!("first");
    });
    let Err(Caught::Panic { message, location: Some(location) }) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(message, "first");
    assert!(location.contains(&format!(":{line}:")), "{location}");
}

#[test]
fn locals_are_dropped_whatever_comes() {
    let counted = Rc::new(());
    for fail in [throwing::runtime_error, throwing::int, || panic!("panic")] {
        let inside = Rc::clone(&counted);
        let outcome = guard(move || {
            let _second = Rc::clone(&inside);
            fail();
        });
        assert!(outcome.is_err());
        assert_eq!(Rc::strong_count(&counted), 1);
    }
}

#[test]
fn panics_leave_no_trace_in_the_cpp_runtime() {
    for _ in 0..3 {
        assert_eq!(message(guard(|| panic!("again"))), "again");
        assert_eq!(throwing::uncaught_exceptions(), 0);
    }
    assert!(guard(throwing::int).is_err());
    assert_eq!(throwing::uncaught_exceptions(), 0);
}

#[test]
fn a_guard_works_in_a_cpp_handler() {
    let caught = AtomicUsize::new(0);
    let kept = throwing::in_handler(|| {
        for fail in [|| panic!("in a handler"), throwing::int, throwing::runtime_error] {
            caught.fetch_add(usize::from(guard(fail).is_err()), Ordering::Relaxed);
        }
    });
    assert_eq!(caught.into_inner(), 3);
    assert!(kept, "the handler's own exception was lost");
}
