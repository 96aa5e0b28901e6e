// A plugin in C++ for tests: each kind of component, small, and an encoder that fails on demand.

#include <c10/core/GradMode.h>

#include <algorithm>
#include <stdexcept>

#include "kiwi_plugin.hpp"

namespace {

// As a class of the example is named, to see that neither plugin gets the other's.
class Surprised final : public kiwi::Metric {
 public:
  static constexpr auto ordering = kiwi::Ordering::max;

  explicit Surprised(const kiwi::Options& /*options*/) {}

  at::Tensor contribution(const kiwi::Output& output) override {
    return at::full({1}, static_cast<double>(output.nll().numel()), at::kDouble);
  }
  std::optional<double> value(at::ArrayRef<double> total) override {
    return total[0];
  }
};

class FaultyMetric final : public kiwi::Metric {
 public:
  static constexpr auto ordering = kiwi::Ordering::max;

  explicit FaultyMetric(const kiwi::Options& options) : fault_(options.text("fault")) {}

  at::Tensor contribution(const kiwi::Output& output) override {
    if (fault_ == "float32") {
      return output.nll().sum().reshape({1});
    }
    if (fault_ == "undefined") {
      return {};
    }
    output.tensor("no_such_tensor");
    return {};
  }
  std::optional<double> value(at::ArrayRef<double> /*total*/) override {
    return std::nullopt;
  }

 private:
  std::string fault_;
};

[[noreturn]] void throw_nested() {
  try {
    throw std::out_of_range("the inner reason");
  } catch (...) {
    std::throw_with_nested(kiwi::Error("the outer reason"));
  }
}

class FaultyEncoder final : public kiwi::Encoder {
 public:
  static void check(const kiwi::Options& options, kiwi::Report& report) {
    const auto fault = options.text("fault");
    if (fault == "check_throws") {
      throw 7;
    }
    if (fault == "check_complains") {
      report.error("fault", "is not to be asked for", "none", "leave it out");
      report.warning("dim", "is beside the point");
    }
  }
  static void needs(const kiwi::Options& options, kiwi::EncoderNeeds& needs) {
    if (options.has("longest")) {
      needs.longest("target", options.integer("longest"), "longest");
    }
    if (options.boolean("counts")) {
      needs.carries_state();
    }
  }

  FaultyEncoder(const kiwi::Options& options, const kiwi::EncoderContext& context)
      : fault_(options.text("fault")), dim_(options.integer("dim")), counts_(options.boolean("counts")) {
    if (fault_ == "create_throws") {
      throw std::logic_error("asked to throw in create");
    }
    vocabulary_ = context.vocabulary_size("target");
    const auto made = [&](const char* name, std::int64_t rows) {
      return parameters.trainable(name, at::randn({rows, dim_}).mul(0.1).to(context.device()));
    };
    source_ = made("source", context.vocabulary_size("source"));
    target_ = made("target", vocabulary_);
    output_ = made("output", vocabulary_);
    scale_ = parameters.buffer("scale", at::ones({1}, context.device()));
    if (fault_ == "same_name") {
      parameters.trainable("source", at::zeros({1}));
    }
    kiwi::log::info("made an encoder of " + std::to_string(dim_));
  }

  std::int64_t hidden_size() const override {
    return dim_;
  }
  Sizes feature_sizes() const override {
    return {{"target_logits", vocabulary_}};
  }

