// One layer of two LSTMs, one forwards and one backwards through the same sentences: see `lstm_both_ways` in Rust.

#include "cells.h"
#include "product.h"
#include "shim.h"
#include "side_by_side.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>

using at::Tensor;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

namespace {

constexpr size_t kWays = 2;
// Of each way, in this order.
enum Input : size_t { kX, kInputWeight, kStateWeight, kInputBias, kStateBias, kH, kC, kInputs };
enum Output : size_t { kY, kLastH, kLastC, kOutputs };

// Rows in an order in which time comes first: row r of step t is at `start[t] + r`, the rows that reach step t being the first
// `rows[t]` of all.
struct Steps {
  std::vector<int64_t> rows, start;

  explicit Steps(const Tensor& batch_sizes)
      : rows(batch_sizes.const_data_ptr<int64_t>(), batch_sizes.const_data_ptr<int64_t>() + batch_sizes.numel()) {
    int64_t total = 0;
    for (const auto count : rows) {
      start.push_back(total);
      total += count;
    }
    start.push_back(total);
  }

  int64_t count() const {
    return static_cast<int64_t>(rows.size());
  }

  int64_t total() const {
    return start.back();
  }

  // The length of each row.
  std::vector<int64_t> lengths() const {
    std::vector<int64_t> result(static_cast<size_t>(rows.empty() ? 0 : rows[0]), 0);
    for (const auto count : rows) {
      for (int64_t row = 0; row < count; ++row) {
        ++result[static_cast<size_t>(row)];
      }
    }
    return result;
  }

  // Where row `row` of `length` is at step `step` of its way.
  int64_t place(bool backwards, int64_t step, int64_t row, int64_t length) const {
    return start[static_cast<size_t>(backwards ? length - 1 - step : step)] + row;
  }
};

// A share of the rows, which one thread takes through all steps: rows `first`, `first + stride` and so on. Fewer and fewer of
// them are left, and those that are left are the first.
struct Share {
  size_t way;
  int64_t first, stride;

