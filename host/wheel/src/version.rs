//! Versions of Cargo (semver) as versions of Python (PEP 440).

use semver::Version;

/// The version as pip has it: `1.2.0-beta.3` is `1.2.0b3`. Nothing for a pre-release that Python has no word for.
#[must_use]
pub fn of_python(version: &Version) -> Option<String> {
    let mut text = format!("{}.{}.{}", version.major, version.minor, version.patch);
    if !version.pre.is_empty() {
        let (word, number) = version.pre.split_once('.').unwrap_or((version.pre.as_str(), "0"));
        let word = match word {
            "alpha" => "a",
            "beta" => "b",
            "rc" => "rc",
            "dev" => ".dev",
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        text += &format!("{word}{number}");
    }
    if !version.build.is_empty() {
        text += &format!("+{}", version.build.replace('-', ".").to_lowercase());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_have_is_turned_from_one_to_the_other() {
        let cases = [
            ("1.2.3", Some("1.2.3")),
            ("1.2.3-alpha", Some("1.2.3a0")),
            ("1.2.3-beta.4", Some("1.2.3b4")),
            ("1.2.3-rc.1+Build.5-x", Some("1.2.3rc1+build.5.x")),
            ("1.2.3-dev.7", Some("1.2.3.dev7")),
            ("1.2.3-nightly", None),
            ("1.2.3-beta.x", None),
        ];
        for (version, python) in cases {
            assert_eq!(of_python(&version.parse().unwrap()).as_deref(), python, "{version}");
        }
    }
}
