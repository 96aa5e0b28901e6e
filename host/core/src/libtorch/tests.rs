use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;

/// A directory that looks like libtorch.
fn fake(directory: &Path, version: &str) -> PathBuf {
    fs::create_dir_all(directory.join("lib")).unwrap();
    fs::write(directory.join(LIBRARY), "").unwrap();
    if !version.is_empty() {
        fs::write(directory.join("build-version"), version).unwrap();
    }
    fs::canonicalize(directory).unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap();
    (folder, path)
}

fn script(folder: &Path, text: &str) -> OsString {
    let file = folder.join("python3");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    folder.as_os_str().to_owned()
}

#[test]
fn the_option_goes_before_all_else() {
    let (_guard, at) = folder();
    let option = fake(&at.join("option"), "2.11.0+cpu");
    let variable = fake(&at.join("variable"), "2.11.0");
    let mut search =
        Search { option: Some(option.clone()), variable: Some(variable.clone()), ..Search::default() };
    let found = search.find().unwrap();
    assert_eq!((found.directory, found.origin), (option, Origin::Option));
    assert_eq!(found.version.as_deref(), Some("2.11.0+cpu"));

    search.option = None;
    let found = search.find().unwrap();
    assert_eq!((found.directory, found.origin), (variable, Origin::Variable));
}

#[test]
fn a_named_directory_that_does_not_fit_is_never_passed_over() {
    let (_guard, at) = folder();
    let old = fake(&at.join("old"), "2.9.1+cpu");
    let good = fake(&at.join("good"), "2.11.0");
    let search = Search { option: Some(old.clone()), variable: Some(good.clone()), ..Search::default() };
    let error = search.find().unwrap_err().diagnostic();
    assert_eq!(
        error.message,
        format!("--libtorch names {}, which is torch 2.9.1+cpu, needed is 2.11.*", old.display())
    );
    assert!(error.help.unwrap().contains("torch==2.11.0"));

    let program = at.join("prefix/bin/kiwi-host");
    fs::create_dir_all(at.join("prefix/bin")).unwrap();
    fake(&at.join("prefix"), "2.11.0");
    for (directory, reason) in [
        (at.join("absent"), "does not exist"),
        (at.join("old/build-version"), "is not a directory"),
        (at.join("prefix/bin"), "holds no lib/libtorch_cpu.so"),
    ] {
        let search =
            Search { variable: Some(directory.clone()), program: Some(program.clone()), ..Search::default() };
        let error = search.find().unwrap_err().diagnostic();
        assert_eq!(error.message, format!("LIBTORCH names {}, which {reason}", directory.display()));
        assert_eq!(error.found.unwrap(), directory.display().to_string());
        assert!(error.help.unwrap().contains("unset it"));
    }
}

#[test]
fn a_directory_beside_libtorch_is_corrected() {
    let (_guard, at) = folder();
    let torch = fake(&at.join("site-packages/torch"), "2.11.0");
    for wrong in [at.join("site-packages"), torch.join("lib")] {
        let search = Search { option: Some(wrong), ..Search::default() };
        let error = search.find().unwrap_err().diagnostic();
        assert_eq!(error.nearest, Some(torch.display().to_string()));
    }
}

#[test]
fn an_unknown_version_is_left_to_whoever_opens_it() {
    let (_guard, at) = folder();
    let search = Search { option: Some(fake(&at, "")), ..Search::default() };
    assert_eq!(search.find().unwrap().version, None);
}

#[test]
fn the_checkout_that_holds_the_program_has_one() {
    let (_guard, at) = folder();
    fs::create_dir_all(at.join("target/release")).unwrap();
    let torch = fake(&at.join("elsewhere/torch"), "2.11.0");
    fs::create_dir(at.join(".libtorch")).unwrap();
    symlink(&torch, at.join(".libtorch/torch")).unwrap();
    let program = Some(at.join("target/release/kiwi-host"));
    let found = Search { program: program.clone(), ..Search::default() }.find().unwrap();
    assert_eq!((found.directory, found.origin), (torch, Origin::Program));

    let installed = fake(&at.join("target"), "2.11.0");
    let found = Search { program, ..Search::default() }.find().unwrap();
    assert_eq!(found.directory, installed, "the prefix of the program goes before checkouts");
}

