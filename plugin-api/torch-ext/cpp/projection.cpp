// A projection to the vocabulary fused with its cross-entropy loss: see `projection_cross_entropy` in Rust.

#include "projection_row.h"
#include "shim.h"
#include "side_by_side.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mv.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>

using at::ScalarType;
using at::Tensor;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

namespace {

// Logits in one chunk of rows: about what stays in the caches, or large enough to fill a GPU.
constexpr int64_t kChunkOnCpu = int64_t{1} << 21;
constexpr int64_t kChunkElsewhere = int64_t{1} << 26;
// Rows below which a matrix product wastes its operands.
constexpr int64_t kFewestRows = 128;

struct Types {
  ScalarType product;  // of the operands of the matrix products
  ScalarType softmax;  // of everything after them
};

Types types_for(const Tensor& input, const Tensor& weight) {
  if (input.scalar_type() == at::kDouble && weight.scalar_type() == at::kDouble) {
    return {at::kDouble, at::kDouble};
  }
  const auto device = input.device().type();
  if ((device == at::kCPU || device == at::kCUDA) && at::autocast::is_autocast_enabled(device)) {
    return {at::autocast::get_autocast_dtype(device), at::kFloat};
  }
  return {at::kFloat, at::kFloat};
}

struct ProjectionCrossEntropyBackward final : public torch::autograd::Node {
  SavedVariable input, weight;
  Tensor gradient; // of nll by the logits, [N, V]
  Types types{};
  ScalarType bias_type = at::kFloat;

  std::string name() const override {
    return "ProjectionCrossEntropyBackward";
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    input.reset_data();
    weight.reset_data();
    gradient.reset();
  }

  // The factor of each row is applied to the small operands, so the [N, V] matrix is only read, by the products.
  variable_list apply(variable_list&& gradients) override {
    TORCH_CHECK(!c10::GradMode::is_enabled(),
                "projection_cross_entropy can be differentiated once only: call backward without create_graph, or "
                "build the loss from the materialised logits");
    std::lock_guard<std::mutex> lock(mutex_);
    variable_list results(3);
    if (!gradients[0].defined()) {
      return results;
    }
    TORCH_CHECK(gradient.defined(), torch::autograd::ERR_BACKWARD_TWICE);
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    const Tensor factor = gradients[0].to(types.softmax);
    const Tensor column = factor.unsqueeze(1);
    if (task_should_compute_output(0)) {
      const auto type = input.unpack().scalar_type();
      auto product = at::mm(gradient, weight.unpack().to(types.product)).to(types.softmax);
      results[0] = product.mul_(column).to(type);
    }
    if (task_should_compute_output(1)) {
      const auto type = weight.unpack().scalar_type();
      const auto scaled = (input.unpack().to(types.softmax) * column).to(types.product);
      results[1] = at::mm(gradient.t(), scaled).to(type);
    }
    if (task_should_compute_output(2)) {
      results[2] = at::mv(gradient.t(), factor.to(types.product)).to(bias_type);
    }
    return results;
  }
};

void check(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& gold) {
  constexpr auto op = "projection_cross_entropy: ";
  TORCH_CHECK(input.dim() == 2, op, "input has shape ", input.sizes(), ", expected [N, o]");
  TORCH_CHECK(weight.dim() == 2 && weight.size(1) == input.size(1) && weight.size(0) > 0, op, "weight has shape ",
              weight.sizes(), ", expected [V, ", input.size(1), "] for an input of shape ", input.sizes());
  TORCH_CHECK(at::isFloatingType(input.scalar_type()) && at::isFloatingType(weight.scalar_type()), op,
              "input is of type ", input.scalar_type(), " and weight of ", weight.scalar_type(),
              ", expected floating-point types");
  TORCH_CHECK(weight.device() == input.device(), op, "weight is on ", weight.device(), ", input on ", input.device());
  TORCH_CHECK(gold.dim() == 1 && gold.size(0) == input.size(0), op, "gold has shape ", gold.sizes(), ", expected [",
              input.size(0), "] for an input of shape ", input.sizes());
  TORCH_CHECK(gold.scalar_type() == at::kLong, op, "gold is of type ", gold.scalar_type(), ", expected Long");
  TORCH_CHECK(gold.device() == input.device(), op, "gold is on ", gold.device(), ", input on ", input.device());
  if (bias.defined()) {
    TORCH_CHECK(bias.dim() == 1 && bias.size(0) == weight.size(0), op, "bias has shape ", bias.sizes(),
                ", expected [", weight.size(0), "] for a weight of shape ", weight.sizes());
    TORCH_CHECK(at::isFloatingType(bias.scalar_type()), op, "bias is of type ", bias.scalar_type(),
                ", expected a floating-point type");
    TORCH_CHECK(bias.device() == input.device(), op, "bias is on ", bias.device(), ", input on ", input.device());
  }
}

struct Loss {
  Tensor nll, probability, correct;
};

// One chunk on the CPU: `logits` becomes the gradient if that is wanted.
template <typename Real>
void chunk_on_cpu(const Tensor& logits, const Tensor& bias, const Tensor& gold, bool gradient, const Loss& loss) {
  const int64_t columns = logits.size(1);
  Real* const rows = logits.data_ptr<Real>();
  const Real* const add = bias.defined() ? bias.const_data_ptr<Real>() : nullptr;
  const Tensor wanted = gold.contiguous();
  const int64_t* const index = wanted.const_data_ptr<int64_t>();
  Real* const nll = loss.nll.data_ptr<Real>();
  Real* const probability = loss.probability.data_ptr<Real>();
  bool* const correct = loss.correct.data_ptr<bool>();
  kiwi::side_by_side(logits.size(0), [&](int64_t row) {
    const auto result = kiwi::row_loss(rows + row * columns, add, columns, index[row], gradient);
    nll[row] = result.nll;
    probability[row] = result.probability;
    correct[row] = result.correct;
  });
}

void chunk_elsewhere(const Tensor& logits, const Tensor& bias, const Tensor& gold, bool gradient, const Loss& loss) {
  if (bias.defined()) {
    logits.add_(bias);
  }
  const auto index = gold.unsqueeze(1);
  loss.correct.copy_(at::argmax(logits, 1).eq(gold));
  const auto log_probability = at::log_softmax(logits, 1);
  loss.nll.copy_(log_probability.gather(1, index).squeeze(1).neg());
  loss.probability.copy_(loss.nll.neg().exp());
  if (gradient) {
    at::_softmax_out(const_cast<Tensor&>(logits), logits, 1, false);
    logits.scatter_add_(1, index, at::full({1, 1}, -1, logits.options()).expand_as(index));
  }
}

// The loss of all rows; `gradient` is [N, V] or undefined when it is not wanted.
Loss forward(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& gold, Types types,
             const Tensor& gradient) {
  const int64_t rows = input.size(0);
  const int64_t columns = weight.size(0);
  const bool on_cpu = input.device().is_cpu();
  const auto options = input.options().dtype(types.softmax);
  Loss loss{at::empty({rows}, options), at::empty({rows}, options), at::empty({rows}, options.dtype(at::kBool))};
  if (rows == 0) {
    return loss;
  }
  if (on_cpu) {
    const auto [smallest, largest] = at::aminmax(gold);
    const auto low = smallest.item<int64_t>();
    const auto high = largest.item<int64_t>();
    TORCH_CHECK_INDEX(low >= 0 && high < columns, "projection_cross_entropy: gold holds ", low < 0 ? low : high,
                      ", expected indices from 0 to ", columns - 1, " for a weight of shape ", weight.sizes());
  }
  const auto operand = input.to(types.product);
  const auto transposed = weight.to(types.product).t();
  const auto added = bias.defined() ? bias.to(types.softmax).contiguous() : Tensor();
  const bool in_place = gradient.defined() && types.product == types.softmax;
  const int64_t at_once =
      std::clamp<int64_t>((on_cpu ? kChunkOnCpu : kChunkElsewhere) / columns, std::min<int64_t>(rows, kFewestRows), rows);
  Tensor buffer = in_place ? Tensor() : at::empty({at_once, columns}, options.dtype(types.product));
  for (int64_t start = 0; start < rows; start += at_once) {
    const int64_t length = std::min(at_once, rows - start);
    Tensor logits = in_place ? gradient.narrow(0, start, length) : buffer.narrow(0, 0, length);
    at::mm_out(logits, operand.narrow(0, start, length), transposed);
    logits = logits.to(types.softmax);
    const auto wanted = gold.narrow(0, start, length);
    const Loss part{loss.nll.narrow(0, start, length), loss.probability.narrow(0, start, length),
                    loss.correct.narrow(0, start, length)};
    if (!on_cpu) {
      chunk_elsewhere(logits, added, wanted, gradient.defined(), part);
    } else if (types.softmax == at::kDouble) {
      chunk_on_cpu<double>(logits, added, wanted, gradient.defined(), part);
    } else {
      chunk_on_cpu<float>(logits, added, wanted, gradient.defined(), part);
    }
    if (gradient.defined() && !in_place) {
      gradient.narrow(0, start, length).copy_(logits);
    }
  }
  return loss;
}

} // namespace

