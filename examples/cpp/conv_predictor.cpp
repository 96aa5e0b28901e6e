// A plugin in C++: an encoder that predicts each word of the target from the words around it and from the source, and a metric.

#include <torch/torch.h>

#include "kiwi_plugin.hpp"

namespace {

constexpr const char* kOptions = R"json({
  "description": "Options of ConvPredictor.",
  "type": "object",
  "properties": {
    "dim": {
      "description": "Size of the embeddings and of the hidden state.",
      "type": "integer", "minimum": 1, "maximum": 65536, "default": 64
    },
    "width": {
      "description": "Words that are seen to the left and to the right of each word.",
      "type": "integer", "minimum": 1, "maximum": 64, "default": 3
    },
    "dropout": {
      "description": "Share of the embeddings' entries that are dropped in training.",
      "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.1
    },
    "max_positions": {
      "description": "Longest sentence of the target, with its beginning and end; null for any.",
      "type": ["integer", "null"], "minimum": 3, "default": null
    }
  }
})json";

// Two convolutions over the target, one that ends before each word and one that begins behind it, so that no word sees itself; then
// dot-product attention over the source.
class ConvPredictor final : public kiwi::Encoder {
 public:
  static void check(const kiwi::Options& options, kiwi::Report& report) {
    if (options.has("max_positions")) {
      const auto most = options.integer("max_positions");
      report.require(options.integer("width") < most, "width", "less than max_positions, " + std::to_string(most));
    }
    if (options.number("dropout") > 0.8) {
      report.warning("dropout", "of more than 0.8 leaves little to learn from");
    }
  }

  static void needs(const kiwi::Options& options, kiwi::EncoderNeeds& needs) {
    if (options.has("max_positions")) {
      needs.longest("target", options.integer("max_positions"), "max_positions");
    }
  }

  ConvPredictor(const kiwi::Options& options, const kiwi::EncoderContext& context)
      : dim_(options.integer("dim")),
        width_(options.integer("width")),
        dropout_(options.number("dropout")),
        pad_(context.special().pad),
        target_vocabulary_(context.vocabulary_size("target")),
        source_(context.vocabulary_size("source"), dim_),
        target_(target_vocabulary_, dim_),
        before_(torch::nn::Conv1dOptions(dim_, dim_, width_)),
        behind_(torch::nn::Conv1dOptions(dim_, dim_, width_)),
        query_(dim_, dim_),
        join_(2 * dim_, dim_),
        output_(dim_, target_vocabulary_) {
    add("source", *source_, context);
    add("target", *target_, context);
    add("before", *before_, context);
    add("behind", *behind_, context);
    add("query", *query_, context);
    add("join", *join_, context);
    add("output", *output_, context);
  }

  std::int64_t hidden_size() const override {
    return dim_;
  }

  Sizes feature_sizes() const override {
    return {{"target", dim_}, {"target_logits", target_vocabulary_}};
  }

  void forward(const kiwi::Batch& batch, const kiwi::Pass& pass, kiwi::Features& features) override {
    const auto source_ids = batch.field("source").ids();
    const auto target_ids = batch.field("target").ids();
    const auto source = embedded(source_, source_ids, pass);
    const auto target = embedded(target_, target_ids, pass).transpose(1, 2);
    const auto length = target.size(2);

    // A convolution of width w over a row that begins w zeros early ends, at position t, with the word before t.
    namespace F = torch::nn::functional;
    const auto before = before_(F::pad(target, F::PadFuncOptions({width_, 0}))).narrow(2, 0, length);
    const auto behind = behind_(F::pad(target, F::PadFuncOptions({0, width_}))).narrow(2, 1, length);
    const auto around = torch::relu(before + behind).transpose(1, 2);
    pass.trace("around", around);

    const auto padding = (source_ids == pad_).unsqueeze(1);
    const auto scores = torch::matmul(query_(around), source.transpose(1, 2)) / std::sqrt(static_cast<double>(dim_));
    const auto attention = torch::softmax(scores.masked_fill(padding, -1e9), -1);
    const auto hidden = torch::tanh(join_(torch::cat({around, torch::matmul(attention, source)}, -1)));

    features.put("target", hidden);
    features.put_projection("target_logits", hidden, output_->weight, output_->bias);
  }

 private:
  template <typename Module>
  void add(const std::string& name, Module& module, const kiwi::EncoderContext& context) {
    // Initial values were drawn on the CPU, where a seed means the same for every device.
    module.to(context.device());
    parameters.module(name, module);
  }

  torch::Tensor embedded(torch::nn::Embedding& table, const torch::Tensor& ids, const kiwi::Pass& pass) const {
    // Padding is zero, so that a sentence is the same in any batch.
    const auto words = table(ids) * (ids != pad_).unsqueeze(-1);
    return torch::dropout(words, dropout_, pass.training());
  }

  std::int64_t dim_;
  std::int64_t width_;
  double dropout_;
  std::int64_t pad_;
  std::int64_t target_vocabulary_;
  torch::nn::Embedding source_, target_;
  torch::nn::Conv1d before_, behind_;
  torch::nn::Linear query_, join_, output_;
};

// Share of the words that the model is surprised by.
class Surprised final : public kiwi::Metric {
 public:
  static constexpr auto ordering = kiwi::Ordering::min;

  explicit Surprised(const kiwi::Options& options) : nats_(options.number("nats")) {}

  at::Tensor contribution(const kiwi::Output& output) override {
    const auto& nll = output.nll();
    const auto surprised = (nll > nats_).sum(at::kDouble);
    return at::stack({surprised, at::full_like(surprised, static_cast<double>(nll.numel()))});
  }

  std::optional<double> value(at::ArrayRef<double> total) override {
    if (total[1] == 0) {
      return std::nullopt;
    }
    return total[0] / total[1];
  }

 private:
  double nats_;
};

KIWI_ENCODER(ConvPredictor, "Convolutions around each word and attention over the source, in C++", kOptions)

KIWI_METRIC(
    Surprised,
    "Share of the tokens whose negative log-likelihood is above a number of nats (min)",
    R"json({
      "description": "Options of Surprised.",
      "type": "object",
      "properties": {
        "nats": {
          "description": "A token counts whose negative log-likelihood is above so many nats.",
          "type": "number", "minimum": 0, "default": 3
        }
      }
    })json")

} // namespace

KIWI_PLUGIN("cpp-example", "0.1.0", "An encoder and a metric in C++", "MIT OR Apache-2.0", "")
