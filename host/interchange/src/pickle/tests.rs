use proptest::prelude::*;

use super::*;

fn problem(operations: &[u8]) -> Problem {
    let bytes = [b"\x80\x02", operations].concat();
    match read(&bytes) {
        Ok(graph) => panic!("it was read: {graph:?}"),
        Err(error) => {
            assert!(error.at < bytes.len() + 1);
            error.problem
        }
    }
}

fn value(operations: &[u8]) -> Value {
    read(&[b"\x80\x02", operations].concat()).unwrap().root().clone()
}

#[test]
fn plain_values() {
    assert_eq!(value(b"N."), Value::None);
    assert_eq!(value(b"\x88."), Value::Bool(true));
    assert_eq!(value(b"J\xff\xff\xff\xff."), Value::Int(-1));
    assert_eq!(value(b"M\x01\x02."), Value::Int(0x201));
    assert_eq!(value(b"\x8a\x00."), Value::Int(0));
    assert_eq!(value(b"\x8a\x02\x00\x80."), Value::Int(-32768));
    assert_eq!(value(b"G\x3f\xf8\0\0\0\0\0\0."), Value::Float(1.5));
    assert_eq!(value("X\x02\0\0\0ä.".as_bytes()), Value::Text("ä".into()));
}

#[test]
fn what_is_written_is_read() {
    let mut out = Writer::new();
    out.dict(|out| {
        out.text("integers");
        out.list(|out| {
            for number in [0, 255, 256, 65_535, 65_536, -1, i64::from(i32::MIN), i64::MAX, i64::MIN] {
                out.int(number);
            }
        });
        for index in 0..300 {
            out.text(&format!("key {index}"));
            out.float(0.5);
        }
        out.text("tensor");
        out.tensor(ElementType::BF16, "7", &[2, 3, 4]);
        out.text("key 299");
        out.text("key 0");
    });
    let graph = read(&out.finish()).unwrap();
    let integers = graph.items(graph.get(graph.root(), "integers").unwrap()).unwrap();
    let expected =
        [0, 255, 256, 65_535, 65_536, -1, i128::from(i32::MIN), i128::from(i64::MAX), i128::from(i64::MIN)];
    assert_eq!(integers, expected.map(Value::Int));
    assert_eq!(
        graph.get(graph.root(), "key 299"),
        Some(&Value::Text("key 0".into())),
        "the last of equal keys holds"
    );
    let Some(Object::Tensor(tensor)) = graph.object(graph.get(graph.root(), "tensor").unwrap()) else {
        panic!("no tensor")
    };
    let storage = StorageRef { kind: ElementType::BF16, key: "7".into(), elements: 24 };
    assert_eq!(*tensor, TensorView { storage, offset: 0, shape: vec![2, 3, 4], strides: vec![12, 4, 1] });
}

#[test]
fn a_path_is_its_text() {
    let path = b"cpathlib\nPosixPath\nX\x04\0\0\0runsX\x01\0\0\0a\x86R.";
    assert_eq!(value(path), Value::Text("runs/a".into()));
    assert!(matches!(problem(b"cpathlib\nPosixPath\nN\x85R."), Problem::Kind { operation: "a path", .. }));
    // Each path is the next one's parts: eight operations would make a path of 8^8 letters.
    let doubled = b"h\0h\0h\0h\0h\0h\0h\0h\0tRq\0".as_slice();
    let step = [b"cpathlib\nPosixPath\n(", doubled].concat();
    let grown = [b"X\x08\0\0\0abcdefghq\0", &step.repeat(8)[..], b"."].concat();
    assert!(matches!(problem(&grown), Problem::Path { length: 4608, limit: 4096 }), "{:?}", problem(&grown));
}

#[test]
fn no_name_but_the_known_is_taken() {
    for (module, name) in [
        ("os", "system"),
        ("builtins", "eval"),
        ("posix", "system"),
        ("torch", "load"),
        ("torch", "UntypedStorage"),
        ("collections", "defaultdict"),
        ("kiwi.data.vocabulary", "Vocabulary.__init__"),
        ("torch._utils", "_rebuild_tensor"),
    ] {
        let operations = [format!("c{module}\n{name}\n").as_bytes(), b"X\x04\0\0\0true\x85R."].concat();
        let expected = Problem::Name { module: module.to_owned(), name: name.to_owned() };
        assert_eq!(problem(&operations), expected);
    }
    let said = problem(b"cos\nsystem\n.").to_string();
    assert_eq!(said, "it names `os.system`, which no system of OpenKiwi needs; nothing of it was run");
}

