//! Bars: a histogram drawn as SVG with its numbers in a table, and bars in the rows of a table.

use maud::{Markup, html};

use super::super::reading::Histogram;
use super::{nats, share};
use crate::text;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 38.0;
/// About so many numbers stand below the bars.
const TICKS: usize = 8;

/// A histogram of surprises: what is counted, as "sentences".
pub(super) fn histogram(title: &str, counted: &str, histogram: &Histogram) -> Markup {
    let bars = histogram.bars();
    let total = bars.iter().map(|bar| bar.count).sum::<u64>();
    let highest = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1) as f64;
    let width = (WIDTH - LEFT - RIGHT) / bars.len().max(1) as f64;
    let every = bars.len().div_ceil(TICKS).max(1);
    let at = |place: usize| LEFT + place as f64 * width;
    let height = |count: u64| (HEIGHT - TOP - BOTTOM) * count as f64 / highest;
    let one = |place: f64| (place * 10.0).round() / 10.0;
    let id = format!("spread-of-{counted}");
    let highest_bar = bars.iter().max_by_key(|bar| bar.count);
    let spoken = highest_bar.map_or_else(
        || format!("{title}: nothing was counted."),
        |bar| {
            let (from, to) = (text::number(bar.from.0), text::number(bar.to.0));
            format!(
                "{title}: {} {counted}; most, {}, from {from} to {to} nats.",
                text::count(total),
                text::count(bar.count)
            )
        },
    );
    html! {
        figure aria-labelledby=(id) {
            figcaption { h3 id=(id) { (title) } }
            div class="drawing still" {
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(spoken) {
                    @for part in [0.0, 0.5, 1.0] {
                        @let y = one(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part);
                        line class="grid" x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                        @if part != 0.5 || highest >= 2.0 && highest % 2.0 == 0.0 {
                            text class="tick" x=(LEFT - 6.0) y=(y + 4.0) text-anchor="end" { (text::count((highest * part) as u64)) }
                        }
                    }
                    @for (place, bar) in bars.iter().enumerate() {
                        rect class="column" x=(one(at(place) + 0.5)) y=(one(HEIGHT - BOTTOM - height(bar.count)))
                            width=(one((width - 1.0).max(0.5))) height=(one(height(bar.count))) {
                            title { (text::number(bar.from.0)) "–" (text::number(bar.to.0)) " nats: " (text::count(bar.count)) " " (counted) }
                        }
                        @if place % every == 0 {
                            text class="tick" x=(one(at(place))) y=(HEIGHT - BOTTOM + 16.0) text-anchor="middle" { (text::number(bar.from.0)) }
                        }
                    }
                    text class="tick" x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 4.0) text-anchor="middle" { "nats" }
                }
            }
            @if histogram.not_finite() > 0 {
                p class="warning" { (text::count(histogram.not_finite())) " " (counted) " are not in the chart: their surprise is not finite." }
            }
            details {
                summary { "Values" }
                div class="wide" { table {
                    thead { tr {
                        th scope="col" class="n" { "Nats" } th scope="col" class="n" { "Perplexity" } th scope="col" class="n" { "Number" } th scope="col" class="n" { "Share" }
                    } }
                    tbody { @for bar in &bars { tr {
                        th scope="row" class="n" { (text::number(bar.from.0)) "–" (text::number(bar.to.0)) }
                        td class="n" { (perplexity(bar.from.0)) "–" (perplexity(bar.to.0)) }
                        td class="n" { (text::count(bar.count)) }
                        td class="n" { (share(bar.count, total)) }
                    } } }
                } }
            }
        }
    }
}

fn perplexity(nats: f64) -> String {
    let perplexity = nats.exp();
    if perplexity < 1000.0 { format!("{perplexity:.2}") } else { text::number(perplexity) }
}

/// The cell of a table that shows by a bar how much `part` is of `whole`.
pub(super) fn cell(part: f64, whole: f64) -> Markup {
    let share = if whole > 0.0 && part.is_finite() { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    html! {
        td class="bars" aria-hidden="true" {
            svg width="100%" height="12" { rect class="column" width=(format!("{share:.2}%")) height="12" {} }
        }
    }
}

/// A mean surprise and its perplexity, as two cells.
pub(super) fn surprise(mean: f64) -> Markup {
    html! {
        td class="n" data-v=(super::by(mean)) { (nats(mean)) }
        td class="n" data-v=(super::by(mean.exp())) { (perplexity(mean)) }
    }
}
