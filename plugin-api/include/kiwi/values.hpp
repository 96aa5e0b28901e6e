// What components are given and what they give: options, batches, features, parameters, outputs.
//
// What a component is given refers to the host's memory and is valid during the call; a tensor that is copied (`at::Tensor`) may be
// kept.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "registration.hpp"

namespace kiwi {

using NamedTensor = std::pair<std::string, at::Tensor>;
using NamedTensors = std::vector<NamedTensor>;

namespace detail __attribute__((visibility("hidden"))) {

inline const at::Tensor& tensor(const KiwiTensor* pointer) {
  return *reinterpret_cast<const at::Tensor*>(pointer);
}

inline const KiwiTensor* pointer(const at::Tensor& tensor) {
  return reinterpret_cast<const KiwiTensor*>(&tensor);
}

inline NamedTensors tensors(const KiwiNamedTensor* first, std::size_t count) {
  NamedTensors named;
  named.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    named.emplace_back(view(first[i].name), tensor(first[i].tensor));
  }
  return named;
}

template <typename Entry>
std::string names(const Entry* first, std::size_t count) {
  std::string names;
  for (std::size_t i = 0; i < count; ++i) {
    names.append(i == 0 ? "" : ", ").append(view(first[i].name));
  }
  return names.empty() ? "none" : names;
}

template <typename Entry>
const Entry* find(const Entry* first, std::size_t count, std::string_view name) {
  for (std::size_t i = 0; i < count; ++i) {
    if (view(first[i].name) == name) {
      return first + i;
    }
  }
  return nullptr;
}

inline std::string quoted(std::string_view name) {
  return std::string("`").append(name).append("`");
}

} // namespace detail

// The options of a component, checked by the host against the schema, with its defaults filled in. A path is `dim`, `inner.dim` or
// `layers[0]`. Asking for what is not there is an Error, so an option without a default is asked for by `has` first.
class Options {
 public:
  explicit Options(const KiwiConfig* config) : config_(config) {}

  // Whether something other than null stands there.
  bool has(std::string_view path) const {
    const auto kind = detail::host->option_kind(config_, detail::text(path));
    return kind != KIWI_OPTION_ABSENT && kind != KIWI_OPTION_NULL;
  }
  std::int64_t integer(std::string_view path) const {
    return read<std::int64_t>(detail::host->option_integer, path, "an integer");
  }
  double number(std::string_view path) const {
    return read<double>(detail::host->option_number, path, "a number");
  }
  bool boolean(std::string_view path) const {
    return read<bool>(detail::host->option_boolean, path, "true or false");
  }
  std::string text(std::string_view path) const {
    return std::string(detail::view(read<KiwiText>(detail::host->option_text, path, "a string")));
  }
  // How many elements an array has.
  std::size_t length(std::string_view path) const {
    return read<std::size_t>(detail::host->option_length, path, "an array");
  }
  std::vector<std::int64_t> integers(std::string_view path) const {
    std::vector<std::int64_t> values(length(path));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = integer(std::string(path) + "[" + std::to_string(i) + "]");
    }
    return values;
  }
  // All of them, as JSON.
  std::string_view json() const {
    return detail::view(detail::host->option_json(config_));
  }

 private:
  template <typename T, typename Read>
  T read(Read read, std::string_view path, const char* expected) const {
    T value{};
    if (!read(config_, detail::text(path), &value)) {
      throw Error("the option " + detail::quoted(path) + " is not " + expected + ": its schema should say so");
    }
    return value;
  }

  const KiwiConfig* config_;
};

// Takes complaints about options, beyond what their schema says.
class Report {
 public:
  explicit Report(KiwiCall* call) : call_(call) {}

  // Complains about the value at `path` unless `valid`; the host adds what stands there.
  void require(bool valid, std::string_view path, std::string_view expected) {
    if (!valid) {
      error(path, "", expected);
    }
  }
  void error(
      std::string_view path,
      std::string_view message,
      std::string_view expected = "",
      std::string_view help = "") {
    detail::host->put_problem(
        call_, detail::text(path), detail::text(message), detail::text(expected), detail::text(help));
  }
  // Says that something is accepted, but should be known.
  void warning(std::string_view path, std::string_view message) {
    detail::host->put_warning(call_, detail::text(path), detail::text(message));
  }

 private:
  KiwiCall* call_;
};

// What an encoder needs of a run besides `source` and `target`. `option` is the option that asks for it, "" where none does.
class EncoderNeeds {
 public:
  explicit EncoderNeeds(KiwiCall* call) : call_(call) {}