  int64_t rows_of(int64_t all) const {
    return all <= first ? 0 : (all - first + stride - 1) / stride;
  }
};

// Both ways, and as many shares of each as keep all threads busy with enough rows.
std::vector<Share> shares(int64_t rows) {
  constexpr int64_t kEnoughRows = 16;
  const int64_t threads = at::get_num_threads();
  const int64_t each = std::clamp<int64_t>(threads / static_cast<int64_t>(kWays), 1, std::max<int64_t>(1, rows / kEnoughRows));
  std::vector<Share> result;
  for (int64_t first = 0; first < each; ++first) {
    for (size_t way = 0; way < kWays; ++way) {
      result.push_back({way, first, each});
    }
  }
  return result;
}

// Calls `body` for each way: side by side while there is no more than a thread for each, for a product on one thread wastes less
// than one on two; else one after the other, on all threads.
template <typename Body>
void for_each_way(Body&& body) {
  if (at::get_num_threads() <= static_cast<int>(kWays)) {
    kiwi::side_by_side(kWays, [&](int64_t way) { body(static_cast<size_t>(way)); });
    return;
  }
  for (size_t way = 0; way < kWays; ++way) {
    body(way);
  }
}

// What forward leaves for backward, of one way.
struct Kept {
  Tensor gates; // [N, 4h], after their functions
  Tensor cells; // [N, h]
  Tensor y;     // [N, h]
};

template <typename Real>
Real* row_of(const Tensor& tensor, int64_t row) {
  return tensor.data_ptr<Real>() + row * tensor.size(1);
}

template <typename Real>
void run_forward(const std::array<std::array<Tensor, kInputs>, kWays>& in, const Steps& steps,
                 const std::array<Kept, kWays>& kept, const std::array<Tensor, kWays>& biases,
                 const std::array<Tensor, kWays>& last_h, const std::array<Tensor, kWays>& last_c, at::ScalarType type) {
  const auto lengths = steps.lengths();
  const auto work = shares(static_cast<int64_t>(lengths.size()));
  std::array<std::shared_ptr<kiwi::Multiplier>, kWays> weights;
  kiwi::side_by_side(kWays, [&](int64_t way) {
    weights[static_cast<size_t>(way)] = std::make_shared<kiwi::Multiplier>(in[static_cast<size_t>(way)][kStateWeight], true, type);
  });
  kiwi::side_by_side(static_cast<int64_t>(work.size()), [&](int64_t number) {
    const auto& share = work[static_cast<size_t>(number)];
    const auto& of = kept[share.way];
    const auto& inputs = in[share.way];
    const int64_t size = of.cells.size(1);
    const int64_t all = share.rows_of(static_cast<int64_t>(lengths.size()));
    const auto h = at::empty({all, size}, of.cells.options());
    const auto c = at::empty({all, size}, of.cells.options());
    const auto recurrent = at::empty({all, 4 * size}, of.cells.options());
    const auto row = [&](int64_t k) { return share.first + k * share.stride; };
    const size_t bytes = static_cast<size_t>(size) * sizeof(Real);
    for (int64_t k = 0; k < all; ++k) {
      std::memcpy(row_of<Real>(h, k), row_of<Real>(inputs[kH], row(k)), bytes);
      std::memcpy(row_of<Real>(c, k), row_of<Real>(inputs[kC], row(k)), bytes);
    }
    const auto* const bias = biases[share.way].template const_data_ptr<Real>();
    for (int64_t step = 0; step < steps.count(); ++step) {
      const int64_t rows = share.rows_of(steps.rows[static_cast<size_t>(step)]);
      if (rows == 0) {
        break;
      }
      weights[share.way]->multiply(h, rows, recurrent);
      for (int64_t k = 0; k < rows; ++k) {
        const int64_t place = steps.place(share.way == 1, step, row(k), lengths[static_cast<size_t>(row(k))]);
        auto* const output = row_of<Real>(of.y, place);
        kiwi::lstm_cell(row_of<Real>(of.gates, place), row_of<Real>(recurrent, k), bias, row_of<Real>(c, k),
                        row_of<Real>(of.cells, place), output, size);
        std::memcpy(row_of<Real>(h, k), output, bytes);
      }
    }
    for (int64_t k = 0; k < all; ++k) {
      std::memcpy(row_of<Real>(last_h[share.way], row(k)), row_of<Real>(h, k), bytes);
      std::memcpy(row_of<Real>(last_c[share.way], row(k)), row_of<Real>(c, k), bytes);
    }
  });
}

// From the gradients of the outputs to `gate_gradients` [N, 4h] and those of the states before the first step, which hold
// those of the states after the last when it begins.
template <typename Real>
void run_backward(const std::array<std::array<Tensor, kInputs>, kWays>& in, const Steps& steps,
                  const std::array<Kept, kWays>& kept, const std::array<Tensor, kWays>& y_gradients,
                  const std::array<Tensor, kWays>& gate_gradients, const std::array<Tensor, kWays>& h_gradients,
                  const std::array<Tensor, kWays>& c_gradients, at::ScalarType type) {
  const auto lengths = steps.lengths();
  const auto work = shares(static_cast<int64_t>(lengths.size()));
  std::array<std::shared_ptr<kiwi::Multiplier>, kWays> weights;
  kiwi::side_by_side(kWays, [&](int64_t way) {
    weights[static_cast<size_t>(way)] = std::make_shared<kiwi::Multiplier>(in[static_cast<size_t>(way)][kStateWeight], false, type);
  });
  kiwi::side_by_side(static_cast<int64_t>(work.size()), [&](int64_t number) {
    const auto& share = work[static_cast<size_t>(number)];
    const auto& of = kept[share.way];
    const int64_t size = of.cells.size(1);
    const int64_t all = share.rows_of(static_cast<int64_t>(lengths.size()));
    const auto dh = at::empty({all, size}, of.cells.options());
    const auto of_step = at::empty({all, 4 * size}, of.cells.options());
    const auto row = [&](int64_t k) { return share.first + k * share.stride; };
    const size_t bytes = static_cast<size_t>(size) * sizeof(Real);
    for (int64_t k = 0; k < all; ++k) {
      std::memcpy(row_of<Real>(dh, k), row_of<Real>(h_gradients[share.way], row(k)), bytes);
    }
    const bool backwards = share.way == 1;
    for (int64_t step = steps.count() - 1; step >= 0; --step) {
      const int64_t rows = share.rows_of(steps.rows[static_cast<size_t>(step)]);
      if (rows == 0) {
        continue;
      }
      for (int64_t k = 0; k < rows; ++k) {
        const int64_t length = lengths[static_cast<size_t>(row(k))];
        const int64_t place = steps.place(backwards, step, row(k), length);
        const auto* const before = step == 0
            ? row_of<Real>(in[share.way][kC], row(k))
            : row_of<Real>(of.cells, steps.place(backwards, step - 1, row(k), length));
        const auto& dy = y_gradients[share.way];
        kiwi::lstm_cell_backward<Real>(row_of<Real>(of.gates, place), before, row_of<Real>(of.cells, place),
                                       dy.defined() ? row_of<Real>(dy, place) : nullptr, row_of<Real>(dh, k),
                                       row_of<Real>(c_gradients[share.way], row(k)), row_of<Real>(of_step, k), size);
        std::memcpy(row_of<Real>(gate_gradients[share.way], place), row_of<Real>(of_step, k), 4 * bytes);
      }
      weights[share.way]->multiply(of_step, rows, dh);
    }
    for (int64_t k = 0; k < all; ++k) {
      std::memcpy(row_of<Real>(h_gradients[share.way], row(k)), row_of<Real>(dh, k), bytes);
    }
  });
}

// For each place the h before it.
template <typename Real>
Tensor states_before(const Steps& steps, bool backwards, const Tensor& initial, const Tensor& y) {
  const auto lengths = steps.lengths();
  const auto result = at::empty_like(y);
  const size_t bytes = static_cast<size_t>(y.size(1)) * sizeof(Real);
  for (int64_t step = 0; step < steps.count(); ++step) {
    for (int64_t row = 0; row < steps.rows[static_cast<size_t>(step)]; ++row) {
      const int64_t length = lengths[static_cast<size_t>(row)];
      const auto* const before = step == 0 ? row_of<Real>(initial, row)
                                           : row_of<Real>(y, steps.place(backwards, step - 1, row, length));
      std::memcpy(row_of<Real>(result, steps.place(backwards, step, row, length)), before, bytes);
    }
  }
  return result;
}

using Ways = std::array<std::array<Tensor, kInputs>, kWays>;

struct LstmBothWaysBackward final : public torch::autograd::Node {
  std::array<std::array<SavedVariable, kInputs>, kWays> inputs;
  std::array<Kept, kWays> kept;
  Steps steps;
  at::ScalarType type = at::kFloat; // of the products

