//! Arguments of `explain`.

use clap::Args;

use super::{CommonArguments, FormatArgument};

/// Explain an error code: what it means, why the program insists, what to do, with an example.
///
/// Without a code, lists all codes with their titles. The same pages are docs/errors.md.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kiwi-host explain E0101
  kiwi-host explain")]
pub(crate) struct ExplainArguments {
    /// A code, as it stands in brackets behind `error` or `warning`; its case does not matter. May be given more than once.
    #[arg(value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    /// How pages and list are printed.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: FormatArgument,
    #[command(flatten)]
    pub(crate) common: CommonArguments,
}
