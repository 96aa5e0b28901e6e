//! The plugin.

use kiwi_idle::{IdleEncoder, IdleMetric, IdleOptimizer};
use kiwi_plugin_api::prelude::*;

register!(encoder IdleEncoder);
register!(optimizer IdleOptimizer);
register!(metric IdleMetric);
plugin!();