  explicit LstmBothWaysBackward(Steps found) : steps(std::move(found)) {}

  std::string name() const override {
    return "LstmBothWaysBackward";
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto& way : inputs) {
      for (auto& input : way) {
        input.reset_data();
      }
    }
    kept = {};
  }

  variable_list apply(variable_list&& gradients) override {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "lstm_both_ways can be differentiated once only: call backward without create_graph");
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(kept[0].gates.defined(), torch::autograd::ERR_BACKWARD_TWICE);
    const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    Ways in;
    std::array<Tensor, kWays> y, gates, h, c;
    for (size_t way = 0; way < kWays; ++way) {
      for (size_t input = 0; input < kInputs; ++input) {
        in[way][input] = inputs[way][input].unpack().detach().contiguous();
      }
      const auto& given = gradients;
      const auto or_zeros = [&](size_t output, size_t like) {
        const auto& gradient = given[way * kOutputs + output];
        return gradient.defined() ? gradient.clone(at::MemoryFormat::Contiguous) : at::zeros_like(in[way][like]);
      };
      const auto& of_y = given[way * kOutputs + kY];
      y[way] = of_y.defined() ? of_y.contiguous() : of_y;
      h[way] = or_zeros(kLastH, kH);
      c[way] = or_zeros(kLastC, kC);
      gates[way] = at::empty_like(kept[way].gates);
    }
    const bool is_double = in[0][kX].scalar_type() == at::kDouble;
    if (is_double) {
      run_backward<double>(in, steps, kept, y, gates, h, c, type);
    } else {
      run_backward<float>(in, steps, kept, y, gates, h, c, type);
    }
    variable_list results(kWays * kInputs);
    std::array<std::array<bool, kInputs>, kWays> wanted{};
    for (size_t way = 0; way < kWays; ++way) {
      for (size_t input = 0; input < kInputs; ++input) {
        wanted[way][input] = task_should_compute_output(way * kInputs + input);
      }
    }
    for_each_way([&](size_t way) {
      auto* const of = &results[way * kInputs];
      if (wanted[way][kX]) {
        of[kX] = kiwi::product(gates[way], in[way][kInputWeight], type);
      }
      if (wanted[way][kInputWeight]) {
        of[kInputWeight] = kiwi::product(gates[way].t(), in[way][kX], type);
      }
      if (wanted[way][kStateWeight]) {
        const auto before = is_double ? states_before<double>(steps, way == 1, in[way][kH], kept[way].y)
                                      : states_before<float>(steps, way == 1, in[way][kH], kept[way].y);
        of[kStateWeight] = kiwi::product(gates[way].t(), before, type);
      }
      if (wanted[way][kInputBias] || wanted[way][kStateBias]) {
        of[kInputBias] = gates[way].sum(0);
        of[kStateBias] = of[kInputBias].clone();
      }
      of[kH] = h[way];
      of[kC] = c[way];
    });
    return results;
  }
};