  void forward(const kiwi::Batch& batch, const kiwi::Pass& pass, kiwi::Features& features) override {
    if (fault_ == "error") {
      throw kiwi::Error("asked to fail");
    } else if (fault_ == "nested") {
      throw_nested();
    } else if (fault_ == "exception") {
      throw std::runtime_error("asked to throw");
    } else if (fault_ == "int") {
      throw 42;
    } else if (fault_ == "unknown") {
      struct Unknown {};
      throw Unknown();
    } else if (fault_ == "libtorch") {
      at::matmul(at::ones({2, 3}), at::ones({2, 3}));
    } else if (fault_ == "field") {
      batch.field("sauce");
    } else if (fault_ == "undefined") {
      features.put("target_logits", at::Tensor());
      return;
    } else if (fault_ == "seed") {
      at::manual_seed(5);
    } else if (fault_ == "grad_mode") {
      c10::GradMode::set_enabled(false);
    }
    batches_ += pass.training() ? 1 : 0;
    const auto ids = batch.field("target").ids();
    const auto words = at::embedding(target_, ids);
    const auto before = at::constant_pad_nd(words.narrow(1, 0, ids.size(1) - 1), {0, 0, 1, 0});
    auto hidden = before + at::embedding(source_, batch.field("source").ids()).mean(1, true);
    pass.trace("hidden", hidden);
    if (counts_ && carried_.defined()) {
      hidden = hidden + carried_;
    }
    if (counts_ && pass.training()) {
      carried_ = hidden.mean(c10::IntArrayRef{0, 1}, true) * 0.1;
    }
    features.put_projection("target_logits", hidden * scale_, output_);
  }

  void reset_state(bool training) override {
    if (training) {
      carried_ = at::Tensor();
    }
  }
  void detach_state() override {
    if (carried_.defined()) {
      carried_ = carried_.detach();
    }
  }
  std::optional<kiwi::NamedTensors> carried_state() const override {
    return carried_.defined() ? kiwi::NamedTensors{{"carried", carried_}} : kiwi::NamedTensors{};
  }
  void load_carried_state(const kiwi::NamedTensors& state) override {
    carried_ = state.empty() ? at::Tensor() : state[0].second.clone();
  }
  std::optional<std::string> extra() const override {
    return "{\"batches\": " + std::to_string(batches_) + "}";
  }
  void load_extra(std::string_view json) override {
    const auto at = json.find_first_of("0123456789");
    if (at == std::string_view::npos) {
      throw kiwi::Error("expected a number of batches");
    }
    batches_ = std::stoll(std::string(json.substr(at)));
    kiwi::log::info("goes on after " + std::to_string(batches_) + " batches");
  }

 private:
  std::string fault_;
  std::int64_t dim_;
  bool counts_;
  std::int64_t vocabulary_ = 0;
  std::int64_t batches_ = 0;
  at::Tensor source_, target_, output_, scale_, carried_;
};

// Mean cross-entropy of the words that count, with a bias of its own.
class MeanHead final : public kiwi::Head {
 public:
  static void needs(const kiwi::Options& /*options*/, kiwi::HeadNeeds& needs) {
    needs.features({"target_logits"});
  }

  MeanHead(const kiwi::Options& options, const kiwi::HeadContext& context) : no_loss_(options.boolean("no_loss")) {
    bias_ = parameters.trainable("bias", at::zeros({context.feature_size("target_logits")}, context.device()));
  }

  std::vector<kiwi::MetricRequest> metrics() const override {
    return {{"target", "PERP"}, {"target", "CORRECT"}};
  }

  void forward(
      const kiwi::GivenFeatures& features,
      const kiwi::Batch& batch,
      const kiwi::Pass& /*pass*/,
      kiwi::HeadOutput& output) override {
    const auto field = batch.field("target");
    const auto& positions = field.counted();
    const auto logits = features.tensor("target_logits").flatten(0, 1).index_select(0, positions) + bias_;
    const auto gold = field.ids().flatten().index_select(0, positions);
    const auto nll = -at::log_softmax(logits, -1).gather(1, gold.unsqueeze(1)).squeeze(1);
    if (!no_loss_) {
      output.loss(nll.mean());
      output.averaged_over(at::full({}, static_cast<double>(nll.numel()), nll.options().requires_grad(false)));
    }
    output.put("target", "positions", positions);
    output.put("target", "nll", nll.detach());
    output.put("target", "probability", nll.detach().neg().exp());
    output.put("target", "correct", logits.argmax(-1) == gold);
    output.scalar("bias_norm", bias_.detach().norm());
  }

