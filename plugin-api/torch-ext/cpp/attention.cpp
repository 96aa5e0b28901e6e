// Additive attention within sentences, without ever storing its pairs: see `additive_attention` in Rust.

#include "cells.h"
#include "shim.h"
#include "side_by_side.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <string>

using at::Tensor;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

namespace {

enum Input : size_t { kLeft, kRight, kKeys, kWeight, kBias, kInputs };
using Inputs = std::array<Tensor, kInputs>;

// Which queries and which keys belong to each sentence, and where the figures of their pairs begin.
struct Sentences {
  std::vector<int64_t> query_start, key_start, key_rows, pair_start;

  Sentences(const Tensor& queries, const Tensor& keys, const Tensor& rows)
      : query_start(list(queries)), key_start(list(keys)), key_rows(list(rows)) {
    pair_start.push_back(0);
    for (size_t b = 0; b + 1 < query_start.size(); ++b) {
      pair_start.push_back(pair_start.back() + (query_start[b + 1] - query_start[b]) * (key_start[b + 1] - key_start[b]));
    }
  }

  int64_t count() const {
    return static_cast<int64_t>(query_start.size()) - 1;
  }

  static std::vector<int64_t> list(const Tensor& tensor) {
    const auto* const first = tensor.const_data_ptr<int64_t>();
    return {first, first + tensor.numel()};
  }
};

template <typename Real>
Real* row_of(const Tensor& tensor, int64_t row) {
  return tensor.data_ptr<Real>() + row * tensor.size(1);
}

// Scores after their tanh and probabilities of all pairs [P], contexts [N, k].
template <typename Real>
void run_forward(const Inputs& in, const Sentences& sentences, const Tensor& scores, const Tensor& probabilities,
                 const Tensor& contexts) {
  const int64_t size = in[kLeft].size(1);
  const int64_t width = in[kKeys].size(1);
  const Real* const weight = in[kWeight].const_data_ptr<Real>();
  const Real bias = *in[kBias].const_data_ptr<Real>();
  kiwi::side_by_side(sentences.count(), [&](int64_t sentence) {
    const auto b = static_cast<size_t>(sentence);
    const int64_t keys = sentences.key_start[b + 1] - sentences.key_start[b];
    const int64_t* const rows = sentences.key_rows.data() + sentences.key_start[b];
    int64_t pair = sentences.pair_start[b];
    for (int64_t query = sentences.query_start[b]; query < sentences.query_start[b + 1]; ++query, pair += keys) {
      Real* const score = scores.data_ptr<Real>() + pair;
      Real* const probability = probabilities.data_ptr<Real>() + pair;
      Real largest = -std::numeric_limits<Real>::infinity();
      for (int64_t j = 0; j < keys; ++j) {
        score[j] = std::tanh(
            bias + kiwi::additive_score<Real>(row_of<Real>(in[kLeft], query), row_of<Real>(in[kRight], rows[j]), weight, size));
        largest = std::max(largest, score[j]);
      }
      Real total = 0;
      for (int64_t j = 0; j < keys; ++j) {
        probability[j] = std::exp(score[j] - largest);
        total += probability[j];
      }
      Real* const context = row_of<Real>(contexts, query);
      for (int64_t j = 0; j < keys; ++j) {
        probability[j] /= total;
        kiwi::add_scaled<Real>(context, row_of<Real>(in[kKeys], rows[j]), probability[j], width);
      }
    }
  });
}

// Adds to gradients that are zero; those of weight [B, d] and bias [B] a row a sentence, so that no two threads add to one.
template <typename Real>
void run_backward(const Inputs& in, const Sentences& sentences, const Tensor& scores, const Tensor& probabilities,
                  const Tensor& gradient, const Inputs& out) {
  const int64_t size = in[kLeft].size(1);
  const int64_t width = in[kKeys].size(1);
  const Real* const weight = in[kWeight].const_data_ptr<Real>();
  kiwi::side_by_side(sentences.count(), [&](int64_t sentence) {
    const auto b = static_cast<size_t>(sentence);
    const int64_t keys = sentences.key_start[b + 1] - sentences.key_start[b];
    const int64_t* const rows = sentences.key_rows.data() + sentences.key_start[b];
    std::vector<Real> of_score(static_cast<size_t>(keys));
    int64_t pair = sentences.pair_start[b];
    for (int64_t query = sentences.query_start[b]; query < sentences.query_start[b + 1]; ++query, pair += keys) {
      const Real* const score = scores.const_data_ptr<Real>() + pair;
      const Real* const probability = probabilities.const_data_ptr<Real>() + pair;
      const Real* const of_context = row_of<Real>(gradient, query);
      Real mean = 0;
      for (int64_t j = 0; j < keys; ++j) {
        of_score[static_cast<size_t>(j)] = kiwi::dot<Real>(of_context, row_of<Real>(in[kKeys], rows[j]), width);
        mean += probability[j] * of_score[static_cast<size_t>(j)];
        kiwi::add_scaled<Real>(row_of<Real>(out[kKeys], rows[j]), of_context, probability[j], width);
      }
      for (int64_t j = 0; j < keys; ++j) {
        const Real inner = probability[j] * (of_score[static_cast<size_t>(j)] - mean) * (1 - score[j] * score[j]);
        out[kBias].data_ptr<Real>()[sentence] += inner;
        kiwi::additive_score_backward<Real>(row_of<Real>(in[kLeft], query), row_of<Real>(in[kRight], rows[j]), weight, inner,
                                            row_of<Real>(out[kLeft], query), row_of<Real>(out[kRight], rows[j]),
                                            row_of<Real>(out[kWeight], sentence), size);
      }
    }
  });
}

struct AdditiveAttentionBackward final : public torch::autograd::Node {
  std::array<SavedVariable, kInputs> inputs;
  Tensor scores, probabilities;
  Sentences sentences;

