//! Text in an array, put together without allocating anything, as a signal handler must.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use kiwi_plugin_api::abi::host::CallUnderWay;

/// Bytes of the longest text; what is beyond them is left out.
const LONGEST: usize = 1024;

/// A text.
pub(super) struct Text {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Text {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { bytes: [0; LONGEST], length: 0 }
    }

    /// What it says.
    pub(super) fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Adds a text; one that no longer fits is left out.
    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        let end = self.length + text.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(text.as_bytes());
            self.length = end;
        }
        self
    }

    /// Adds a number.
    pub(super) fn add_number(&mut self, number: i32) -> &mut Self {
        self.add_formatted(format_args!("{number}"))
    }

    /// Adds the time, as the log has it.
    pub(super) fn add_time(&mut self) -> &mut Self {
        self.add_formatted(format_args!("{:.0}", Timestamp::now()))
    }

    /// Adds who was called.
    pub(super) fn add_caller(&mut self, call: &CallUnderWay) -> &mut Self {
        if call.class.is_empty() {
            self.add("the plugin `").add(call.plugin).add("`")
        } else {
            self.add("`").add(call.class).add("` of the plugin `").add(call.plugin).add("`")
        }
    }

    /// Adds whose fault it is.
    pub(super) fn add_fault_of(&mut self, call: &CallUnderWay) -> &mut Self {
        self.add("  help: this is a fault of the plugin `")
            .add(call.plugin)
            .add("`: report it to its authors")
    }

    /// Ends a line.
    pub(super) fn next_line(&mut self) -> &mut Self {
        self.add("\n")
    }

    fn add_formatted(&mut self, text: fmt::Arguments<'_>) -> &mut Self {
        // Never an error: what does not fit is left out.
        let _ = self.write_fmt(text);
        self
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use kiwi_plugin_api::abi::host::Phase;

    use super::*;

    #[test]
    fn a_text_holds_what_fits() {
        let mut text = Text::new();
        let call = CallUnderWay { plugin: "kiwi-x", class: "X", phase: Phase::Step, number: 1 };
        text.add_caller(&call).add(" ended with ").add_number(-7).next_line().add_fault_of(&call);
        let expected = "`X` of the plugin `kiwi-x` ended with -7\n  help: this is a fault of the plugin `kiwi-x`: report it to its authors";
        assert_eq!(text.as_str(), expected);
        let long = "ü".repeat(LONGEST);
        assert_eq!(text.add(&long).as_str(), expected, "what does not fit is left out as a whole");
        let mut time = Text::new();
        assert!(time.add_time().as_str().ends_with('Z'), "{}", time.as_str());
        let mut whole = Text::new();
        assert_eq!(whole.add_caller(&CallUnderWay { class: "", ..call }).as_str(), "the plugin `kiwi-x`");
    }
}
