//! `plugins package`: wheels of plugins, installed and uninstalled by the real pip, and found by the program of that environment.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, like the tests themselves")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kiwi_tests::built;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::workplace::Workplace;

/// A virtual environment with the program, the engine and the built-in plugins where a package installs them.
fn environment(work: &Workplace) -> PathBuf {
    let environment = work.at("environment");
    let made =
        Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&environment).status().unwrap();
    assert!(made.success(), "python3 -m venv");
    let mut places = vec![("kiwi-host".to_owned(), "bin"), ("libkiwi_engine.so".to_owned(), "lib/kiwi-host")];
    for name in ["encoders", "heads", "metrics", "optimizers"] {
        places.push((format!("libkiwi_{name}.so"), "lib/kiwi-host/plugins"));
    }
    for (name, place) in places {
        fs::create_dir_all(environment.join(place)).unwrap();
        fs::copy(built::folder().join(&name), environment.join(place).join(&name)).unwrap();
    }
    environment
}

fn pip(environment: &Path, arguments: &[&str]) -> Outcome {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--python"]);
    pip.arg(environment.join("bin/python")).args(arguments);
    Outcome::of(&mut pip)
}

#[test]
fn a_plugin_is_installed_and_uninstalled_by_pip() {
    let work = Workplace::new();
    let environment = environment(&work);
    let file = built::swapped_optimizer().display().to_string();
    work.write("LICENSE", "Do what you like.\n");
    let made = work.run(&["plugins", "package", &file, "-o", "dist", "--license", "LICENSE"]).ends_with(0);
    let wheel = work.at(made.stdout.trim());
    let name = wheel.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("kiwi_swapped_optimizer-0.1.0-py3-none-manylinux_2_34_"), "{made}");

    // torch itself is not asked for here: `cargo xtask test` installs the whole package beside it.
    let installed =
        pip(&environment, &["install", "--no-deps", "--no-index", wheel.to_str().unwrap()]).ends_with(0);
    let place = environment.join("lib/kiwi-host/plugins/libkiwi_swapped_optimizer.so");
    assert_eq!(fs::read(&place).unwrap(), fs::read(built::swapped_optimizer()).unwrap(), "{installed}");
    let shown = pip(&environment, &["show", "--verbose", "kiwi-swapped-optimizer"]).ends_with(0);
    for line in ["Version: 0.1.0", "Requires: torch"] {
        assert!(shown.stdout.contains(line), "{shown}");
    }
    let list = || {
        let mut list = Command::new(environment.join("bin/kiwi-host"));
        list.args(["plugins", "list"]).env_clear().env("HOME", work.at("home"));
        Outcome::of(&mut list).ends_with(0)
    };
    assert!(
        list().stdout.contains(&format!("kiwi-swapped-optimizer 0.1.0  {}", place.display())),
        "{}",
        list()
    );
    let _ = pip(&environment, &["uninstall", "--yes", "kiwi-swapped-optimizer"]).ends_with(0);
    assert!(!list().stdout.contains("swapped"), "{}", list());
    assert!(list().stdout.contains("kiwi-encoders"), "{}", list());
}

#[test]
fn what_cannot_be_packaged_is_refused_and_nothing_replaced() {
    let work = Workplace::new();
    let file = built::swapped_optimizer().display().to_string();
    let first = work.run(&["plugins", "package", &file]).ends_with(0);
    let wheel = work.at(first.stdout.trim());
    let bytes = fs::read(&wheel).unwrap();
    let _ = work.run(&["plugins", "package", &file]).ends_with(2).says(&["exists already", "--force"]);
    let _ = work.run(&["plugins", "package", &file, "--force"]).ends_with(0);
    assert_eq!(fs::read(&wheel).unwrap(), bytes, "wheels of the same plugin are the same");
    let named = work.run(&["plugins", "package", &file, "--name", "acme.optimizer"]).ends_with(0);
    assert!(named.stdout.starts_with("./acme_optimizer-0.1.0-py3"), "{named}");
    // A wheel of such a name would take the place of another.
    for taken in [&["kiwi-metrics"][..], &["kiwi-metrics", "--name", "acme"], &[&file, "--name", "Torch"]] {
        let _ = work
            .run(&[&["plugins", "package"], taken].concat())
            .ends_with(2)
            .says(&["would take the place of what kiwi-host is made of"]);
    }

    work.write("libtext.so", "no library");
    let _ = work
        .run(&["plugins", "package", "libtext.so"])
        .ends_with(3)
        .says(&["libtext.so cannot be packaged: it"]);
    let engine = built::folder().join("libkiwi_engine.so").display().to_string();
    let _ = work.run(&["plugins", "package", &engine]).ends_with(3).says(&["cannot be packaged"]);
    let _ = work
        .run(&["plugins", "package", "metrix"])
        .ends_with(2)
        .says(&["neither a file nor an installed plugin"]);
    let _ = work
        .run(&["plugins", "package", &file, "--name", "../up"])
        .ends_with(2)
        .says(&["a name has letters"]);
    let _ = work
        .run(&["plugins", "package", &file, "--license", "none", "-o", "x"])
        .ends_with(2)
        .says(&["the licence none cannot be read"]);
    work.write("taken", "a file");
    let _ =
        work.run(&["plugins", "package", &file, "-o", "taken/x"]).ends_with(2).says(&["cannot be written"]);
    assert!(!work.at("x").exists());
}