#[test]
fn other_protocols_and_operations_are_refused_by_name() {
    assert_eq!(read(b"\x80\x04N.").unwrap_err().problem, Problem::Protocol { found: 4 });
    assert_eq!(read(b"(dp0\n.").unwrap_err().problem, Problem::NoProtocol { found: b'(' });
    for (code, name) in
        [(b'i', "INST"), (b'o', "OBJ"), (0x93, "STACK_GLOBAL"), (0x82, "EXT1"), (0xfe, "0xfe")]
    {
        assert_eq!(problem(&[code, b'.']), Problem::Operation { name: name.to_owned() });
    }
}

#[test]
fn each_defect_has_its_message() {
    assert!(matches!(read(b"").unwrap_err().problem, Problem::Truncated { .. }));
    assert!(matches!(problem(b"N"), Problem::Truncated { .. }));
    assert!(matches!(problem(b"X\xff\xff\xff\xffabc."), Problem::Truncated { what: "a text" }));
    assert_eq!(problem(b"X\x01\0\0\0\xff."), Problem::NotUtf8);
    assert_eq!(problem(b"."), Problem::StackEmpty);
    assert_eq!(problem(b"N(."), Problem::StackEmpty);
    assert_eq!(problem(b"N(\x85."), Problem::StackEmpty, "a group does not reach below its mark");
    assert_eq!(problem(b"Nt."), Problem::NoMark);
    assert_eq!(problem(b"NN."), Problem::Leftover { found: 2 });
    assert_eq!(problem(b"h\x07."), Problem::NoMemo { index: 7 });
    assert_eq!(problem(b"Nr\xff\xff\xff\xff."), Problem::MemoTooLarge { index: 0xffff_ffff, length: 9 });
    assert_eq!(problem(b"\x8a\x11\0."), Problem::LongInteger { bytes: 17 });
    assert_eq!(problem(b"}(Nu."), Problem::OddItems);
    assert_eq!(problem(&[b'('; 1001]), Problem::TooDeep { limit: 1000 });
    for wrong in [&b"]NNs."[..], b"}Na.", b"NNa.", b"N]b.", b"]}b.", b"NQ.", b"N)R.", b"NN\x81."] {
        assert!(matches!(problem(wrong), Problem::Kind { .. }), "{wrong:?}");
    }
    assert!(matches!(problem(b"ckiwi.data.vocabulary\nVocabulary\n)R."), Problem::Kind { .. }));
    assert!(matches!(
        problem(b"ccollections\nOrderedDict\nN\x85R."),
        Problem::Kind { found: "arguments", .. }
    ));
}

/// A tensor of a storage of twelve numbers, with this offset, these sizes and strides.
fn tensor(offset: &[u8], sizes: &[u8], strides: &[u8]) -> Vec<u8> {
    let storage = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x0ctQ";
    let hooks = b"\x89ccollections\nOrderedDict\n)RtR.";
    [&storage[..], offset, sizes, strides, hooks].concat()
}

#[test]
fn tensors_that_are_none() {
    assert!(matches!(value(&tensor(b"K\0", b"K\x0c\x85", b"K\x01\x85")), Value::Object(_)));
    assert!(matches!(
        problem(&tensor(b"J\xff\xff\xff\xff", b"K\x0c\x85", b"K\x01\x85")),
        Problem::Size { found: -1, .. }
    ));
    assert!(matches!(problem(&tensor(b"K\0", b"J\xff\xff\xff\xff\x85", b"K\x01\x85")), Problem::Size { .. }));
    assert!(matches!(
        problem(&tensor(b"K\0", b"K\x02K\x02\x86", b"K\x01\x85")),
        Problem::Strides { sizes: 2, strides: 1 }
    ));
    let many = [b"(", &b"K\x01".repeat(65)[..], b"t"].concat();
    assert!(matches!(problem(&tensor(b"K\0", &many, b")")), Problem::Dimensions { found: 65, limit: 64 }));
    let view = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x0c)tQ.";
    assert_eq!(problem(view), Problem::StorageView);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes);
        let _ = read(&[b"\x80\x02", &bytes[..]].concat());
    }

    #[test]
    fn no_program_makes_it_panic(
        operations in prop::collection::vec(prop::sample::select(vec![
            &b"("[..], b"N", b"\x88", b"K\x05", b"X\x01\0\0\0a", b"]", b"}", b")", b"\x85", b"\x86", b"t", b"a", b"e", b"s", b"u",
            b"q\0", b"h\0", b"q\x01", b"h\x01", b"R", b"b", b"Q", b"\x81", b"ccollections\nOrderedDict\n",
            b"ccollections\nCounter\n", b"ckiwi.data.vocabulary\nVocabulary\n", b"ctorch\nFloatStorage\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n", b"X\x07\0\0\0storage",
            b"cpathlib\nPosixPath\n",
        ]), 0..60),
    ) {
        let bytes = [b"\x80\x02", &operations.concat()[..], b"."].concat();
        if let Ok(graph) = read(&bytes) {
            // What is built is bounded by what was read.
            prop_assert!(graph.objects.len() <= bytes.len());
        }
    }
}