  EncoderNeeds& reads(std::string_view field, std::string_view option = "") {
    detail::host->need_field(call_, detail::text(field), detail::text(option));
    return *this;
  }
  // The longest sentences of a field that it can take, `<bos>` and `<eos>` counted.
  EncoderNeeds& longest(std::string_view field, std::int64_t positions, std::string_view option = "") {
    detail::host->need_shorter(call_, detail::text(field), positions, detail::text(option));
    return *this;
  }
  EncoderNeeds& sparse_gradient(std::string_view parameter, std::string_view option = "") {
    detail::host->need_sparse_gradient(call_, detail::text(parameter), detail::text(option));
    return *this;
  }
  // It carries state from batch to batch: see Encoder::reset_state.
  EncoderNeeds& carries_state() {
    detail::host->need_carried_state(call_);
    return *this;
  }

 private:
  KiwiCall* call_;
};

// What a head needs of a run.
class HeadNeeds {
 public:
  explicit HeadNeeds(KiwiCall* call) : call_(call) {}

  HeadNeeds& reads(std::string_view field, std::string_view option = "") {
    detail::host->need_field(call_, detail::text(field), detail::text(option));
    return *this;
  }
  // The features it reads; of a head that names none, all that there are.
  HeadNeeds& features(std::initializer_list<std::string_view> names) {
    for (const auto name : names) {
      detail::host->need_feature(call_, detail::text(name));
    }
    return *this;
  }
  HeadNeeds& sparse_gradient(std::string_view parameter, std::string_view option = "") {
    detail::host->need_sparse_gradient(call_, detail::text(parameter), detail::text(option));
    return *this;
  }

 private:
  KiwiCall* call_;
};

// What an encoder is told when it is created.
class EncoderContext {
 public:
  explicit EncoderContext(const KiwiEncoderContext* context) : context_(context) {}

  // Size of the vocabulary of a field, special tokens included.
  std::int64_t vocabulary_size(std::string_view field) const {
    const auto* found = detail::find(context_->vocabulary_sizes, context_->vocabulary_count, field);
    if (found == nullptr) {
      throw Error(
          "the run has no vocabulary for " + detail::quoted(field) + ", only for " +
          detail::names(context_->vocabulary_sizes, context_->vocabulary_count));
    }
    return found->value;
  }
  // Ids of `<unk>`, `<pad>`, `<bos>` and `<eos>`.
  const KiwiSpecialIds& special() const {
    return context_->special;
  }
  // Where parameters are to live. Initial values are to be drawn on the CPU and moved, so that a seed means the same everywhere.
  at::Device device() const {
    return at::Device(std::string(detail::view(context_->device)));
  }
  // Whether somebody reads this feature. One that nobody reads need not be computed.
  bool wants(std::string_view feature) const {
    bool named = context_->wants_all_features;
    for (std::size_t i = 0; i < context_->feature_count && !named; ++i) {
      named = detail::view(context_->features[i]) == feature;
    }
    return named;
  }

 private:
  const KiwiEncoderContext* context_;
};

// What a head is told when it is created.
class HeadContext {
 public:
  explicit HeadContext(const KiwiHeadContext* context) : context_(context) {}

  // Last dimension of a feature of the encoder.
  std::int64_t feature_size(std::string_view name) const {
    const auto* found = detail::find(context_->feature_sizes, context_->feature_count, name);
    if (found == nullptr) {
      throw Error(
          "the encoder gives no feature " + detail::quoted(name) + ", only " +
          detail::names(context_->feature_sizes, context_->feature_count));
    }
    return found->value;
  }
  std::int64_t hidden_size() const {
    return context_->hidden_size;
  }
  // Size of the vocabulary of a field, special tokens included.
  std::int64_t vocabulary_size(std::string_view field) const {
    const auto* found = detail::find(context_->vocabulary_sizes, context_->vocabulary_count, field);
    if (found == nullptr) {
      throw Error(
          "the run has no vocabulary for " + detail::quoted(field) + ", only for " +
          detail::names(context_->vocabulary_sizes, context_->vocabulary_count));
    }
    return found->value;
  }
  const KiwiSpecialIds& special() const {
    return context_->special;
  }
  at::Device device() const {
    return at::Device(std::string(detail::view(context_->device)));
  }

 private:
  const KiwiHeadContext* context_;
};

} // namespace kiwi