  explicit AdditiveAttentionBackward(Sentences found) : sentences(std::move(found)) {}

  std::string name() const override {
    return "AdditiveAttentionBackward";
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto& input : inputs) {
      input.reset_data();
    }
    scores.reset();
    probabilities.reset();
  }

  variable_list apply(variable_list&& gradients) override {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "additive_attention can be differentiated once only: call backward without create_graph");
    std::lock_guard<std::mutex> lock(mutex_);
    variable_list results(kInputs);
    if (!gradients[0].defined()) {
      return results;
    }
    TORCH_CHECK(scores.defined(), torch::autograd::ERR_BACKWARD_TWICE);
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    Inputs in;
    for (size_t i = 0; i < kInputs; ++i) {
      in[i] = inputs[i].unpack().detach().contiguous();
    }
    const auto options = in[kLeft].options();
    const Inputs out{at::zeros_like(in[kLeft]), at::zeros_like(in[kRight]), at::zeros_like(in[kKeys]),
                     at::zeros({sentences.count(), in[kLeft].size(1)}, options), at::zeros({sentences.count()}, options)};
    if (options.dtype() == at::kDouble) {
      run_backward<double>(in, sentences, scores, probabilities, gradients[0].contiguous(), out);
    } else {
      run_backward<float>(in, sentences, scores, probabilities, gradients[0].contiguous(), out);
    }
    for (const auto input : {kLeft, kRight, kKeys}) {
      results[input] = out[input];
    }
    results[kWeight] = out[kWeight].sum(0);
    results[kBias] = out[kBias].sum(0, true);
    return results;
  }
};

void check_starts(const char* name, const Tensor& starts, int64_t sentences, int64_t end) {
  constexpr auto op = "additive_attention: ";
  TORCH_CHECK(starts.dim() == 1 && starts.scalar_type() == at::kLong && starts.device().is_cpu() && starts.is_contiguous() &&
                  starts.numel() == sentences + 1,
              op, name, " has shape ", starts.sizes(), " and type ", starts.scalar_type(), ", expected [", sentences + 1,
              "] of Long on the CPU");
  const auto* const at = starts.const_data_ptr<int64_t>();
  TORCH_CHECK(at[0] == 0 && at[sentences] == end && std::is_sorted(at, at + sentences + 1), op, name,
              " does not rise from 0 to ", end);
}

