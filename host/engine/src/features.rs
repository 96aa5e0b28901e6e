//! `kiwi-host features SYSTEM`: what quality estimation reads of each pair, computed by the encoder alone and written as it is
//! computed, so that memory does not grow with the corpus.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::ops::Range;

use kiwi_core::diagnostic::{Diagnostic, Failure};
use kiwi_core::error_code::Code;
use kiwi_core::exit_code::ExitCode;
use kiwi_core::request::FeaturesRequest;
use kiwi_core::saved_system::archive::{self, TensorLayout};
use kiwi_core::saved_system::{Dtype, Error};
use kiwi_plugin_api::Features;
use kiwi_text::{Batch, EncodedCorpus, Field};
use tch::{Kind, Tensor};

use crate::evaluate::{Evaluated, Purpose, open};
use crate::outlet::Outlet;
use crate::report::Report;
use crate::system::{System, running};
use crate::torch::{autocast, to_tensors};
use crate::training::{Mode, failed};

/// The feature that is written.
const FEATURE: &str = "target";
/// Batches whose pairs are brought into batches together.
const BATCHES_IN_WINDOW: usize = 16;

/// `kiwi-host features SYSTEM --source F --target F -o F`.
pub(crate) fn features(request: &FeaturesRequest, outlet: &Outlet) -> Result<ExitCode, Failure> {
    let output = &request.output;
    if output.exists() {
        let error = Diagnostic::error(
            Code::FileExists,
            format!("{} exists already, and nothing is overwritten", output.display()),
        );
        return Err(Failure::new(ExitCode::Invalid, error.help("choose another name, or remove the file")));
    }
    let common = &request.system.common;
    let mut report = Report::new(outlet, common, common.verbosity);
    report.until_done(|report| {
        let Evaluated { system, corpus: _, data, mode } =
            open(&request.system, Purpose::Features(BTreeSet::from([FEATURE.to_owned()])), report)?;
        let size = system.feature_size(FEATURE).ok_or_else(|| no_feature(&system))?;
        let mut run = Run { system, corpus: &data.corpus, mode, batch_size: data.largest_batch(), size };
        let rows: u64 = (0..run.corpus.pairs()).map(|pair| run.positions(pair) as u64).sum();
        write(request, &mut run, rows)?;
        report.note(format!(
            "{} pairs, {rows} positions of {size} numbers, written to {}",
            data.corpus.pairs(),
            output.display()
        ));
        report.warnings(run.system.close());
        Ok(ExitCode::Success)
    })
}

fn no_feature(system: &System) -> Failure {
    let error = Diagnostic::error(
        Code::CannotBeAsked,
        format!("the encoder of this system gives no feature `{FEATURE}`"),
    );
    Failure::new(ExitCode::Invalid, error.found(format!("features {}", system.feature_names().join(", "))))
}

/// A pass over the corpus.
struct Run<'a> {
    system: System,
    corpus: &'a EncodedCorpus,
    mode: Mode,
    batch_size: usize,
    /// Numbers of a position.
    size: i64,
}

