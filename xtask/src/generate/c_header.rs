//! `plugin-api/include/kiwi_plugin.h`, from the types of `plugin-api/src/abi/c`.

use std::path::Path;

use anyhow::{Context as _, Result};
use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};

use super::Generated;

/// The types, in the order in which the header has them.
const SOURCES: [&str; 3] = ["values.rs", "host.rs", "tables.rs"];

/// Oldest version of the plugin API that a host must have to run a plugin that uses all of the header.
const MINIMUM_HOST_API: &str = "1.1.0";

/// The header.
pub(super) fn generate(root: &Path) -> Result<Generated> {
    let folder = root.join("plugin-api/src/abi/c");
    let mut builder = Builder::new().with_config(config());
    for source in SOURCES {
        builder = builder.with_src(folder.join(source));
    }
    let bindings = builder.generate().context("cannot make a C header of plugin-api/src/abi/c")?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    // What nobody looks into is declared only: C has no structs without members.
    let text = String::from_utf8(text)?.replace(" {\n  uint8_t opaque[0];\n}", "");
    Ok(Generated { path: "plugin-api/include/kiwi_plugin.h", text })
}

fn config() -> Config {
    let mut config = Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Both,
        documentation_style: DocumentationStyle::C99,
        usize_is_size_t: true,
        no_includes: true,
        sys_includes: ["stdbool.h", "stddef.h", "stdint.h"].map(str::to_owned).to_vec(),
        include_guard: Some("KIWI_PLUGIN_H".to_owned()),
        header: Some(HEADER.to_owned()),
        autogen_warning: Some("// Made by `cargo xtask generate`. Do not change it by hand.".to_owned()),
        after_includes: Some(versions()),
        trailer: Some(TRAILER.to_owned()),
        line_length: 110,
        ..Config::default()
    };
    // What only a pointer to is mentioned is declared all the same.
    let types =
        ["KiwiPlugin", "KiwiEncoderContext", "KiwiHeadContext", "KiwiScheduleKeys", "KiwiScheduleContext"];
    config.export.include = types.map(str::to_owned).to_vec();
    config.export.exclude = vec!["KiwiInstance".to_owned()];
    config
}

/// The versions that a plugin writes into its metadata.
fn versions() -> String {
    format!(
        "\n// Version of this interface, which a plugin writes into its metadata.\n#define KIWI_API_VERSION \"{}\"\n\n\
         // Oldest version that a host must have to run a plugin that uses all of this header.\n#define KIWI_MINIMUM_HOST_API \"{}\"\n",
        kiwi_plugin_metadata::API_VERSION,
        MINIMUM_HOST_API
    )
}

const HEADER: &str = "\
// The boundary between kiwi-host and a plugin that is not written in Rust.
//
// A plugin is a shared library that exports `kiwi_plugin_c_root` and has metadata records in its section `.kiwi_plugin`.
// `kiwi_plugin.hpp` does both for plugins in C++; docs/cpp-plugins.md describes them.
//
// A struct that begins with `size` may grow at its end: read no more of it than `size` says. Texts are UTF-8 and have a length.
// A `KiwiTensor` is an `at::Tensor`. What a function is given is valid until it returns.
";

const TRAILER: &str = "\
// A text that is a string literal.
#define KIWI_TEXT(literal) { (literal), sizeof(literal) - 1 }

#ifdef __cplusplus
extern \"C\" {
#endif

// What a plugin exports.
#if defined(__GNUC__)
__attribute__((visibility(\"default\")))
#endif
const KiwiPlugin *kiwi_plugin_c_root(void);

#ifdef __cplusplus
}
#endif
";
