//! A plugin whose components work, and on demand misbehave: the option `fault` of each says how. For the tests of the
//! program; nobody trains anything with it.
//!
//! The only plugin with `unsafe` code: it crashes.

mod encoder;
mod fault;
mod forgetful;
mod head;
mod metric;
mod optimizer;
mod sudden;

use kiwi_plugin_api::prelude::*;

use encoder::MisbehavingEncoder;
use forgetful::ForgetfulMetric;
use head::MisbehavingHead;
use metric::MisbehavingMetric;
use optimizer::MisbehavingOptimizer;

register!(encoder MisbehavingEncoder);
register!(head MisbehavingHead);
register!(optimizer MisbehavingOptimizer);
register!(metric MisbehavingMetric);
register!(metric ForgetfulMetric);
plugin!();