// `bias` may be null. `out` receives nll, probability and correct.
extern "C" char* kiwi_torch_projection_cross_entropy(const Tensor* input, const Tensor* weight, const Tensor* bias,
                                                     const Tensor* gold, Tensor** out) {
  return kiwi::caught([&] {
    const Tensor added = bias == nullptr ? Tensor() : *bias;
    check(*input, *weight, added, *gold);
    const auto types = types_for(*input, *weight);
    const bool differentiable = c10::GradMode::is_enabled() &&
        (input->requires_grad() || weight->requires_grad() || (added.defined() && added.requires_grad()));
    std::shared_ptr<ProjectionCrossEntropyBackward> node;
    Loss loss;
    {
      c10::NoGradGuard no_grad;
      c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
      Tensor gradient;
      if (differentiable) {
        gradient = at::empty({input->size(0), weight->size(0)}, input->options().dtype(types.product));
      }
      loss = forward(input->detach(), weight->detach(), added.defined() ? added.detach() : added, *gold, types, gradient);
      if (differentiable) {
        node = std::shared_ptr<ProjectionCrossEntropyBackward>(new ProjectionCrossEntropyBackward(),
                                                               torch::autograd::deleteNode);
        node->gradient = std::move(gradient);
      }
    }
    if (node != nullptr) {
      node->types = types;
      node->input = SavedVariable(*input, false);
      node->weight = SavedVariable(*weight, false);
      node->bias_type = added.defined() ? added.scalar_type() : types.softmax;
      node->set_next_edges(torch::autograd::collect_next_edges(*input, *weight, added));
      torch::autograd::create_gradient_edge(loss.nll, node);
    }
    kiwi::give({std::move(loss.nll), std::move(loss.probability), std::move(loss.correct)}, out);
  });
}
