//! GPUs: each way in which one that is asked for cannot be had, and, where there is one, that computing on it is the same.

#[path = "gpu/groups.rs"]
mod groups;

use std::fs;
use std::path::Path;

use kiwi_plugin_api::torch_ext::Autocast;
use kiwi_tests::golden::{Case, difference};
use kiwi_tests::gpu;
use kiwi_tests::interrupted::Running;
use kiwi_tests::outcome::Outcome;
use kiwi_tests::trained::{Trained, all_files};
use kiwi_tests::workplace::{Workplace, config_with};
use serde_json::{Value, json};
use tch::{Device, Kind};

/// What `check` says with this libtorch about a config that asks for these GPUs; `libraries` are searched first.
fn refusal(work: &Workplace, libtorch: &Path, libraries: &str, gpus: Value) -> String {
    work.write("config.json", &format!("{:#}\n", config_with(&[("trainer.gpus", gpus)])));
    let mut command = work.command(&["check", "config.json", "--output-dir", "run"]);
    command
        .env("LIBTORCH", libtorch)
        .env("LD_LIBRARY_PATH", work.at(libraries))
        .env_remove("CUDA_VISIBLE_DEVICES");
    let refused = Outcome::of(&mut command).ends_with(2);
    assert_eq!(refused.stdout, "");
    refused.stderr.replace(&work.at("").display().to_string(), "WORK/")
}

/// The same as lines, without the last two: where there is more to read, and the first once more.
fn lines(refusal: &str) -> Vec<&str> {
    let lines: Vec<&str> = refusal.lines().map(str::trim).collect();
    let (last, lines) = lines.split_last().unwrap();
    let (_, first) = lines[0].split_once("]: ").unwrap();
    assert_eq!(*last, format!("kiwi-host check failed with exit code 2: {first}"));
    let (more, lines) = lines.split_last().unwrap();
    assert!(more.starts_with("for more about E0"), "{more}");
    lines.to_vec()
}

const CPU_INSTEAD: &str = "set trainer.gpus to 0 to compute on the CPU";
const INSTALL: &str = "install the CUDA build of torch with all that it depends on: `cargo xtask setup --cuda` in a checkout, or \
                       `pip install torch==2.11.0`";

#[test]
fn a_libtorch_for_the_cpu_only_is_named() {
    let work = Workplace::new();
    let libtorch = gpu::libtorch_without_cuda(&work, "cpu");
    assert_eq!(
        lines(&refusal(&work, &libtorch, "none", json!(1))),
        [
            "error[E0504]: libtorch in WORK/cpu/torch has no CUDA part: it is a build for the CPU only",
            "--> config.json:48:13  trainer.gpus",
            "found: no WORK/cpu/torch/lib/libtorch_cuda.so",
            "expected: the CUDA build of torch 2.11.0",
            &format!("help: {INSTALL}, or name it with --libtorch; or {CPU_INSTEAD}"),
        ]
    );
}

#[test]
fn a_library_that_the_cuda_part_needs_is_named() {
    let work = Workplace::new();
    let libtorch = gpu::libtorch_without_cuda(&work, "torn");
    let needed = work.at("libneeded.so.7");
    let built =
        gpu::library(&work, &needed, "int needed(void) { return 7; }", &["-Wl,-soname,libneeded.so.7"])
            .and_then(|()| {
                let part = libtorch.join("lib/libtorch_cuda.so");
                let code = "int needed(void); int part(void) { return needed(); }";
                gpu::library(&work, &part, code, &[needed.to_str().unwrap()])
            });
    if built.is_none() {
        return;
    }
    fs::remove_file(&needed).unwrap();
    assert_eq!(
        lines(&refusal(&work, &libtorch, "none", json!(-1))),
        [
            "error[E0504]: a library that the CUDA part of libtorch in WORK/torn/torch needs is missing: libneeded.so.7",
            "--> config.json:48:13  trainer.gpus",
            "found: no libneeded.so.7",
            "expected: torch 2.11.0 with all that its CUDA build depends on",
            "note: libneeded.so.7: cannot open shared object file: No such file or directory",
            &format!("help: {INSTALL}; or {CPU_INSTEAD}"),
        ]
    );
}

