//! What `kiwi-host report SYSTEM --source F --target F` makes its page of: the lines of `score` with the words of the source
//! besides, and at the end the line of `evaluate`, in one pass over the corpus.

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::SystemRequest;
use kiwi_text::{Corpus, Field};

use crate::data::invalid;
use crate::evaluate::{self, Evaluated, Purpose, open};
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::score::scores;
use crate::training;

/// Runs the system on the corpus and tells of each pair, then of all.
pub(crate) fn read(request: &SystemRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut report = Report::new(outlet, &request.common, request.common.verbosity);
    report.until_done(|report| {
        let Evaluated { mut system, corpus, data, mode } = open(request, Purpose::Prediction, report)?;
        let found =
            training::evaluate(&mut system, &data, None, mode, &mut Ranks::alone(), |batch, output| {
                let mut source = corpus.side(Field::Source).map(Corpus::reader);
                for (place, score) in batch.pairs.iter().zip(scores(&corpus, batch, output)?) {
                    let mut line = score.to_json();
                    let words: Vec<String> = match &mut source {
                        Some(reader) => {
                            let text = reader.line(corpus.line(*place)).map_err(|error| invalid(&error))?;
                            kiwi_text::words(text).map(str::to_owned).collect()
                        }
                        None => Vec::new(),
                    };
                    line["source"] = words.into();
                    outlet.data(line.to_string());
                }
                Ok(())
            })?;
        report.warnings(system.close());
        outlet.data(evaluate::to_json(corpus.pairs(), &found));
        Ok(ExitCode::Success)
    })
}
