//! The built-in heads: `TLMOutputs`, the head of a translation language model.

mod tlm_outputs;

use kiwi_plugin_api::prelude::*;

use tlm_outputs::TlmOutputs;

register!(head TlmOutputs);
plugin!();
