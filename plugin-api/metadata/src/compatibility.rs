//! Whether a host can use a plugin, decided from the plugin's metadata alone.

use semver::Version;
use thiserror::Error;

use crate::reader::PluginMetadata;
use crate::{API_VERSION, TARGET, TORCH_VERSION};

/// What a plugin must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Version of `kiwi-plugin-api` that the host has.
    pub api_version: String,
    /// libtorch release that the host is built against.
    pub torch: String,
    /// Target triple of the host.
    pub target: String,
}

impl Host {
    /// This very build.
    #[must_use]
    pub fn this() -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            torch: TORCH_VERSION.to_owned(),
            target: TARGET.to_owned(),
        }
    }
}

/// Why a plugin does not fit a host. Each text says what was found, what is expected, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// A version that is no semantic version.
    #[error("its {what} is `{found}`, expected a semantic version such as `1.2.3`: correct it and rebuild")]
    Version {
        /// Which of its versions.
        what: &'static str,
        /// What stands there.
        found: String,
    },
    /// It needs another plugin API.
    #[error(
        "needs a host with plugin API {found} or a compatible later one, this host has {host}: {}",
        api_advice(.found, .host)
    )]
    Api {
        /// Oldest plugin API that it can live with.
        found: String,
        /// The host's.
        host: String,
    },
    /// It is linked against another libtorch.
    #[error("is built against torch {found}, this host needs torch {}.*: rebuild it against torch {}", minor(.host), minor(.host))]
    Torch {
        /// Its libtorch release.
        found: String,
        /// The host's.
        host: String,
    },
    /// It is built for another system.
    #[error(
        "is built for the target {found}, this host is built for {host}: rebuild it with `--target {host}`"
    )]
    Target {
        /// Its target triple.
        found: String,
        /// The host's.
        host: String,
    },
    /// A panic in it would end the process.
    #[error(
        "is built with panic = \"{found}\", expected panic = \"unwind\", without which its panics would end the host: \
         remove `panic` from its Cargo profile and rebuild"
    )]
    Panic {
        /// Its panic strategy.
        found: String,
    },
}

fn api_advice(found: &str, host: &str) -> String {
    let newer = match (Version::parse(found), Version::parse(host)) {
        (Ok(found), Ok(host)) => found > host,
        _ => false,
    };
    if newer {
        format!("update kiwi-host, or rebuild the plugin with kiwi-plugin-api {}", minor(host))
    } else {
        format!("rebuild the plugin with kiwi-plugin-api {}", minor(host))
    }
}

/// Major and minor of a version, as text.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// Everything that keeps this host from running a plugin of such metadata; nothing if it can.
#[must_use]
pub fn check(plugin: &PluginMetadata, host: &Host) -> Vec<Mismatch> {
    let mut rejections = Vec::new();

    for (what, found) in [("version", &plugin.version), ("plugin API version", &plugin.api_version)] {
        if Version::parse(found).is_err() {
            rejections.push(Mismatch::Version { what, found: found.clone() });
        }
    }
    match Version::parse(&plugin.minimum_host_api) {
        Err(_) => rejections
            .push(Mismatch::Version { what: "minimum host API", found: plugin.minimum_host_api.clone() }),
        Ok(needed) if !Version::parse(&host.api_version).is_ok_and(|host| serves(&host, &needed)) => {
            rejections.push(Mismatch::Api {
                found: plugin.minimum_host_api.clone(),
                host: host.api_version.clone(),
            });
        }
        Ok(_) => {}
    }
    // A local part such as `+cu130` names the accelerator, not the interface.
    if minor(&plugin.torch) != minor(&host.torch) {
        rejections.push(Mismatch::Torch { found: plugin.torch.clone(), host: host.torch.clone() });
    }
    if plugin.target != host.target {
        rejections.push(Mismatch::Target { found: plugin.target.clone(), host: host.target.clone() });
    }
    if plugin.panic != "unwind" {
        rejections.push(Mismatch::Panic { found: plugin.panic.clone() });
    }
    rejections
}