impl Run<'_> {
    /// Positions of a pair: its target words, `<bos>` and `<eos>`.
    fn positions(&self, pair: usize) -> usize {
        self.corpus.sentence(pair, Field::Target).len() + 2
    }

    /// Computes the features of some pairs, in order: `[T, size]` each, at its own length. A feature of a pair does not depend
    /// on the others: pairs in a batch have equally long targets, and encoders let no padding of the source in.
    fn window(&mut self, pairs: Range<usize>) -> Result<Vec<Tensor>, Failure> {
        let mut order: Vec<u32> = pairs.clone().map(|pair| pair as u32).collect();
        let key = |pair: &u32| {
            let pair = *pair as usize;
            (self.positions(pair), self.corpus.sentence(pair, Field::Source).len())
        };
        order.sort_by_key(key);
        let mut found: BTreeMap<u32, Tensor> = BTreeMap::new();
        let groups: Vec<Vec<u32>> = order
            .chunk_by(|a, b| key(a).0 == key(b).0)
            .flat_map(|equal| equal.chunks(self.batch_size))
            .map(<[u32]>::to_vec)
            .collect();
        for group in groups {
            let batch = Batch::new(self.corpus, &group);
            let features = self.encode(&batch)?;
            let feature = features
                .get(FEATURE)
                .and_then(kiwi_plugin_api::Feature::materialize)
                .and_then(|tensor| Ok(tensor.f_detach()?.f_to_kind(Kind::Float)?.f_to(tch::Device::Cpu)?))
                .map_err(failed)?;
            let expected = [group.len() as i64, batch.target.width as i64, self.size];
            if feature.size() != expected {
                return Err(misshapen(&feature.size(), &expected));
            }
            for (row, pair) in (0..).zip(group) {
                found.insert(pair, feature.f_get(row).map_err(|error| failed(error.into()))?);
            }
        }
        Ok(found.into_values().collect())
    }

    fn encode(&mut self, batch: &Batch) -> Result<Features, Failure> {
        let _no_grad = tch::no_grad_guard();
        let tensors = to_tensors(batch, self.system.device()).map_err(failed)?;
        let _precision = autocast(self.mode.precision, self.system.device()).map_err(failed)?;
        self.system.encode(&tensors).map_err(|error| running(&error))
    }

    /// Writes all features in the order of the corpus.
    fn write(&mut self, file: &mut dyn Write) -> Result<(), Stopped> {
        let step = self.batch_size.saturating_mul(BATCHES_IN_WINDOW).max(1);
        let pairs = self.corpus.pairs();
        let mut bytes = Vec::new();
        for start in (0..pairs).step_by(step) {
            for feature in self.window(start..pairs.min(start.saturating_add(step)))? {
                let feature = feature.f_contiguous().map_err(|error| failed(error.into()))?;
                bytes.resize(feature.numel() * 4, 0);
                feature.f_copy_data_u8(&mut bytes, feature.numel()).map_err(|error| failed(error.into()))?;
                file.write_all(&bytes)?;
            }
        }
        Ok(())
    }
}

fn misshapen(found: &[i64], expected: &[i64]) -> Failure {
    let error = Diagnostic::error(
        Code::ComponentFailed,
        format!("the encoder's feature `{FEATURE}` has another shape than it says"),
    );
    Failure::new(ExitCode::RunFailed, error.found(format!("{found:?}")).expected(format!("{expected:?}")))
}

/// Why writing stopped.
enum Stopped {
    Computing(Failure),
    Writing(io::Error),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Computing(failure)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

/// One file: `features` `[sum of T, size]` float32, the positions of all pairs one after the other, and `offsets` `[pairs + 1]`
/// int64, where those of each pair begin and those of the last end.
fn write(request: &FeaturesRequest, run: &mut Run<'_>, rows: u64) -> Result<(), Failure> {
    let layout = |name: &str, dtype, shape: Vec<u64>| TensorLayout {
        name: name.to_owned(),
        dtype,
        shape: shape.into_iter().map(|size| usize::try_from(size).unwrap_or(usize::MAX)).collect(),
    };
    let pairs = run.corpus.pairs();
    let size = run.size.unsigned_abs();
    let layouts = [
        layout("features", Dtype::F32, vec![rows, size]),
        layout("offsets", Dtype::I64, vec![pairs as u64 + 1]),
    ];
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let mut failure = None;
    let written = archive::write_streamed(&request.output, &metadata, layouts, |name, file| {
        if name == "offsets" {
            let mut end = 0_i64;
            file.write_all(&end.to_le_bytes())?;
            for pair in 0..pairs {
                end += run.positions(pair) as i64;
                file.write_all(&end.to_le_bytes())?;
            }
            return Ok(());
        }
        run.write(file).map_err(|stopped| match stopped {
            Stopped::Writing(error) => error,
            Stopped::Computing(stopped) => {
                failure = Some(stopped);
                io::Error::other("the features could not be computed")
            }
        })
    });
    match (failure, written) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(unwritten(&error)),
        (None, Ok(())) => Ok(()),
    }
}

fn unwritten(error: &Error) -> Failure {
    Failure::new(
        ExitCode::RunFailed,
        Diagnostic::error(Code::FileUnwritable, format!("the features cannot be written: {error}")),
    )
}