#[test]
fn a_cuda_part_of_another_version_is_refused() {
    let work = Workplace::new();
    let libtorch = gpu::libtorch_without_cuda(&work, "mixed");
    let part = libtorch.join("lib/libtorch_cuda.so");
    let code = "int of_another_version(void); int part(void) { return of_another_version(); }";
    if gpu::library(&work, &part, code, &[]).is_none() {
        return;
    }
    let again = "install torch 2.11.0 anew into an empty directory, with all that it depends on";
    assert_eq!(
        lines(&refusal(&work, &libtorch, "none", json!([0]))),
        [
            "error[E0504]: the CUDA part of libtorch in WORK/mixed/torch is of another version than its CPU part",
            "--> config.json:48:13  trainer.gpus",
            "expected: both of one build of torch 2.11.0",
            "note: WORK/mixed/torch/lib/libtorch_cuda.so: undefined symbol: of_another_version",
            &format!("help: {again}; or {CPU_INSTEAD}"),
        ]
    );
    // One that opens and that libtorch does not hear of. The driver is made up, and found.
    let driver = work.at("driver/libcuda.so.1");
    fs::create_dir(work.at("driver")).unwrap();
    let _ = gpu::library(&work, &part, "int part;", &[]);
    let _ = gpu::library(&work, &driver, "int driver;", &[]);
    assert_eq!(
        lines(&refusal(&work, &libtorch, "driver", json!([0]))),
        [
            "error[E0504]: the CUDA part of libtorch is open, and libtorch does not know of it",
            "--> config.json:48:13  trainer.gpus",
            "expected: a CUDA part of the same build as the CPU part",
            &format!(
                "help: install torch anew into an empty directory, with all that it depends on; or {CPU_INSTEAD}"
            ),
        ]
    );
}

#[test]
fn a_machine_without_a_driver_is_told_from_one_without_a_gpu() {
    let work = Workplace::new();
    let install = "install the driver, or in a container pass the GPU and the driver on to it; `nvidia-smi` shows whether it works";
    if gpu::is_there() {
        println!("skipped: there is an NVIDIA driver");
    } else {
        let libtorch = gpu::libtorch_without_cuda(&work, "stub");
        if gpu::library(&work, &libtorch.join("lib/libtorch_cuda.so"), "int part;", &[]).is_none() {
            return;
        }
        assert_eq!(
            lines(&refusal(&work, &libtorch, "none", json!(1))),
            [
                "error[E0505]: there is no NVIDIA driver on this machine",
                "--> config.json:48:13  trainer.gpus",
                "found: no libcuda.so.1",
                "expected: an NVIDIA driver, whose libcuda.so.1 the dynamic loader finds",
                "note: libcuda.so.1: cannot open shared object file: No such file or directory",
                &format!("help: {install}; or {CPU_INSTEAD}"),
            ]
        );
    }
    let Some(libtorch) = gpu::whole_libtorch() else {
        println!("skipped: no CUDA build of libtorch: `cargo xtask setup --cuda` fetches it");
        return;
    };
    fs::create_dir(work.at("driver")).unwrap();
    if gpu::library(&work, &work.at("driver/libcuda.so.1"), "int driver;", &[]).is_none() {
        return;
    }
    let refused = refusal(&work, &libtorch, "driver", json!(1));
    let said = lines(&refused);
    assert_eq!(
        said[..2],
        [
            "error[E0506]: there is an NVIDIA driver, and it shows no GPU",
            "--> config.json:48:13  trainer.gpus"
        ]
    );
    assert_eq!(said[2..4], ["found: 0 GPUs", "expected: at least one GPU"]);
    assert!(said[4].starts_with("note: ") && said[4].contains("NVIDIA driver"), "{refused}");
}

