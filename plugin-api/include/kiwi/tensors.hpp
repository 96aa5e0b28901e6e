// Tensors on their way: batches and features going in, parameters, features and outputs coming out.
#pragma once

#include "values.hpp"

namespace kiwi {

// Named tensors that belong together.
class Group {
 public:
  explicit Group(const KiwiGroup* group) : group_(group) {}

  std::string_view name() const {
    return detail::view(group_->name);
  }
  // The tensor of this name, where there is one.
  const at::Tensor* find(std::string_view name) const {
    const auto* found = detail::find(group_->tensors, group_->tensor_count, name);
    return found == nullptr ? nullptr : &detail::tensor(found->tensor);
  }
  // The tensor of this name; an Error that names those there are where there is none.
  const at::Tensor& tensor(std::string_view name) const {
    const auto* found = find(name);
    if (found == nullptr) {
      throw Error(
          detail::quoted(this->name()) + " has no tensor " + detail::quoted(name) + ", only " +
          detail::names(group_->tensors, group_->tensor_count));
    }
    return *found;
  }

 private:
  const KiwiGroup* group_;
};

// One side of a batch: B sentences `<bos> w1 .. wn <eos>`, padded to T, the longest n + 2.
class Field : public Group {
 public:
  using Group::Group;

  // `[B, T]` int64: word ids, padded with `<pad>`.
  const at::Tensor& ids() const {
    return tensor("ids");
  }
  // `[B]` int64, on the CPU: lengths with `<bos>` and `<eos>`.
  const at::Tensor& lengths() const {
    return tensor("lengths");
  }
  // `[B, T]` bool: true on the words only, false on `<bos>`, `<eos>` and padding.
  const at::Tensor& strict_mask() const {
    return tensor("strict_mask");
  }
  // `[N]` int64, ascending: flat positions `b * T + t` that a loss over words counts.
  const at::Tensor& counted() const {
    return tensor("counted");
  }
};

// Sentences of several fields, row b of one belonging to row b of the others.
class Batch {
 public:
  explicit Batch(const KiwiBatch* batch) : batch_(batch) {}

  bool has(std::string_view name) const {
    return detail::find(batch_->fields, batch_->field_count, name) != nullptr;
  }
  // The field of this name; an Error that names those there are where there is none.
  Field field(std::string_view name) const {
    const auto* found = detail::find(batch_->fields, batch_->field_count, name);
    if (found == nullptr) {
      throw Error(
          "the batch has no field " + detail::quoted(name) + ", only " +
          detail::names(batch_->fields, batch_->field_count));
    }
    return Field(found);
  }

 private:
  const KiwiBatch* batch_;
};

// What a head reports of one output, over the N positions that its loss counts.
class Output : public Group {
 public:
  using Group::Group;

  // `[N]` int64: flat positions in the batch's field of the output's name.
  const at::Tensor& positions() const {
    return tensor("positions");
  }
  // `[N]` float32: negative log-likelihood of the gold token, in nats.
  const at::Tensor& nll() const {
    return tensor("nll");
  }
  // `[N]` float32: probability of the gold token.
  const at::Tensor& probability() const {
    return tensor("probability");
  }
  // `[N]` bool: whether the most probable class is the gold one.
  const at::Tensor& correct() const {
    return tensor("correct");
  }
};

// One call of `forward`.
class Pass {
 public:
  Pass(KiwiCall* call, const KiwiPass* pass) : call_(call), pass_(pass) {}

  // Whether dropout and the like are on.
  bool training() const {
    return pass_->training;
  }
  // Whether anybody wants to see tensors on the way.
  bool traced() const {
    return pass_->traced;
  }
  // Shows a tensor on the way to whoever asked for it; costs nothing otherwise.
  void trace(std::string_view name, const at::Tensor& tensor) const {
    if (traced()) {
      detail::host->put_trace(call_, detail::text(name), detail::pointer(tensor));
    }
  }

 private:
  KiwiCall* call_;
  const KiwiPass* pass_;
};

// Takes the features of a batch.
class Features {
 public:
  explicit Features(KiwiCall* call) : call_(call) {}

  void put(std::string_view name, const at::Tensor& tensor) {
    detail::host->put_feature(call_, detail::text(name), detail::pointer(tensor));
  }
  // `input * weight^T (+ bias)`, which the head computes for the positions it needs only.
  void put_projection(
      std::string_view name,
      const at::Tensor& input,
      const at::Tensor& weight,
      const std::optional<at::Tensor>& bias = std::nullopt) {
    detail::host->put_projection(
        call_,
        detail::text(name),
        detail::pointer(input),
        detail::pointer(weight),
        bias.has_value() ? detail::pointer(*bias) : nullptr);
  }