/// Whether a host with one version of the plugin API can run what needs at least another: not older, and the same
/// major version; below 1.0 the same minor version too, since every minor version may break there.
fn serves(host: &Version, needed: &Version) -> bool {
    needed <= host && needed.major == host.major && (host.major > 0 || needed.minor == host.minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RUSTC;

    /// The metadata of a plugin of this build.
    fn metadata(name: &str) -> PluginMetadata {
        PluginMetadata {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            description: String::new(),
            license: String::new(),
            authors: Vec::new(),
            api_version: API_VERSION.to_owned(),
            minimum_host_api: API_VERSION.to_owned(),
            torch: TORCH_VERSION.to_owned(),
            target: TARGET.to_owned(),
            rustc: RUSTC.to_owned(),
            panic: "unwind".to_owned(),
            components: Vec::new(),
            systems: Vec::new(),
        }
    }

    fn host(api: &str) -> Host {
        Host { api_version: api.to_owned(), ..Host::this() }
    }

    fn plugin(minimum: &str) -> PluginMetadata {
        PluginMetadata { minimum_host_api: minimum.to_owned(), ..metadata("kiwi-example") }
    }

    #[test]
    fn a_plugin_of_this_build_fits() {
        assert_eq!(check(&metadata("kiwi-example"), &Host::this()), []);
    }

    #[test]
    fn a_host_serves_older_plugins_of_its_line_only() {
        let fits = |minimum: &str, api: &str| check(&plugin(minimum), &host(api)).is_empty();
        for (minimum, api) in [
            ("0.1.0", "0.1.0"),
            ("0.1.0", "0.1.9"),
            ("1.2.0", "1.9.4"),
            ("1.0.0", "1.0.0"),
            ("2.0.0", "2.1.0"),
        ] {
            assert!(fits(minimum, api), "{minimum} on {api}");
        }
        for (minimum, api) in [
            ("0.1.1", "0.1.0"),
            ("0.1.0", "0.2.0"),
            ("1.3.0", "1.2.9"),
            ("1.0.0", "2.0.0"),
            ("0.1.0", "1.0.0"),
        ] {
            assert!(!fits(minimum, api), "{minimum} on {api}");
        }
    }

    #[test]
    fn what_to_do_about_the_api_depends_on_who_is_older() {
        let older = check(&plugin("0.2.0"), &host("0.3.1"));
        assert_eq!(
            older[0].to_string(),
            "needs a host with plugin API 0.2.0 or a compatible later one, this host has 0.3.1: \
             rebuild the plugin with kiwi-plugin-api 0.3"
        );
        let newer = check(&plugin("0.4.0"), &host("0.3.1"));
        assert!(
            newer[0]
                .to_string()
                .ends_with("update kiwi-host, or rebuild the plugin with kiwi-plugin-api 0.3")
        );
    }

    #[test]
    fn the_patch_and_local_part_of_torch_do_not_matter() {
        let host = Host { torch: "2.11.0".to_owned(), ..Host::this() };
        for torch in ["2.11.0", "2.11.1", "2.11.0+cu130"] {
            assert_eq!(check(&PluginMetadata { torch: torch.to_owned(), ..metadata("a") }, &host), []);
        }
        let other = check(&PluginMetadata { torch: "2.1.10".to_owned(), ..metadata("a") }, &host);
        assert_eq!(
            other[0].to_string(),
            "is built against torch 2.1.10, this host needs torch 2.11.*: rebuild it against torch 2.11"
        );
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = PluginMetadata {
            version: "one".to_owned(),
            minimum_host_api: "99.0.0".to_owned(),
            torch: "1.13.1".to_owned(),
            target: "riscv64gc-unknown-linux-gnu".to_owned(),
            panic: "abort".to_owned(),
            ..metadata("kiwi-example")
        };
        let all = check(&wrong, &Host::this());
        let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 5, "{texts:#?}");
        for (text, part) in texts.iter().zip(["`one`", "99.0.0", "1.13.1", "riscv64gc", "abort"]) {
            assert!(text.contains(part), "{text}");
        }
    }
}