#[test]
fn a_saved_system_is_not_run_on_the_cpu_where_a_gpu_is_asked_for() {
    let work = Workplace::new();
    let run = work.train("run", &[("trainer.epochs", json!(1))]);
    let system = run.best().display().to_string();
    let libtorch = gpu::libtorch_without_cuda(&work, "cpu").display().to_string();
    for (command, device) in [("evaluate", "cuda"), ("score", "cuda:0"), ("features", "cuda:3")] {
        let mut arguments = vec![command, &system, "--source", "valid.src", "--target", "valid.tgt"];
        arguments.extend(["--device", device, "--libtorch", &libtorch]);
        if command == "features" {
            arguments.extend(["-o", "features.safetensors"]);
        }
        let refused = work.run(&arguments).ends_with(2).says(&[
            "has no CUDA part: it is a build for the CPU only",
            &format!("note: a GPU is asked for by --device {device}"),
            "or leave out --device to compute on the CPU",
        ]);
        assert_eq!(refused.stdout, "");
        assert!(!work.at("features.safetensors").exists());
    }
    let files = ["evaluate", &system, "--source", "valid.src", "--target", "valid.tgt"];
    let _ = work
        .run(&[&files[..], &["--device", "gpu"]].concat())
        .ends_with(2)
        .says(&["no device is named `gpu`"]);
    let _ = work.run(&[&files[..], &["--device", "cpu"]].concat()).ends_with(0);
}

/// Options of the program that make it compute on the first GPU with this libtorch.
fn on_gpu(libtorch: &Path) -> [String; 2] {
    ["--libtorch".to_owned(), libtorch.display().to_string()]
}

/// Trains for an epoch with these changes, on the first GPU or the CPU. libtorch warns of nothing.
fn train_with(
    work: &Workplace,
    name: &str,
    libtorch: &Path,
    gpus: u64,
    changes: &[(&str, Value)],
) -> Trained {
    let on = [("trainer.gpus", json!(gpus)), ("trainer.epochs", json!(1))];
    let config = format!("{name}.json");
    work.write(&config, &format!("{:#}\n", config_with(&[&on[..], changes].concat())));
    let options = on_gpu(libtorch);
    let mut command = work.command(&["train", &config, "--output-dir", name, &options[0], &options[1]]);
    command.env("NVIDIA_TF32_OVERRIDE", "0");
    let outcome = Outcome::of(&mut command).ends_with(0);
    assert!(!outcome.stderr.contains("Warning"), "{outcome}");
    Trained { outcome, directory: work.at(name) }
}

/// The same in this precision.
fn train(work: &Workplace, name: &str, libtorch: &Path, gpus: u64, precision: &Value) -> Trained {
    train_with(work, name, libtorch, gpus, &[("trainer.precision", precision.clone())])
}

#[test]
fn a_system_loaded_on_either_device_is_the_same() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let trained = train(&work, "gpu", &libtorch, 1, &json!(32));
    assert!(trained.log().contains("device cuda:0, "), "{}", trained.log());
    let validated = trained.validations()[0].value("val_target_PERP");
    let system = trained.best().display().to_string();
    let figure = |device: &str| {
        let options = on_gpu(&libtorch);
        let files =
            ["--source", "valid.src", "--target", "valid.tgt", "--format", "json", "--device", device];
        let mut command =
            work.command(&[&["evaluate", &system], &files[..], &[&options[0], &options[1]]].concat());
        command.env("NVIDIA_TF32_OVERRIDE", "0");
        let found: Value = serde_json::from_str(&Outcome::of(&mut command).ends_with(0).stdout).unwrap();
        found["metrics"]["target_PERP"].as_f64().unwrap()
    };
    let (on_cpu, on_gpu) = (figure("cpu"), figure("cuda"));
    assert!((on_gpu / on_cpu - 1.0).abs() < 1e-5, "{on_gpu} and {on_cpu}");
    assert!((validated / on_cpu - 1.0).abs() < 1e-4, "{validated} and {on_cpu}");
}