 private:
  KiwiCall* call_;
};

// The features that an encoder gave to a head.
class GivenFeatures {
 public:
  GivenFeatures(const KiwiFeature* first, std::size_t count) : first_(first), count_(count) {}

  // The tensor of this name, projected if need be.
  at::Tensor tensor(std::string_view name) const {
    const auto& feature = get(name);
    if (feature.tensor != nullptr) {
      return detail::tensor(feature.tensor);
    }
    const auto bias =
        feature.bias == nullptr ? std::nullopt : std::make_optional(detail::tensor(feature.bias));
    return at::linear(detail::tensor(feature.input), detail::tensor(feature.weight), bias);
  }
  // The feature of this name: a tensor or a projection; an Error that names those there are where there is none.
  const KiwiFeature& get(std::string_view name) const {
    const auto* found = detail::find(first_, count_, name);
    if (found == nullptr) {
      throw Error(
          "the encoder gives no feature " + detail::quoted(name) + ", only " + detail::names(first_, count_));
    }
    return *found;
  }

 private:
  const KiwiFeature* first_;
  std::size_t count_;
};

// Takes what a head computed for a batch.
class HeadOutput {
 public:
  explicit HeadOutput(KiwiCall* call) : call_(call) {}

  // One number, differentiable: what training minimises.
  void loss(const at::Tensor& loss) {
    detail::host->put_loss(call_, detail::pointer(loss));
  }
  // How many items the loss is the mean over, one number on its device; left out where the loss is a sum.
  void averaged_over(const at::Tensor& count) {
    detail::host->put_loss_count(call_, detail::pointer(count));
  }
  // A figure of an output, `[N]`: `positions`, `nll`, `probability`, `correct`, or one of its own.
  void put(std::string_view output, std::string_view name, const at::Tensor& tensor) {
    detail::host->put_output(call_, detail::text(output), detail::text(name), detail::pointer(tensor));
  }
  // A further number for log and progress bar.
  void scalar(std::string_view name, const at::Tensor& tensor) {
    detail::host->put_scalar(call_, detail::text(name), detail::pointer(tensor));
  }

 private:
  KiwiCall* call_;
};

// The named tensors of a component, in the order they were added: the keys of a saved system.
class Parameters {
 public:
  // Adds a parameter that trains and returns the tensor to compute with.
  at::Tensor trainable(std::string name, const at::Tensor& value) {
    return add(std::move(name), value.detach().set_requires_grad(true), KIWI_PARAMETER_TRAINABLE, "");
  }
  // Adds a parameter that is saved but never trained.
  at::Tensor frozen(std::string name, const at::Tensor& value) {
    return add(std::move(name), value.detach(), 0, "");
  }
  // Adds a constant that belongs to the saved state.
  at::Tensor buffer(std::string name, const at::Tensor& value) {
    return add(std::move(name), value.detach(), KIWI_PARAMETER_BUFFER, "");
  }
  // Gives the parameter `of` a second name in the saved state, as tied tables have.
  at::Tensor alias(std::string name, const std::string& of) {
    for (const auto& entry : entries_) {
      if (entry.name == of) {
        return add(std::move(name), at::Tensor(entry.tensor), 0, of);
      }
    }
    throw Error("no parameter named " + detail::quoted(of) + " to give a second name");
  }
  // Adds the parameters and buffers of a torch::nn::Module, under `prefix.`.
  template <typename Module>
  void module(const std::string& prefix, const Module& module) {
    for (const auto& item : module.named_parameters()) {
      const auto& tensor = item.value();
      add(prefix + "." + item.key(), tensor, tensor.requires_grad() ? KIWI_PARAMETER_TRAINABLE : 0, "");
    }
    for (const auto& item : module.named_buffers()) {
      add(prefix + "." + item.key(), item.value(), KIWI_PARAMETER_BUFFER, "");
    }
  }

  void give(KiwiCall* call) const {
    for (const auto& entry : entries_) {
      detail::host->put_parameter(
          call,
          detail::text(entry.name),
          detail::pointer(entry.tensor),
          entry.flags,
          detail::text(entry.alias_of));
    }
  }

 private:
  struct Entry {
    std::string name;
    at::Tensor tensor;
    std::uint32_t flags;
    std::string alias_of;
  };

  at::Tensor add(std::string name, at::Tensor tensor, std::uint32_t flags, std::string alias_of) {
    for (const auto& entry : entries_) {
      if (entry.name == name) {
        throw Error("a parameter named " + detail::quoted(name) + " exists already");
      }
    }
    entries_.push_back({std::move(name), std::move(tensor), flags, std::move(alias_of)});
    return entries_.back().tensor;
  }

  std::vector<Entry> entries_;
};

} // namespace kiwi