void check(const Inputs& in, const Tensor& query_starts, const Tensor& key_starts, const Tensor& key_rows) {
  constexpr auto op = "additive_attention: ";
  const auto type = in[kLeft].scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kDouble, op, "left is of type ", type, ", expected Float or Double");
  static constexpr std::array<const char*, kInputs> names = {"left", "right", "keys", "weight", "bias"};
  for (size_t i = 0; i < kInputs; ++i) {
    TORCH_CHECK(in[i].scalar_type() == type && in[i].device().is_cpu(), op, names[i], " is of type ", in[i].scalar_type(),
                " on ", in[i].device(), ", expected ", type, " on the CPU");
    const int64_t dimensions = i < kWeight ? 2 : 1;
    TORCH_CHECK(in[i].dim() == dimensions, op, names[i], " has shape ", in[i].sizes(), ", expected ", dimensions,
                " dimensions");
  }
  TORCH_CHECK(in[kRight].size(1) == in[kLeft].size(1) && in[kWeight].size(0) == in[kLeft].size(1), op, "left has shape ",
              in[kLeft].sizes(), ", right ", in[kRight].sizes(), " and weight ", in[kWeight].sizes(),
              ", expected the same last size");
  TORCH_CHECK(in[kKeys].size(0) == in[kRight].size(0), op, "keys has shape ", in[kKeys].sizes(), " and right ",
              in[kRight].sizes(), ", expected the same first size");
  TORCH_CHECK(in[kBias].size(0) == 1, op, "bias has shape ", in[kBias].sizes(), ", expected [1]");
  TORCH_CHECK(key_rows.dim() == 1 && key_rows.scalar_type() == at::kLong && key_rows.device().is_cpu() &&
                  key_rows.is_contiguous(),
              op, "key_rows has shape ", key_rows.sizes(), " and type ", key_rows.scalar_type(),
              ", expected one dimension of Long on the CPU");
  const int64_t sentences = query_starts.dim() == 1 ? query_starts.size(0) - 1 : -1;
  TORCH_CHECK(sentences >= 0, op, "query_starts has shape ", query_starts.sizes(), ", expected [B + 1]");
  check_starts("query_starts", query_starts, sentences, in[kLeft].size(0));
  check_starts("key_starts", key_starts, sentences, key_rows.size(0));
  const auto rows = Sentences::list(key_rows);
  std::vector<bool> seen(static_cast<size_t>(in[kRight].size(0)), false);
  for (const auto row : rows) {
    TORCH_CHECK_INDEX(row >= 0 && row < in[kRight].size(0), op, "key_rows holds ", row, ", expected rows of right, which has ",
                      in[kRight].size(0));
    // Two threads would add to the gradient of such a row.
    TORCH_CHECK(!seen[static_cast<size_t>(row)], op, "key_rows holds ", row, " twice");
    seen[static_cast<size_t>(row)] = true;
  }
}

} // namespace

// `tensors` are left, right, keys, weight and bias. `out` receives the contexts.
extern "C" char* kiwi_torch_additive_attention(kiwi::TensorPointers tensors, const Tensor* query_starts,
                                               const Tensor* key_starts, const Tensor* key_rows, Tensor** out) {
  return kiwi::caught([&] {
    Inputs given;
    bool differentiable = false;
    for (size_t i = 0; i < kInputs; ++i) {
      given[i] = *tensors[i];
      differentiable |= given[i].requires_grad();
    }
    differentiable &= c10::GradMode::is_enabled();
    check(given, *query_starts, *key_starts, *key_rows);
    std::shared_ptr<AdditiveAttentionBackward> node(
        new AdditiveAttentionBackward(Sentences(*query_starts, *key_starts, *key_rows)), torch::autograd::deleteNode);
    Tensor contexts;
    {
      const c10::NoGradGuard no_grad;
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      Inputs in;
      for (size_t i = 0; i < kInputs; ++i) {
        in[i] = given[i].detach().contiguous();
      }
      const auto options = in[kLeft].options();
      node->scores = at::empty({node->sentences.pair_start.back()}, options);
      node->probabilities = at::empty_like(node->scores);
      contexts = at::zeros({in[kLeft].size(0), in[kKeys].size(1)}, options);
      if (options.dtype() == at::kDouble) {
        run_forward<double>(in, node->sentences, node->scores, node->probabilities, contexts);
      } else {
        run_forward<float>(in, node->sentences, node->scores, node->probabilities, contexts);
      }
    }
    if (differentiable) {
      torch::autograd::edge_list edges;
      for (size_t i = 0; i < kInputs; ++i) {
        node->inputs[i] = SavedVariable(given[i], false);
        edges.push_back(given[i].requires_grad() ? torch::autograd::impl::gradient_edge(given[i]) : torch::autograd::Edge());
      }
      node->set_next_edges(std::move(edges));
      torch::autograd::create_gradient_edge(contexts, node);
    }
    kiwi::give({std::move(contexts)}, out);
  });
}
