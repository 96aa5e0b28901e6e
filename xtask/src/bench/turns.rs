//! Both sides in turn, several times: machines are noisy, and only medians of one session compare.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::floor::Rates;
use super::ours::Program;
use super::peer::Peer;
use super::report::{Comparison, Speed, median};
use super::settings::Settings;
use super::text::Text;

/// What one call of the command measures with.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    /// Our side.
    pub(super) program: Program<'a>,
    /// The other side, if there is one.
    pub(super) peer: Option<Peer>,
    /// Timed batches of each run.
    pub(super) batches: u64,
    /// Runs of each side.
    pub(super) repeat: u64,
    /// What the machine reaches with so many threads, as far as it was measured.
    rates: BTreeMap<u64, Rates>,
}

/// Medians over the runs of each side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Medians {
    /// Of ours.
    pub(super) ours: Speed,
    /// Of the peer's.
    pub(super) peer: Option<Speed>,
    /// The floor under the time of a step over our mean step's.
    pub(super) share_of_floor: f64,
}

impl Medians {
    /// Ours against the peer's, if there is one.
    pub(super) fn comparison(&self) -> Option<Comparison> {
        self.peer.map(|peer| Comparison::new(self.ours, peer))
    }
}

impl<'a> Turns<'a> {
    /// Nothing is run yet.
    pub(super) fn new(program: Program<'a>, peer: Option<Peer>, batches: u64, repeat: u64) -> Self {
        Self { program, peer, batches, repeat, rates: BTreeMap::new() }
    }

    /// Runs ours, the peer, ours, and so on; `show` gets each line of JSON as it comes.
    pub(super) fn run(
        &mut self,
        settings: &Settings,
        text: &Text,
        mut show: impl FnMut(&str),
    ) -> Result<Medians> {
        let rates = self.rates(settings)?;
        let (mut ours, mut peers, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.repeat {
            let measured = self.program.measure(settings, self.batches, text, rates)?;
            show(&serde_json::to_string(&measured)?);
            ours.push(measured.speed());
            shares.push(measured.share_of_floor);
            if let Some(peer) = &self.peer {
                let measured = peer.measure(self.program.workspace, settings, self.batches, text)?;
                show(&measured.line);
                peers.push(measured.speed);
            }
        }
        Ok(Medians {
            ours: Speed::medians(&ours).context("nothing was run: give --repeat a number of at least 1")?,
            peer: Speed::medians(&peers),
            share_of_floor: median(shares).unwrap_or(f64::NAN),
        })
    }

    /// Measured once for each number of threads; the precision is the same in all of a call.
    fn rates(&mut self, settings: &Settings) -> Result<Rates> {
        if let Some(rates) = self.rates.get(&settings.threads) {
            return Ok(*rates);
        }
        let rates = Rates::measure(self.program.workspace, settings.threads, settings.precision)?;
        self.rates.insert(settings.threads, rates);
        Ok(rates)
    }
}