#[test]
fn training_on_a_gpu_is_training_on_the_cpu_up_to_rounding() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    // Gradient descent, whose steps are as exact as the gradients.
    let descend = [
        ("system.optimizer.class_name", json!("sgd")),
        ("system.optimizer.learning_rate", json!(0.001)),
        ("system.model.encoder.rnn_layers", json!(2)),
    ];
    let cpu = train_with(&work, "cpu", &libtorch, 0, &descend);
    let gpu = train_with(&work, "gpu", &libtorch, 1, &descend);
    let on_gpu = gpu.tensors();
    for (name, tensor) in cpu.tensors() {
        let off = difference(&on_gpu[&name], &tensor);
        assert!(off < 1e-4, "{name} is off by {off}");
    }
}

#[test]
fn bf16_learns_on_a_gpu() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let run = train(&work, "run", &libtorch, 1, &json!("bf16"));
    let exact = train(&work, "exact", &libtorch, 1, &json!(32));
    let perplexity = |run: &Trained| run.validations()[0].value("val_target_PERP");
    assert!(
        (perplexity(&run) / perplexity(&exact) - 1.0).abs() < 0.1,
        "{} and {}",
        perplexity(&run),
        perplexity(&exact)
    );
    for (name, tensor) in run.tensors() {
        assert_eq!(tensor.kind(), Kind::Float, "{name} is saved in full precision");
    }
}

#[test]
fn sixteen_bits_learn_on_a_gpu_and_the_state_of_their_scaler_is_saved() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let run = train(&work, "run", &libtorch, 1, &json!(16));
    let exact = train(&work, "exact", &libtorch, 1, &json!(32));
    let perplexity = |run: &Trained| run.validations()[0].value("val_target_PERP");
    assert!(
        (perplexity(&run) / perplexity(&exact) - 1.0).abs() < 0.1,
        "{} and {}",
        perplexity(&run),
        perplexity(&exact)
    );
    let told = run
        .messages()
        .into_iter()
        .rfind(|message| message.contains("whose gradients were not finite in float16"));
    assert!(told.is_some_and(|told| told.contains(" of 8 optimizer steps skipped so far")), "{}", run.log());
    let state = fs::read(run.directory.join("optimizer.safetensors")).unwrap();
    let scaler = b"gradient_scaler";
    assert!(state.windows(scaler.len()).any(|window| window == scaler), "the factor on the loss is saved");
    for (name, tensor) in run.tensors() {
        assert_eq!(tensor.kind(), Kind::Float, "{name} is saved in full precision");
    }
}

#[test]
fn sixteen_bits_are_refused_on_the_cpu() {
    let work = Workplace::new();
    let refused = work.try_train("half", &[("trainer.precision", json!(16))]).ends_with(2);
    let _ = refused.says(&[
        "error[E0117]: precision 16 (float16) is for GPUs: on the CPU it is slow and gains nothing",
        "help: use \"bf16\", or set trainer.gpus to 1",
    ]);
    let run = work.train("run", &[("trainer.epochs", json!(1))]);
    let system = run.best().display().to_string();
    let evaluate = ["evaluate", &system, "--source", "valid.src", "--target", "valid.tgt"];
    let refused = work.run(&[&evaluate[..], &["--set", "trainer.precision=16"]].concat()).ends_with(2);
    let _ = refused.says(&["precision 16 (float16) is for GPUs", "help: use bf16, or add --device cuda"]);
}

#[test]
fn a_number_that_no_gpu_has_is_refused() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let refused = refusal(&work, &libtorch, "none", json!([99]));
    assert!(refused.starts_with("error[E0506]: there is no GPU of number 99\n"), "{refused}");
}

