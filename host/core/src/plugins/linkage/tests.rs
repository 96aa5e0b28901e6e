use std::fs;
use std::process::Command;

use super::*;
use crate::plugins::inspect::{inspect, inspect_bytes, linkage};
use crate::plugins::testing::{metadata, section};

/// A plugin of this C code, linked with these options.
fn plugin(folder: &Path, code: &str, options: &[&str]) -> PathBuf {
    let (data, source, path) = (folder.join("section"), folder.join("plugin.c"), folder.join("libplugin.so"));
    fs::write(&data, section(&metadata("linked"))).unwrap();
    let embedded = format!(
        "__asm__(\".section {},\\\"a\\\"\\n.incbin \\\"{}\\\"\\n.previous\");\n",
        kiwi_plugin_metadata::SECTION,
        data.display()
    );
    fs::write(&source, embedded + code).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-nostdlib", "-o"]).arg(&path).arg(&source).args(options);
    let output = cc.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// A library of this name, with this soname or none.
fn library(folder: &Path, name: &str, soname: Option<&str>) -> String {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    let source = folder.join("empty.c");
    fs::write(&source, "int nothing_at_all;\n").unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-nostdlib", "-o"]).arg(&path).arg(&source);
    cc.args(soname.map(|name| format!("-Wl,-soname,{name}")));
    assert!(cc.status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

/// Why it is rejected; both ways of reading agree.
fn rejections(path: &Path) -> Vec<Rejection> {
    let inspection = inspect(path);
    assert_eq!(inspection, inspect_bytes(&fs::read(path).unwrap()));
    assert!(inspection.metadata.is_some());
    inspection.rejections
}

#[test]
fn what_a_plugin_needs_and_where_it_looks_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let other = library(folder.path(), "libother.so", Some("libother.so.1"));
    let linked = |dtags: &str| {
        let options = ["-Wl,--no-as-needed", &other, dtags, "-Wl,-rpath,$ORIGIN/../lib:/opt/torch/lib"];
        linkage(&plugin(folder.path(), "int used;", &options)).unwrap()
    };
    let found = linked("-Wl,--enable-new-dtags");
    assert_eq!(found.needed, ["libother.so.1"]);
    assert_eq!(found.search, ["$ORIGIN/../lib", "/opt/torch/lib"]);
    assert!(!found.search_is_inherited);
    assert_eq!(found.own_libtorch, None);
    let directories: Vec<_> = found.directories(Path::new("/plugins")).collect();
    assert_eq!(directories, ["/plugins/../lib", "/opt/torch/lib"].map(PathBuf::from));
    let found = linked("-Wl,--disable-new-dtags");
    assert_eq!((found.search.len(), found.search_is_inherited), (2, true));
}

#[test]
fn the_hosts_libtorch_by_name_is_what_a_plugin_is_to_need() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["libc10.so", "libtorch_cpu.so", "libtorchaudio.so", "libtorch_tokenizers-1.so"];
    let libraries = names.map(|name| library(folder.path(), name, Some(name)));
    let mut options: Vec<_> = libraries.iter().map(String::as_str).collect();
    options.extend(["-Wl,--no-as-needed", "-Wl,-rpath,/another/torch/lib"]);
    options.rotate_left(4);
    let path = plugin(folder.path(), "int used;", &options);
    assert_eq!(linkage(&path).unwrap().needed, names);
    assert_eq!(rejections(&path), []);
}

#[test]
fn another_libtorch_is_rejected_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let needing = |name: &str, soname: Option<&str>| {
        let library = library(&folder.path().join("torch"), name, soname);
        rejections(&plugin(folder.path(), "int used;", &["-Wl,--no-as-needed", &library]))
    };
    let wheel = needing("libtorch_cpu-0f1e2d3c.so", Some("libtorch_cpu-0f1e2d3c.so"));
    assert_eq!(
        wheel[0].to_string(),
        "needs `libtorch_cpu-0f1e2d3c.so`, a libtorch of its own, expected `libtorch_cpu.so`, which the host has \
         opened: link libtorch by name, as kiwi-plugin-api does, and pack no libtorch with the plugin \
         (`auditwheel repair --exclude libtorch_cpu.so`)"
    );
    let debian = needing("libc10.so.2.6", Some("libc10.so.2.6"));
    let expected = |found: &str| {
        let (found, expected) = (found.to_owned(), "libc10.so".to_owned());
        Rejection::from(SecondLibtorch::Needed { found, expected })
    };
    assert_eq!(debian, [expected("libc10.so.2.6")]);
    // Without a name of its own it is needed by its path, and that is opened whatever else is.
    let by_path = folder.path().join("torch/libc10.so");
    assert_eq!(needing("libc10.so", None), [expected(by_path.to_str().unwrap())]);
}

