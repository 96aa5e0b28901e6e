//! `explain`: the pages on error codes.

use kiwi_core::data_format;
use kiwi_core::diagnostic::{Diagnostic, Failure, Severity};
use kiwi_core::error_code::{Code, Example, list};
use kiwi_core::exit_code::ExitCode;
use serde_json::{Value, json};

use super::print_data;
use crate::arguments::{ExplainArguments, FormatArgument};

/// Width of what is no terminal.
const WIDTH: usize = 80;

pub(super) fn run(arguments: &ExplainArguments) -> Result<i32, Failure> {
    let found: Vec<_> = arguments.codes.iter().map(|text| (text, Code::find(text))).collect();
    let errors: Vec<_> =
        found.iter().filter_map(|(text, found)| Some(unknown(text, found.as_ref().err()?))).collect();
    if !errors.is_empty() {
        return Err(Failure { exit: ExitCode::Invalid, diagnostics: errors });
    }
    let mut codes: Vec<Code> = Vec::new();
    for code in found.into_iter().filter_map(|(_, found)| found.ok()) {
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
    match arguments.format {
        FormatArgument::Json => {
            let codes = if codes.is_empty() { Code::ALL } else { &codes };
            print_data(codes.iter().map(|code| data_format::line(as_json(*code))))?;
        }
        FormatArgument::Human if codes.is_empty() => print_data([list(width).trim_end().to_owned()])?,
        FormatArgument::Human => {
            let pages: Vec<_> = codes.iter().map(|code| code.explanation(width)).collect();
            print_data([pages.join("\n").trim_end().to_owned()])?;
        }
    }
    Ok(ExitCode::Success.number())
}

fn as_json(code: Code) -> Value {
    let page = code.page();
    let example = page.example.both().map(|(wrong, right)| {
        let kind = if matches!(page.example, Example::Config { .. }) { "config" } else { "console" };
        json!({"kind": kind, "wrong": wrong, "right": right})
    });
    json!({
        "code": code.to_string(),
        "kind": match page.kind { Severity::Error => "error", Severity::Warning => "warning" },
        "title": page.title,
        "meaning": page.meaning,
        "what_to_do": page.mend,
        "example": example,
    })
}

fn unknown(text: &str, near: &[Code]) -> Diagnostic {
    let mut error = Diagnostic::error(Code::UnknownCode, format!("there is no error code `{text}`"))
        .found(format!("`{text}`"))
        .expected("a code as it stands in brackets behind `error` or `warning`, as E0101")
        .help("`kiwi-host explain` lists all codes");
    error.notes = near.iter().map(|code| format!("near to it: {code}, {}", code.page().title)).collect();
    error
}
