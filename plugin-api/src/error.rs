//! The error of a component: a message, what lies beneath it, and nothing of libtorch's stack.

use std::fmt;

/// Result of a component's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a component could not do what was asked.
///
/// Everything that tch and torch-ext return converts into it by `?`.
#[derive(Debug)]
pub struct Error {
    message: String,
    causes: Vec<String>,
}

impl Error {
    /// An error with this message: a lower-case fragment that says what was found and what was expected.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new() }
    }

    /// The same error beneath a new message that says what was being done.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Self {
        let mut causes = vec![self.message];
        causes.extend(self.causes);
        Self { message: message.into(), causes }
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What lies beneath, outermost first.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    fn from_source(error: &dyn std::error::Error) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(without_stack(&cause.to_string()).to_owned());
            source = cause.source();
        }
        Self { message: without_stack(&error.to_string()).to_owned(), causes }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::from_source(&error)
    }
}

/// The message without the stack of C++ frames that libtorch appends, and without the place of its code and the condition that it
/// puts before some. Where a panic quotes the message (as those of tch's functions
/// without `f_` do), the lines of the stack are quoted too.
pub(crate) fn without_stack(message: &str) -> &str {
    let end = [
        "\nException raised from",
        "\nC++ CapturedTraceback",
        r"\nException raised from",
        r"\nC++ CapturedTraceback",
        "\nframe #",
        r"\nframe #",
    ]
    .iter()
    .filter_map(|mark| message.find(mark))
    .min()
    .unwrap_or(message.len());
    let message = message[..end].trim_end();
    match message.split_once("[enforce fail at ").and_then(|(_, rest)| rest.split_once(". ")) {
        Some((_, said)) => said,
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_of_libtorch_is_left_out() {
        let error = tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu))
            .f_matmul(&tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu)))
            .err()
            .map(Error::from);
        let text = error.map(|e| e.to_string()).unwrap_or_default();
        assert!(text.contains("cannot be multiplied"), "{text}");
        assert!(!text.contains("frame #"), "{text}");
        assert!(!text.contains("Exception raised"), "{text}");
    }

    #[test]
    fn memory_that_is_not_there_is_said_in_plain_words() {
        let error = crate::init::zeros(&[1 << 22, 1 << 20], tch::Device::Cpu).err().map(|e| e.to_string());
        let text = error.unwrap_or_default();
        let start =
            "cannot make a tensor of shape [4194304, 1048576]: DefaultCPUAllocator: can't allocate memory";
        assert!(text.starts_with(start), "{text}");
        assert!(!text.contains("frame #") && !text.contains("alloc_cpu"), "{text}");
    }

    #[test]
    fn the_stack_is_left_out_of_what_a_panic_quotes_too() {
        let quoted = format!("called `unwrap()`: {:?}", "no\nException raised from meta\nframe #0: x");
        assert_eq!(without_stack(&quoted), r#"called `unwrap()`: "no"#);
    }

    #[test]
    fn context_keeps_the_cause() {
        let error = Error::new("inner").context("outer");
        assert_eq!(error.to_string(), "outer: inner");
        assert_eq!(error.causes(), ["inner"]);
    }
}
