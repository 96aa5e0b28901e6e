// The base classes of components. A component is constructed from its checked options; an instance is called by one thread at a time,
// not always the same.
//
// What a class hides of the static functions of its base is used in their place: `check`, `needs`, `schedule` and the like.
#pragma once

#include <map>

#include "tensors.hpp"

namespace kiwi {

// What all components have.
class Component {
 public:
  Component() = default;
  virtual ~Component() = default;
  Component(const Component&) = delete;
  Component& operator=(const Component&) = delete;

  // Checks what a schema cannot say. Called before anything is computed; every complaint is reported, not the first only.
  static void check(const Options& /*options*/, Report& /*report*/) {}
};

// A component with named tensors, and with what a saved system must hold besides.
class Trainable : public Component {
 public:
  const Parameters& named_tensors() const {
    return parameters;
  }

  // JSON that a saved system must hold besides parameters and buffers; nothing by default.
  virtual std::optional<std::string> extra() const {
    return std::nullopt;
  }
  // Takes over what `extra` gave, after the parameters.
  virtual void load_extra(std::string_view /*json*/) {
    throw Error("it was saved with more than parameters, and this version of the class keeps no more");
  }

 protected:
  // To be filled by the constructor.
  Parameters parameters;
};

// Turns batches into features. Constructed as `Class(const kiwi::Options&, const kiwi::EncoderContext&)`.
class Encoder : public Trainable {
 public:
  using Sizes = std::map<std::string, std::int64_t>;

  // What it needs of the run, as its checked options say.
  static void needs(const Options& /*options*/, EncoderNeeds& /*needs*/) {}

  // The size of its hidden state, by which some schedules scale the learning rate.
  virtual std::int64_t hidden_size() const = 0;
  // Last dimension of each feature that `forward` can give, whether or not anybody reads it.
  virtual Sizes feature_sizes() const = 0;
  // Computes the features of a batch: at least those that the context wants.
  virtual void forward(const Batch& batch, const Pass& pass, Features& features) = 0;
  // Forgets the state that it carries from batch to batch, in training or in evaluation, which have one each.
  virtual void reset_state(bool /*training*/) {}
  // Cuts the state that it carries in training from how it came about.
  virtual void detach_state() {}
  // The state that it carries in training, so that a run can be resumed within an epoch; nullopt where it cannot be saved.
  virtual std::optional<NamedTensors> carried_state() const {
    return std::nullopt;
  }
  // Takes over what `carried_state` gave, on the encoder's device.
  virtual void load_carried_state(const NamedTensors& /*state*/) {
    throw Error("it was saved with carried state, and this version of the class keeps none");
  }
};

// A metric that a head wants for one of its outputs.
struct MetricRequest {
  std::string output;
  std::string class_name;
};

// Turns features into a loss and what metrics need. Constructed as `Class(const kiwi::Options&, const kiwi::HeadContext&)`.
class Head : public Trainable {
 public:
  // What it needs of the run, as its checked options say.
  static void needs(const Options& /*options*/, HeadNeeds& /*needs*/) {}

  // The metrics it wants computed, in order; the first is the main metric unless the config says otherwise.
  virtual std::vector<MetricRequest> metrics() const = 0;
  // Computes loss and figures of a batch.
  virtual void forward(
      const GivenFeatures& features,
      const Batch& batch,
      const Pass& pass,
      HeadOutput& output) = 0;
};

// Which of two values of a metric is better.
enum class Ordering : std::uint32_t { min = KIWI_ORDERING_MIN, max = KIWI_ORDERING_MAX };

// Turns what a head reports into one figure over many batches. Constructed as `Class(const kiwi::Options&)`; has a static constant
// `ordering` of type kiwi::Ordering.
class Metric : public Component {
 public:
  // What one batch adds: `[K]` float64 on the output's device. Contributions are summed. It must not wait for the device (no `item`).
  virtual at::Tensor contribution(const Output& output) = 0;
  // The figure, from the sum of all contributions; nothing where there is nothing to say.
  virtual std::optional<double> value(at::ArrayRef<double> total) = 0;
};

// Parameters that share a learning rate.
struct ParameterGroup {
  std::string name;
  NamedTensors parameters;
};

// The keys of a learning-rate schedule, as the config gives them.
struct ScheduleKeys {
  std::optional<std::uint64_t> warmup_steps;
  std::optional<double> warmup_share;
  std::optional<std::uint64_t> training_steps;
};

// What a schedule is made of, once the length of the run is known.
struct ScheduleContext {
  std::optional<double> warmup_steps;
  std::uint64_t training_steps;
  std::int64_t hidden_size;
};

// A learning-rate schedule: what the rates are multiplied by in a step, counted from 0, and what happens when, for the log.
struct Schedule {
  std::string description;
  std::function<double(std::uint64_t)> factor;
};

// Updates parameters from their gradients. Constructed as `Class(const kiwi::Options&, std::vector<kiwi::ParameterGroup>)`. The host
// computes learning rates, clips gradients and clears them.
class Optimizer : public Component {
 public:
  // Whether it can use sparse gradients only.
  static constexpr bool sparse_only = false;
  // Whether the class has a learning-rate schedule of its own, which `schedule` gives.
  static constexpr bool has_schedule = false;

  // Checks the keys of the schedule; paths are `warmup_steps` and `training_steps`.
  static void check_schedule(const Options& /*options*/, const ScheduleKeys& /*keys*/, Report& /*report*/) {}
  static Schedule schedule(const Options& /*options*/, const ScheduleContext& /*context*/) {
    throw Error("this class has no learning-rate schedule of its own");
  }

  // One step, with one learning rate a group. A parameter without a gradient is left as it is.
  virtual void step(at::ArrayRef<double> learning_rates) = 0;
  // Everything that the next step depends on, besides parameters and gradients.
  virtual NamedTensors state() const = 0;
  // Takes over what `state` gave; the order of the tensors is not kept, their names are.
  virtual void load_state(const NamedTensors& state) = 0;
};

} // namespace kiwi