#[test]
fn a_virtual_environment_has_one_and_an_old_one_is_skipped() {
    let (_guard, at) = folder();
    let torch = fake(&at.join("venv/lib/python3.12/site-packages/torch"), "2.11.0");
    fs::create_dir_all(at.join("checkout/target/debug")).unwrap();
    let old = fake(&at.join("checkout/.libtorch/torch"), "2.10.0");
    let mut search = Search {
        program: Some(at.join("checkout/target/debug/kiwi-host")),
        virtual_environment: Some(at.join("venv")),
        ..Search::default()
    };
    let found = search.find().unwrap();
    assert_eq!((found.directory, found.origin), (torch, Origin::VirtualEnvironment));

    search.virtual_environment = Some(at.join("checkout"));
    search.path = Some(OsString::from(&at));
    let error = search.find().unwrap_err().diagnostic();
    assert_eq!(error.message, "no libtorch 2.11.* was found");
    let notes = error.notes.join("\n");
    assert!(notes.contains(&format!("{} (beside the program) is torch 2.10.0", old.display())), "{notes}");
    assert!(notes.contains("the active virtual environment: "), "{notes}");
    assert!(notes.contains("python3: there is no python3 on PATH"), "{notes}");
    let help = error.help.unwrap();
    for part in ["cargo xtask setup", "pip install torch==2.11.0", "--libtorch", "LIBTORCH"] {
        assert!(help.contains(part), "{help}");
    }
}

#[test]
fn python_is_asked_last() {
    let (_guard, at) = folder();
    let torch = fake(&at.join("python/torch"), "2.11.0");
    let path = script(&at, &format!("#!/bin/sh\necho '{}'\n", torch.display()));
    let found = Search { path: Some(path), ..Search::default() }.find().unwrap();
    assert_eq!((found.directory, found.origin), (torch, Origin::Python));
}

#[test]
fn a_python_without_torch_or_out_of_order_is_a_place_looked_at() {
    let (_guard, at) = folder();
    for (text, reason) in [
        ("#!/bin/sh\nexit 0\n", "has no package torch"),
        ("#!/bin/sh\nexit 3\n", "could not say where torch lies: exit status: 3"),
        ("#!/no/such/interpreter\n", "cannot be run: "),
    ] {
        let search = Search { path: Some(script(&at, text)), ..Search::default() };
        let LibtorchError::NotFound { looked } = search.find().unwrap_err() else {
            panic!("nothing was named");
        };
        let last = looked.last().unwrap().to_string();
        assert!(last.contains(reason), "{last}");
    }
}

#[test]
fn a_python_that_hangs_is_given_up_on() {
    let (_guard, at) = folder();
    script(&at, "#!/bin/sh\nexec sleep 60\n");
    let start = Instant::now();
    let error = python::torch_directories(&at.join("python3"), Duration::from_millis(100)).unwrap_err();
    assert_eq!(error, "did not answer within 0.1 seconds");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_real_python_is_not_led_astray_by_the_current_directory() {
    let Some(python) = env::var_os("PATH").and_then(|path| python::on_path(&path)) else { return };
    let (_guard, at) = folder();
    fs::create_dir(at.join("torch")).unwrap();
    fs::write(at.join("torch/__init__.py"), "raise SystemExit(9)").unwrap();
    // What is importable here may be a torch or none, but is never the package of the current directory.
    let output = std::process::Command::new(python)
        .args(["-c", python::QUESTION])
        .current_dir(&at)
        .env_remove("PYTHONPATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&at.display().to_string()));
}
