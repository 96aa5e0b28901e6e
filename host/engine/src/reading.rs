//! What `kiwi-host report SYSTEM --source F --target F` makes its page of: the lines of `score` with the words of the source
//! besides, and at the end the line of `evaluate`, in one pass over the corpus.

use std::collections::BTreeMap;

use kiwi_core::diagnostic::Failure;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::SystemRequest;
use kiwi_text::{CorpusReader, Field};

use crate::data::invalid;
use crate::evaluate::{self, Evaluated, Purpose, open};
use crate::outlet::Outlet;
use crate::ranks::Ranks;
use crate::report::Report;
use crate::score;
use crate::training;

/// Runs the system on the corpus and tells of each pair, then of all.
pub(crate) fn read(request: &SystemRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let mut report = Report::new(outlet, &request.common, request.common.verbosity);
    report.until_done(|report| {
        let Evaluated { mut system, corpus, data, mode } = open(request, Purpose::Prediction, report)?;
        let found =
            training::evaluate(&mut system, &data, None, mode, &mut Ranks::alone(), |batch, output| {
                let readers = corpus.fields().filter_map(|field| Some((field, corpus.side(field)?.reader())));
                let mut readers: Vec<(Field, CorpusReader<'_>)> = readers.collect();
                for (place, figures) in batch.pairs.iter().zip(score::of_batch(batch, output)?) {
                    let mut of_fields = BTreeMap::new();
                    for (field, reader) in &mut readers {
                        let text = reader.line(corpus.line(*place)).map_err(|error| invalid(&error))?;
                        let words: Vec<String> = kiwi_text::words(text).map(str::to_owned).collect();
                        of_fields.insert(*field, words);
                    }
                    let words = |field| of_fields.get(&field).cloned().unwrap_or_default();
                    let mut line = score::with_words(*place as u64 + 1, words, &figures);
                    line["source"] = words(Field::Source).into();
                    outlet.data(line.to_string());
                }
                Ok(())
            })?;
        report.warnings(system.close());
        outlet.data(evaluate::to_json(corpus.pairs(), &found));
        Ok(ExitCode::Success)
    })
}