#[test]
fn golden_cases_on_a_gpu() {
    if !gpu::in_process_with_cuda("golden_cases_on_a_gpu") {
        return;
    }
    for name in
        ["encoder_plain", "encoder_shared", "encoder_one_layer", "encoder_target_positions", "encoder_edges"]
    {
        let case = Case::read(name).on(Device::Cuda(0));
        let mut encoder = case.encoder();
        let mut head = case.head(&encoder);
        let batch = case.batch("input.");
        let (features, trace) = encoder.forward_traced(&batch, false).unwrap();
        for (middle, found) in trace {
            if case.find(&format!("middle.{middle}")).is_some() {
                let off = difference(&found, case.expected(&format!("middle.{middle}")));
                assert!(off < 2e-5, "{name}: {middle} is off by {off}");
            }
        }
        for feature in ["target", "target_logits"] {
            let found = features.get(feature).unwrap().materialize().unwrap();
            assert_eq!(found.device(), Device::Cuda(0));
            let off = difference(&found, case.expected(&format!("output.{feature}")));
            assert!(off < 2e-5, "{name}: {feature} is off by {off}");
        }
        let training = name != "encoder_one_layer";
        let features = encoder.forward(&batch, training).unwrap();
        let output = head.forward(&features, &batch, training).unwrap();
        let loss =
            case.json.pointer("/ours/loss/loss").unwrap_or(&case.json["loss"]["loss"]).as_f64().unwrap();
        let found = output.loss.double_value(&[]);
        assert!((found - loss).abs() < 2e-5 * loss, "{name}: loss {found}, expected {loss}");
        output.loss.backward();
        case.compare_gradients("grad.", &mut encoder);
        println!("{name}: as recorded");
    }
    let case = Case::read("head").on(Device::Cuda(0));
    let mut encoder = case.encoder();
    let mut head = case.head(&encoder);
    for (i, recorded) in case.json["batches"].as_array().unwrap().iter().enumerate() {
        let batch = case.batch(&format!("input.{i}."));
        let features = encoder.forward(&batch, false).unwrap();
        let found = head.forward(&features, &batch, false).unwrap().loss.double_value(&[]);
        let loss = recorded["loss"].as_f64().unwrap();
        assert!((found - loss).abs() < 2e-5 * loss, "head: loss {found} of batch {i}, expected {loss}");
    }
    for kind in [Kind::BFloat16, Kind::Half] {
        let _precision = Autocast::cuda(kind).unwrap();
        let batch = case.batch("input.0.");
        let features = encoder.forward(&batch, false).unwrap();
        let loss = head.forward(&features, &batch, false).unwrap().loss.double_value(&[]);
        let exact = case.json["batches"][0]["loss"].as_f64().unwrap();
        assert!((loss / exact - 1.0).abs() < 0.05, "{kind:?}: loss {loss}, in full precision {exact}");
    }
}

/// Begins a run on the first GPU.
fn begin(work: &Workplace, name: &str, libtorch: &Path, changes: &[(&str, Value)], more: &[&str]) -> Running {
    let options = on_gpu(libtorch);
    let on = [("trainer.gpus", json!(1))];
    work.begin(name, &[&on[..], changes].concat(), &[&[&*options[0], &*options[1]][..], more].concat())
}

