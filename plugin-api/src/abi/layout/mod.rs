//! The binary layout of the boundary as text: of this version, and of the version that an opened plugin was built with.
//!
//! The rule is ours and not abi_stable's, which lets a library have more than its user knows of, but not less: a plugin is to be
//! loaded by every later host. So two layouts fit if all that is in both is the same, but for fields at the end of a table.
//!
//! What was promised with a minor version is a file in `plugin-api/abi/` and is kept by every later one of the same major version.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

use abi_stable::StableAbi;
use abi_stable::type_layout::{TLData, TLField, TLFields, TLFunction, TypeLayout};

use super::root::PluginRootRef;

/// Types in the order in which they are met, each as a line and its fields as lines beneath.
#[derive(Default)]
struct Description {
    order: Vec<String>,
    types: BTreeMap<String, String>,
}

impl Description {
    fn of(root: &'static TypeLayout) -> String {
        let mut description = Self::default();
        description.add(root);
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

/// The layout of this version.
fn this_version() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| Description::of(PluginRootRef::LAYOUT))
}

/// What keeps a plugin whose root has this layout from being used, a sentence a type; nothing if it fits.
pub(crate) fn misfits(root: &'static TypeLayout) -> Vec<String> {
    misfits_of(this_version(), &Description::of(root))
}

fn misfits_of(ours: &str, theirs: &str) -> Vec<String> {
    let theirs = blocks(theirs);
    let mut misfits = Vec::new();
    for (name, ours) in blocks(ours) {
        let Some(theirs) = theirs.get(name) else { continue };
        let table = name.starts_with("table ");
        let fits =
            if table { ours.starts_with(theirs) || theirs.starts_with(&ours) } else { ours == *theirs };
        if !fits {
            let differs = ours.iter().zip(theirs).find(|(one, other)| one != other);
            let (one, other) =
                differs.unwrap_or((ours.last().unwrap_or(&name), theirs.last().unwrap_or(&name)));
            misfits.push(format!("of the {name} it has `{}`, this host `{}`", other.trim(), one.trim()));
        }
    }
    misfits
}

/// The lines of each type, by the first without what may differ in it.
fn blocks(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut blocks: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if !line.starts_with("  ") {
            name = line.rsplit_once(", ").map_or(line, |(name, _)| name);
        }
        blocks.entry(name).or_default().push(line);
    }
    blocks
}
