//! The built-in encoders: `PredictorEncoder`, the encoder of the system `Predictor`.

mod predictor;

use kiwi_plugin_api::prelude::*;

use predictor::PredictorEncoder;

register!(encoder PredictorEncoder);
register!(system "Predictor" = encoder "PredictorEncoder" + head "TLMOutputs",
    "Translation language model of recurrent networks with attention (Kim et al. 2017)");
plugin!();
