//! The binary layout of the boundary as text, one version of it a file in `plugin-api/abi/`: what was promised with a minor version
//! is kept by every later one of the same major version.
//!
//! `KIWI_UPDATE_SNAPSHOTS=1` writes the description of this version.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use abi_stable::StableAbi;
use abi_stable::type_layout::{TLData, TLField, TLFields, TLFunction, TypeLayout};

use super::callbacks::HostCallbacksRef;
use super::root::PluginRootRef;
use crate::API_VERSION;

/// Types in the order in which they are met, each as a line and its fields as lines beneath.
#[derive(Default)]
struct Description {
    order: Vec<String>,
    types: BTreeMap<String, String>,
}

impl Description {
    fn of(roots: &[&'static TypeLayout]) -> String {
        let mut description = Self::default();
        for root in roots {
            description.add(root);
        }
        description.order.iter().map(|name| description.types[name].as_str()).collect()
    }

    fn add(&mut self, layout: &'static TypeLayout) {
        let name = type_name(layout);
        if self.types.contains_key(&name) {
            return;
        }
        self.order.push(name.clone());
        self.types.insert(name.clone(), String::new());
        let (size, align) = (layout.size(), layout.alignment());
        let mut text = String::new();
        let head = |what: &str| format!("{what} {name}, {size} bytes aligned to {align}\n");
        match layout.data() {
            TLData::PrefixType(prefix) => {
                // Its size grows with every field that is appended.
                let needed = prefix.first_suffix_field;
                let _ = writeln!(text, "table {name}, {needed} fields always there");
                self.fields(&mut text, prefix.fields);
            }
            TLData::Struct { fields } => {
                text += &head("struct");
                self.fields(&mut text, fields);
            }
            TLData::Union { fields } => {
                text += &head("union");
                self.fields(&mut text, fields);
            }
            TLData::Enum(variants) => {
                text += &head("enum");
                let _ = writeln!(text, "  variants {}", variants.variant_names.as_str());
                self.fields(&mut text, variants.fields);
            }
            TLData::Primitive(primitive) => text += &head(&format!("primitive {primitive:?}")),
            TLData::Opaque => text += &head("opaque"),
        }
        // What a reference to a table or a list refers to.
        for behind in layout.phantom_fields().iter() {
            self.add(behind.layout());
        }
        self.types.insert(name, text);
    }

    fn fields(&mut self, text: &mut String, fields: TLFields) {
        for field in fields.iter() {
            let _ = writeln!(text, "  {}: {}", field.name(), signature(&field));
            for function in field.function_range().iter() {
                for layout in function.param_type_layouts.iter() {
                    self.add(layout());
                }
                if let Some(layout) = function.return_type_layout() {
                    self.add(layout());
                }
            }
            if !field.is_function() {
                self.add(field.layout());
            }
        }
    }
}

/// The type of a field; of a function its parameters and what it returns.
fn signature(field: &TLField) -> String {
    if !field.is_function() {
        return type_name(field.layout());
    }
    let of_one = |function: TLFunction| {
        let parameters: Vec<_> =
            function.param_type_layouts.iter().map(|layout| type_name(layout())).collect();
        let returned =
            function.return_type_layout().map_or_else(|| "()".to_owned(), |layout| type_name(layout()));
        let kind = if function.fn_qualifs.is_unsafe() { "unsafe fn" } else { "fn" };
        format!("{kind}({}) -> {returned}", parameters.join(", "))
    };
    field.function_range().iter().map(of_one).collect()
}

/// The name of a type with the types it is made of, where abi_stable's own text leaves them out.
fn type_name(layout: &'static TypeLayout) -> String {
    let behind = |layout: &'static TypeLayout| -> Vec<&'static TypeLayout> {
        layout.phantom_fields().iter().map(|field| field.layout()).collect()
    };
    let fields = || layout.get_fields().into_iter().flat_map(|fields| fields.to_vec());
    let first_field = || fields().next().map(|field| field.layout());
    let inner = match layout.name() {
        "RVec" | "RSlice" | "NonNull" => first_field().into_iter().collect(),
        "ROption" | "RResult" => fields().map(|field| field.layout()).collect(),
        "*const" | "*mut" | "&" | "&mut" | "PrefixRef" | "PhantomData" => behind(layout),
        _ => return layout.full_type().to_string(),
    };
    let inner: Vec<_> = inner.into_iter().map(type_name).collect();
    format!("{}<{}>", layout.name(), inner.join(", "))
}

fn this_version() -> String {
    Description::of(&[PluginRootRef::LAYOUT, HostCallbacksRef::LAYOUT])
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("abi")
}

fn minor_of(version: &str) -> (u64, u64) {
    let mut numbers = version.split('.').map(|number| number.parse::<u64>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// What `new` breaks of what `old` promises: a type that is gone or another, a field of a table that is not where it was.
fn broken(old: &str, new: &str) -> Vec<String> {
    let new = blocks(new);
    let mut broken = Vec::new();
    for (name, old) in blocks(old) {
        let kept = match new.get(&name) {
            None => false,
            Some(new) if name.starts_with("table ") => new.starts_with(&old),
            Some(new) => *new == old,
        };
        if !kept {
            let found = new.get(&name).map_or_else(|| "nothing".to_owned(), |lines| lines.join("\n"));
            broken.push(format!("promised:\n{}\nfound:\n{found}", old.join("\n")));
        }
    }
    broken
}

/// The lines of each type, by the first without what may differ in it.
fn blocks(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut blocks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if !line.starts_with("  ") {
            name = line.rsplit_once(", ").map_or(line, |(name, _)| name).to_owned();
        }
        blocks.entry(name.clone()).or_default().push(line.to_owned());
    }
    blocks
}

#[test]
fn the_layout_is_what_was_promised_with_this_version() {
    let (major, minor) = minor_of(API_VERSION);
    let file = folder().join(format!("{major}.{minor}.txt"));
    let now = this_version();
    if env::var_os("KIWI_UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, &now).unwrap();
    }
    let promised = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(
        now == promised,
        "the layout is not that of {}:\n{}\nappend fields to tables only, raise the minor version, and write its description with \
         KIWI_UPDATE_SNAPSHOTS=1",
        file.display(),
        broken(&promised, &now).join("\n\n")
    );
}

#[test]
fn every_earlier_minor_version_is_kept() {
    let (major, minor) = minor_of(API_VERSION);
    let now = this_version();
    for earlier in 0..minor {
        let file = folder().join(format!("{major}.{earlier}.txt"));
        let promised =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let broken = broken(&promised, &now);
        assert!(broken.is_empty(), "{} is not kept:\n{}", file.display(), broken.join("\n\n"));
    }
}

#[test]
fn only_what_is_appended_to_a_table_is_no_break() {
    let old = "table T, 2 fields always there\n  a: u8\n  b: fn(u8) -> u8\nstruct S, 8 bytes aligned to 8\n  x: u64\n";
    let with = |from: &str, to: &str| {
        assert!(old.contains(from), "{from}");
        broken(old, &old.replace(from, to)).len()
    };
    assert_eq!(with("  b: fn(u8) -> u8\n", "  b: fn(u8) -> u8\n  c: u8\n"), 0);
    assert_eq!(with("struct S", "struct Other, 1 bytes aligned to 1\nstruct S"), 0);
    assert_eq!(with("  a: u8\n", "  c: u8\n  a: u8\n"), 1, "inserted");
    assert_eq!(with("  b: fn(u8) -> u8\n", ""), 1, "removed");
    assert_eq!(with("fn(u8)", "fn(u16)"), 1, "another parameter");
    assert_eq!(with("2 fields always", "3 fields always"), 1, "more is needed");
    assert_eq!(with("  x: u64\n", "  x: u64\n  y: u64\n"), 1, "a struct never grows");
    assert_eq!(with("8 bytes", "16 bytes"), 1, "another size");
    assert_eq!(with("struct S, 8 bytes aligned to 8\n  x: u64\n", ""), 1, "a type is gone");
}