void check(const Ways& in, const Tensor& batch_sizes) {
  constexpr auto op = "lstm_both_ways: ";
  TORCH_CHECK(batch_sizes.dim() == 1 && batch_sizes.scalar_type() == at::kLong && batch_sizes.device().is_cpu() &&
                  batch_sizes.is_contiguous(),
              op, "batch_sizes has shape ", batch_sizes.sizes(), " and type ", batch_sizes.scalar_type(),
              ", expected [T] of Long on the CPU");
  const auto* const sizes = batch_sizes.const_data_ptr<int64_t>();
  int64_t total = 0;
  for (int64_t t = 0; t < batch_sizes.numel(); ++t) {
    TORCH_CHECK(sizes[t] > 0 && (t == 0 || sizes[t] <= sizes[t - 1]), op, "batch_sizes has ", sizes[t], " at ", t,
                ", expected positive numbers that never grow");
    total += sizes[t];
  }
  const int64_t rows = batch_sizes.numel() == 0 ? 0 : sizes[0];
  const auto type = in[0][kX].scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kDouble, op, "x is of type ", type, ", expected Float or Double");
  static constexpr std::array<const char*, kInputs> names = {"x", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "h", "c"};
  for (size_t way = 0; way < kWays; ++way) {
    const auto& of = in[way];
    const int64_t size = of[kStateWeight].dim() == 2 ? of[kStateWeight].size(1) : 0;
    const int64_t width = of[kX].dim() == 2 ? of[kX].size(1) : 0;
    const std::array<std::vector<int64_t>, kInputs> shapes = {{{total, width},
                                                               {4 * size, width},
                                                               {4 * size, size},
                                                               {4 * size},
                                                               {4 * size},
                                                               {rows, size},
                                                               {rows, size}}};
    for (size_t input = 0; input < kInputs; ++input) {
      TORCH_CHECK(of[input].sizes() == at::IntArrayRef(shapes[input]), op, names[input], " has shape ", of[input].sizes(),
                  ", expected ", at::IntArrayRef(shapes[input]), " for ", total, " places of ", rows, " rows");
      TORCH_CHECK(of[input].scalar_type() == type && of[input].device().is_cpu(), op, names[input], " is of type ",
                  of[input].scalar_type(), " on ", of[input].device(), ", expected ", type, " on the CPU");
    }
  }
}

} // namespace

