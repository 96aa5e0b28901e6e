//! The plugin with an allocator of its own: what it hands to the host is freed by who allocated it.

use kiwi_plugin_api::prelude::*;
use kiwi_swapped_optimizer::SwappedAdam;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

register!(optimizer SwappedAdam);
plugin!();