#[test]
fn a_libtorch_within_a_plugin_is_rejected_even_if_it_is_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let with = |code: &str, options: &[&str]| rejections(&plugin(folder.path(), code, options));
    let own = |symbol: &str| [Rejection::from(SecondLibtorch::LinkedIn { symbol: symbol.to_owned() })];
    let singleton = "_ZN3c1019UndefinedTensorImpl10_singletonE";
    let operator = "_ZN2at4_ops10add_Tensor4callERKNS_6TensorES4_RKN3c106ScalarE";
    assert_eq!(with(&format!("int {singleton};"), &[]), own(singleton));
    assert_eq!(with(&format!("void {operator}(void) {{}}"), &[]), own(operator));
    let hidden = format!("__attribute__((visibility(\"hidden\"))) void {operator}(void) {{}}");
    assert_eq!(with(&hidden, &[]), own(operator));
    // Once its own symbols are stripped, what is hidden can be seen by nobody; what is exported can.
    assert_eq!(with(&format!("int {singleton};"), &["-s"]), own(singleton));

    // What headers of libtorch define in whoever includes them is no libtorch, and neither is what is only used.
    let inline = "__attribute__((weak)) void _ZN2at6Tensor3addEv(void) {}\n\
                  __attribute__((visibility(\"hidden\"))) void _ZN3c1013intrusive_ptrE(void) {}\n";
    assert_eq!(with(inline, &[]), []);
    let used = format!("extern int {singleton}; int *used(void) {{ return &{singleton}; }}");
    assert_eq!(with(&used, &[]), []);
}

#[test]
fn libraries_of_libtorch_that_lie_elsewhere_than_the_hosts_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for directory in ["host", "other"] {
        library(&at(directory), "libtorch_cpu.so", None);
        library(&at(directory), "libtorch_cuda.so", None);
    }
    let linked = |search: &str| Linkage {
        needed: vec!["libtorch_cpu.so".to_owned(), "libtorch_cuda.so".to_owned(), "libm.so.6".to_owned()],
        search: vec![search.to_owned()],
        ..Linkage::default()
    };
    let opened = [at("host/libtorch_cpu.so")];
    let other = linked("$ORIGIN/../other");
    let found = other.foreign_library(&at("host"), &opened).unwrap();
    assert_eq!(found.canonicalize().unwrap(), at("other/libtorch_cuda.so").canonicalize().unwrap());
    assert_eq!(linked(at("host").to_str().unwrap()).foreign_library(folder.path(), &opened), None);
    assert_eq!(linked("/absent").foreign_library(folder.path(), &opened), None);
    // What is opened already is taken by its name, wherever the plugin looks.
    let both = [at("host/libtorch_cpu.so"), at("host/libtorch_cuda.so")];
    assert_eq!(other.foreign_library(&at("host"), &both), None);
}

#[test]
fn names_of_libtorch_are_told_from_others() {
    for (needed, library) in [
        ("libtorch_cpu.so", Some("libtorch_cpu.so")),
        ("libtorch_cpu-1a2b3c4d.so", Some("libtorch_cpu.so")),
        ("libtorch.so.2", Some("libtorch.so")),
        ("/opt/lib/libc10_cuda.so", Some("libc10_cuda.so")),
        ("libtorch_cpu_extras.so", None),
        ("libtorchvision.so", None),
        ("libc10d.so", None),
        ("torch_cpu.so", None),
    ] {
        assert_eq!(library_of_libtorch(needed).as_deref(), library, "{needed}");
    }
    for (entry, rest) in [
        ("$ORIGIN", Some("")),
        ("${ORIGIN}/lib", Some("lib")),
        ("$ORIGIN/../lib", Some("../lib")),
        ("$ORIGINAL/lib", None),
        ("/opt/lib", None),
    ] {
        assert_eq!(beside(entry), rest, "{entry}");
    }
}