 private:
  bool no_loss_;
  at::Tensor bias_;
};

// Gradient descent with momentum, and a schedule that warms up.
class Descent final : public kiwi::Optimizer {
 public:
  static constexpr bool has_schedule = true;

  static void check_schedule(const kiwi::Options&, const kiwi::ScheduleKeys& keys, kiwi::Report& report) {
    if (keys.warmup_share.has_value()) {
      report.error("warmup_steps", "is a share, which this schedule does not know", "an integer");
    }
  }
  static kiwi::Schedule schedule(const kiwi::Options&, const kiwi::ScheduleContext& context) {
    const double warmup = context.warmup_steps.value_or(1);
    return {"warm-up ends at step " + std::to_string(static_cast<int>(warmup)), [warmup](std::uint64_t step) {
              return std::min(1.0, static_cast<double>(step + 1) / warmup);
            }};
  }

  Descent(const kiwi::Options& options, std::vector<kiwi::ParameterGroup> groups)
      : momentum_(options.number("momentum")), groups_(std::move(groups)) {
    for (const auto& group : groups_) {
      for (const auto& [name, tensor] : group.parameters) {
        velocity_.emplace_back(name, at::zeros_like(tensor));
      }
    }
  }

  void step(at::ArrayRef<double> rates) override {
    std::size_t index = 0;
    for (std::size_t group = 0; group < groups_.size(); ++group) {
      for (auto& [name, tensor] : groups_[group].parameters) {
        auto& velocity = velocity_[index++].second;
        if (tensor.grad().defined()) {
          velocity.mul_(momentum_).add_(tensor.grad());
          tensor.sub_(velocity, rates[group]);
        }
      }
    }
  }
  kiwi::NamedTensors state() const override {
    return velocity_;
  }
  void load_state(const kiwi::NamedTensors& state) override {
    if (state.size() != velocity_.size()) {
      throw kiwi::Error("expected " + std::to_string(velocity_.size()) + " tensors");
    }
    for (const auto& [name, tensor] : state) {
      const auto same = [&name = name](const auto& entry) { return entry.first == name; };
      const auto found = std::find_if(velocity_.begin(), velocity_.end(), same);
      if (found == velocity_.end()) {
        throw kiwi::Error("there is no velocity of `" + name + "`");
      }
      found->second.copy_(tensor);
    }
  }

 private:
  double momentum_;
  std::vector<kiwi::ParameterGroup> groups_;
  kiwi::NamedTensors velocity_;
};

KIWI_METRIC(Surprised, "Counts tokens", R"({"type": "object"})")
KIWI_METRIC(
    FaultyMetric,
    "Fails as asked",
    R"({"type": "object", "properties": {"fault": {"enum": ["float32", "undefined", "tensor"]}}, "required": ["fault"]})")
KIWI_ENCODER(
    FaultyEncoder,
    "Fails as asked",
    R"({"type": "object", "properties": {
        "fault": {"type": "string", "default": "none"},
        "dim": {"type": "integer", "minimum": 1, "default": 8},
        "counts": {"type": "boolean", "default": false},
        "longest": {"type": ["integer", "null"], "minimum": 3, "default": null}
    }})")
KIWI_HEAD(
    MeanHead,
    "Mean cross-entropy",
    R"({"type": "object", "properties": {"no_loss": {"type": "boolean", "default": false}}})")
KIWI_OPTIMIZER(
    Descent,
    "Gradient descent with momentum",
    R"({"type": "object", "properties": {
        "momentum": {"type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.9}
    }})")
KIWI_SYSTEM(CppSystem, "FaultyEncoder", "MeanHead", "Encoder and head in C++")

} // namespace

KIWI_PLUGIN("cpp-test", "1.2.3", "", "", "")
