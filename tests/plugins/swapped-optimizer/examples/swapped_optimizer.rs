//! The plugin.

use kiwi_plugin_api::prelude::*;
use kiwi_swapped_optimizer::SwappedAdam;

register!(optimizer SwappedAdam);
plugin!();