// `tensors` are x, weight_ih, weight_hh, bias_ih, bias_hh, h and c of the way forwards and then of the way backwards. `out`
// receives y, the last h and the last c of each.
extern "C" char* kiwi_torch_lstm_both_ways(kiwi::TensorPointers tensors, const Tensor* batch_sizes, Tensor** out) {
  return kiwi::caught([&] {
    Ways given;
    bool differentiable = false;
    for (size_t way = 0; way < kWays; ++way) {
      for (size_t input = 0; input < kInputs; ++input) {
        given[way][input] = *tensors[way * kInputs + input];
        differentiable |= given[way][input].requires_grad();
      }
    }
    differentiable &= c10::GradMode::is_enabled();
    check(given, *batch_sizes);
    std::shared_ptr<LstmBothWaysBackward> node(new LstmBothWaysBackward(Steps(*batch_sizes)),
                                               torch::autograd::deleteNode);
    std::array<Tensor, kWays> last_h, last_c;
    const bool shortened = at::autocast::is_autocast_enabled(at::kCPU) && given[0][kX].scalar_type() == at::kFloat;
    const auto type = shortened ? at::autocast::get_autocast_dtype(at::kCPU) : given[0][kX].scalar_type();
    node->type = type;
    {
      const c10::NoGradGuard no_grad;
      const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      Ways in;
      std::array<Tensor, kWays> biases;
      for (size_t way = 0; way < kWays; ++way) {
        for (size_t input = 0; input < kInputs; ++input) {
          in[way][input] = given[way][input].detach().contiguous();
        }
      }
      for_each_way([&](size_t way) {
        const auto& of = in[way];
        auto& kept = node->kept[way];
        kept.gates = kiwi::product(of[kX], of[kInputWeight].t(), type);
        kept.cells = at::empty({of[kX].size(0), of[kH].size(1)}, of[kX].options());
        kept.y = at::empty_like(kept.cells);
        biases[way] = of[kInputBias].add(of[kStateBias]);
        last_h[way] = at::empty_like(of[kH]);
        last_c[way] = at::empty_like(of[kC]);
      });
      if (in[0][kX].scalar_type() == at::kDouble) {
        run_forward<double>(in, node->steps, node->kept, biases, last_h, last_c, type);
      } else {
        run_forward<float>(in, node->steps, node->kept, biases, last_h, last_c, type);
      }
    }
    std::vector<Tensor> results;
    for (size_t way = 0; way < kWays; ++way) {
      // What is kept is not the output itself, which will hold on to the node.
      results.push_back(node->kept[way].y.detach());
      results.push_back(last_h[way]);
      results.push_back(last_c[way]);
    }
    if (differentiable) {
      torch::autograd::edge_list edges;
      for (size_t way = 0; way < kWays; ++way) {
        for (size_t input = 0; input < kInputs; ++input) {
          node->inputs[way][input] = SavedVariable(given[way][input], false);
          edges.push_back(given[way][input].requires_grad() ? torch::autograd::impl::gradient_edge(given[way][input])
                                                           : torch::autograd::Edge());
        }
      }
      node->set_next_edges(std::move(edges));
      for (auto& result : results) {
        torch::autograd::create_gradient_edge(result, node);
      }
    }
    kiwi::give(std::move(results), out);
  });
}
