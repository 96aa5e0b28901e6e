//! `ExpertEncoder`: a bidirectional Transformer that predicts each target word from the source sentence and from the words to its
//! left and right, never from the word itself (Fan et al. 2019, "'Bilingual Expert' Can Find Translation Errors").
//!
//! B pairs, H the hidden size, V the target vocabulary, N the words of all targets in a batch. A Transformer encodes the source. Two
//! stacks of layers read the target, one from the left and one from the right, each with attention to itself and to the source. The
//! row of word t is fed the word before it (in the other stack the word after it) and attends to the rows of the words before it
//! (after it), so what leaves the two rows of t knows all words but t. Both together predict it.
//!
//! - [`encoder`]: the component, from ids to features. [`config`]: its options.
//! - [`stack`]: the layers, of pre-norm residual blocks (Xiong et al. 2020); [`attention`] and [`affine`] are what they are made of.
//! - [`packing`]: everything but attention is computed on rows without padding.
//! - [`embedding`]: words and positions.
//!
//! Both stacks are computed side by side, as one batch of two: the words of the second come in reverse, so that for both "before"
//! means earlier rows, which libtorch's fused attention knows as causal. Products of a step, forward, in FLOPs: a target word
//! 2 · 2 · (6 H² + 2 H F) in each layer for a feed-forward size F, a source word 2 · (4 H² + 2 H F) in each of its layers and
//! 2 · 4 H² for each target layer's keys and values, and a predicted word 2 · (2 H² + H V). Attention itself adds
//! 2 · 2 · T H for T rows that are attended to, half of it where it is causal.

mod affine;
mod attention;
mod config;
mod embedding;
mod encoder;
mod packing;
mod stack;
#[cfg(test)]
mod tests;

use kiwi_plugin_api::prelude::*;

use encoder::ExpertEncoder;

register!(encoder ExpertEncoder);
register!(system "Expert" = encoder "ExpertEncoder" + head "TLMOutputs", "Bidirectional Transformer that predicts each target word from the words around it");
plugin!();