#[test]
fn a_run_on_a_gpu_is_resumed_with_the_state_of_its_scaler() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    for precision in [json!(32), json!("bf16"), json!(16)] {
        let changes = [
            ("trainer.epochs", json!(4)),
            ("trainer.precision", precision.clone()),
            ("trainer.checkpoint.validation_steps", json!(3)),
            ("system.model.encoder.embeddings.source.dropout", json!(0.2)),
        ];
        let name = |part: &str| format!("{part}-{precision}").replace('"', "");
        let whole = name("whole");
        assert_eq!(begin(&work, &whole, &libtorch, &changes, &[]).end(), 0);
        let stopped = name("stopped");
        let mut running = begin(&work, &stopped, &libtorch, &changes, &[]);
        running.wait_for("epoch 2 validation");
        running.signal("TERM");
        let ended = running.end();
        assert!(ended == 75 || ended == 0, "{}", running.said());
        let mut resumed = begin(&work, &stopped, &libtorch, &changes, &["--resume"]);
        assert_eq!(resumed.end(), 0, "{}", resumed.said());
        let last = |name: &str| {
            let trained = Trained { outcome: work.run(&["--version"]), directory: work.at(name) };
            trained.validations().pop().unwrap().value("val_target_PERP")
        };
        let off = (last(&whole) / last(&stopped) - 1.0).abs();
        assert!(off < 0.02, "precision {precision}: {} and {}", last(&whole), last(&stopped));
        let points = all_files(&work.at(&stopped).join("resume"));
        let header = String::from_utf8_lossy(&fs::read(points.last().unwrap()).unwrap()).into_owned();
        assert_eq!(header.contains("good_steps"), precision == json!(16), "precision {precision}");
    }
}

#[test]
fn a_system_that_is_loaded_on_a_gpu_trains_there_without_a_warning() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let cpu = train(&work, "cpu", &libtorch, 0, &json!(32));
    let load = [
        ("system.load", json!(cpu.best())),
        ("system.class_name", Value::Null),
        ("system.model", Value::Null),
    ];
    let gpu = train_with(&work, "gpu", &libtorch, 1, &load);
    assert!(gpu.validations()[0].value("val_target_PERP").is_finite());
}

#[test]
fn a_batch_that_the_gpu_has_no_memory_for_is_named_and_skipped_if_asked_for() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    for (side, word) in [("src", "s1"), ("tgt", "t1")] {
        let text = fs::read_to_string(work.at(&format!("train.{side}"))).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[76] = vec![word; 6000].join(" ");
        work.write(&format!("train.{side}"), &(lines.join("\n") + "\n"));
    }
    let wide = [
        ("trainer.epochs", json!(1)),
        ("system.model.encoder.hidden_size", json!(400)),
        ("system.model.encoder.embeddings.source.max_position_embeddings", json!(7000)),
        ("system.model.encoder.embeddings.target.max_position_embeddings", json!(7000)),
        ("system.batch_size", json!({"train": 40, "valid": 16})),
    ];
    let mut stopped = begin(&work, "stop", &libtorch, &wide, &[]);
    assert_eq!(stopped.end(), 1, "{}", stopped.said());
    for part in [
        "does not fit into memory",
        "train.src:77 with 6000 words and train.tgt:77 with 6000 words",
        "asked for",
        "free",
    ] {
        assert!(stopped.said().contains(part), "no {part}: {}", stopped.said());
    }
    let skip = [&wide[..], &[("trainer.on_oom", json!("skip"))]].concat();
    let mut skipping = begin(&work, "skip", &libtorch, &skip, &[]);
    assert_eq!(skipping.end(), 0, "{}", skipping.said());
    assert!(skipping.said().contains("a batch is skipped, 1 so far"), "{}", skipping.said());
}

#[test]
fn memory_stays_flat_over_a_thousand_steps_on_a_gpu() {
    let Some(libtorch) = gpu::libtorch() else { return };
    let work = Workplace::new();
    let long = [
        ("trainer.epochs", json!(160)),
        ("trainer.log_interval", json!(10)),
        ("trainer.batch_order", json!("bucketed")),
    ];
    let mut running = begin(&work, "run", &libtorch, &long, &[]);
    running.wait_for("step 300:");
    let before = running.memory();
    running.wait_for("step 1270:");
    let after = running.memory();
    assert_eq!(running.end(), 0, "{}", running.said());
    let grown = after.saturating_sub(before);
    println!("host memory after 300 and 1270 steps: {before} and {after} KiB");
    assert!(grown < 4096, "{before} KiB have become {after} KiB");
}
