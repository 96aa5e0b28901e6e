// Operators over lists of tensors that optimizers need, and the gradients of leaves.

#include "finite.h"
#include "shim.h"
#include "side_by_side.h"

#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_foreach_abs.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_addcdiv.h>
#include <ATen/ops/_foreach_addcmul.h>
#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/_foreach_div.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_maximum.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_foreach_sqrt.h>
#include <ATen/ops/_foreach_zero.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/max.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>
#include <vector>

using kiwi::TensorPointers;

namespace {

// The fused kernels walk over the storage of all lists side by side and check little themselves.
void check_alike(const char* operation, const char* name, const std::vector<at::Tensor>& list,
                 const std::vector<at::Tensor>& parameters) {
  TORCH_CHECK(list.size() == parameters.size(), operation, ": ", list.size(), " tensors in ", name, " for ",
              parameters.size(), " parameters");
  for (size_t i = 0; i < list.size(); ++i) {
    const auto& tensor = list[i];
    const auto& parameter = parameters[i];
    TORCH_CHECK(tensor.defined(), operation, ": ", name, "[", i, "] is undefined");
    TORCH_CHECK(tensor.layout() == at::kStrided, operation, ": ", name, "[", i, "] is ", tensor.layout(),
                ", only dense tensors can be updated by it");
    TORCH_CHECK(tensor.sizes() == parameter.sizes(), operation, ": ", name, "[", i, "] has shape ", tensor.sizes(),
                ", its parameter ", parameter.sizes());
    TORCH_CHECK(tensor.scalar_type() == parameter.scalar_type(), operation, ": ", name, "[", i, "] is of type ",
                tensor.scalar_type(), ", its parameter of ", parameter.scalar_type());
    TORCH_CHECK(tensor.device() == parameters[0].device(), operation, ": ", name, "[", i, "] is on ", tensor.device(),
                ", the first parameter on ", parameters[0].device());
    TORCH_CHECK(tensor.scalar_type() == parameters[0].scalar_type(), operation, ": ", name, "[", i, "] is of type ",
                tensor.scalar_type(), ", the first parameter of ", parameters[0].scalar_type());
    TORCH_CHECK(tensor.is_non_overlapping_and_dense() && tensor.strides() == parameter.strides(), operation, ": ", name,
                "[", i, "] has strides ", tensor.strides(), ", its parameter ", parameter.strides(),
                "; they must be equal and without gaps");
  }
}

struct Adam {
  std::vector<at::Tensor> parameters, gradients, averages, squares, largest_squares, steps;

  Adam(const char* operation, TensorPointers all, size_t n, bool amsgrad)
      : parameters(kiwi::list(all, n)),
        gradients(kiwi::list(all + n, n)),
        averages(kiwi::list(all + 2 * n, n)),
        squares(kiwi::list(all + 3 * n, n)),
        largest_squares(amsgrad ? kiwi::list(all + 5 * n, n) : std::vector<at::Tensor>()),
        steps(kiwi::list(all + 4 * n, n)) {
    check_alike(operation, "parameters", parameters, parameters);
    check_alike(operation, "gradients", gradients, parameters);
    check_alike(operation, "exp_avgs", averages, parameters);
    check_alike(operation, "exp_avg_sqs", squares, parameters);
    if (amsgrad) {
      check_alike(operation, "max_exp_avg_sqs", largest_squares, parameters);
    }
    for (size_t i = 0; i < n; ++i) {
      TORCH_CHECK(steps[i].dim() == 0 && steps[i].scalar_type() == at::kFloat &&
                      steps[i].device() == parameters[0].device(),
                  operation, ": steps[", i, "] is a ", steps[i].scalar_type(), " of shape ", steps[i].sizes(), " on ",
                  steps[i].device(), ", expected a scalar of type Float on ", parameters[0].device());
    }
    at::_foreach_add_(steps, 1);
  }
};

} // namespace

// The same layout as `AdamSettings` in Rust.
struct KiwiTorchAdam {
  double learning_rate, beta1, beta2, weight_decay, epsilon;
  bool amsgrad, maximize;
};

// `all` holds `n` each of parameters, gradients, averages, squares, steps and, with amsgrad, largest squares.
extern "C" char* kiwi_torch_fused_adam(TensorPointers all, size_t n, const KiwiTorchAdam* s, bool decoupled) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    Adam t(decoupled ? "fused_adamw" : "fused_adam", all, n, s->amsgrad);
    if (decoupled) {
      at::_fused_adamw_(t.parameters, t.gradients, t.averages, t.squares, t.largest_squares, t.steps, s->learning_rate,
                        s->beta1, s->beta2, s->weight_decay, s->epsilon, s->amsgrad, s->maximize);
    } else {
      at::_fused_adam_(t.parameters, t.gradients, t.averages, t.squares, t.largest_squares, t.steps, s->learning_rate,
                       s->beta1, s->beta2, s->weight_decay, s->epsilon, s->amsgrad, s->maximize);
    }
  });
}

// The same layout as `SgdSettings` in Rust.
struct KiwiTorchSgd {
  double learning_rate, momentum, dampening, weight_decay;
  bool nesterov, maximize, first_step;
};

// `all` holds `n` each of parameters, gradients and, with momentum, momentum buffers.
extern "C" char* kiwi_torch_fused_sgd(TensorPointers all, size_t n, const KiwiTorchSgd* s) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    auto parameters = kiwi::list(all, n);
    auto gradients = kiwi::list(all + n, n);
    std::vector<at::Tensor> buffers;
    check_alike("fused_sgd", "parameters", parameters, parameters);
    check_alike("fused_sgd", "gradients", gradients, parameters);
    if (s->momentum != 0.0) {
      buffers = kiwi::list(all + 2 * n, n);
      check_alike("fused_sgd", "momentum_buffers", buffers, parameters);
    }
    at::_fused_sgd_(parameters, gradients, buffers, s->weight_decay, s->momentum, s->learning_rate, s->dampening,
                    s->nesterov, s->maximize, s->first_step);
  });
}

extern "C" char* kiwi_torch_foreach_add(TensorPointers self, TensorPointers other, size_t n, double alpha) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_add_(kiwi::list(self, n), kiwi::list(other, n), alpha);
  });
}

extern "C" char* kiwi_torch_foreach_add_scalar(TensorPointers self, size_t n, double value) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_add_(kiwi::list(self, n), value);
  });
}

extern "C" char* kiwi_torch_foreach_mul(TensorPointers self, TensorPointers other, size_t n) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_mul_(kiwi::list(self, n), kiwi::list(other, n));
  });
}

extern "C" char* kiwi_torch_foreach_mul_scalar(TensorPointers self, size_t n, double value) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_mul_(kiwi::list(self, n), value);
  });
}

extern "C" char* kiwi_torch_foreach_div(TensorPointers self, TensorPointers other, size_t n) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_div_(kiwi::list(self, n), kiwi::list(other, n));
  });
}

extern "C" char* kiwi_torch_foreach_maximum(TensorPointers self, TensorPointers other, size_t n) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_maximum_(kiwi::list(self, n), kiwi::list(other, n));
  });
}

extern "C" char* kiwi_torch_foreach_copy(TensorPointers self, TensorPointers other, size_t n) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_copy_(kiwi::list(self, n), kiwi::list(other, n));
  });
}

extern "C" char* kiwi_torch_foreach_lerp(TensorPointers self, TensorPointers end, size_t n, double weight) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_lerp_(kiwi::list(self, n), kiwi::list(end, n), weight);
  });
}

extern "C" char* kiwi_torch_foreach_addcmul(TensorPointers self, TensorPointers one, TensorPointers two, size_t n,
                                            double value) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_addcmul_(kiwi::list(self, n), kiwi::list(one, n), kiwi::list(two, n), value);
  });
}

extern "C" char* kiwi_torch_foreach_addcdiv(TensorPointers self, TensorPointers one, TensorPointers two, size_t n,
                                            double value) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_addcdiv_(kiwi::list(self, n), kiwi::list(one, n), kiwi::list(two, n), value);
  });
}

extern "C" char* kiwi_torch_foreach_zero(TensorPointers self, size_t n) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    at::_foreach_zero_(kiwi::list(self, n));
  });
}

extern "C" char* kiwi_torch_foreach_abs(TensorPointers self, size_t n, at::Tensor** out) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    kiwi::give(at::_foreach_abs(kiwi::list(self, n)), out);
  });
}

extern "C" char* kiwi_torch_foreach_sqrt(TensorPointers self, size_t n, at::Tensor** out) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    kiwi::give(at::_foreach_sqrt(kiwi::list(self, n)), out);
  });
}

extern "C" char* kiwi_torch_foreach_norm(TensorPointers self, size_t n, double order, at::Tensor** out) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    kiwi::give(at::_foreach_norm(kiwi::list(self, n), order), out);
  });
}

namespace {

// The memory of the gradients that there are, all on one device. Of a sparse gradient the rows that stand in it twice are added
// up first: norms of parts do not add, and their sum may overflow where they do not.
std::vector<at::Tensor> gradients_of(const char* operation, TensorPointers parameters, size_t n) {
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < n; ++i) {
    auto gradient = parameters[i]->grad();
    if (gradient.defined() && gradient.is_sparse()) {
      parameters[i]->mutable_grad() = gradient.coalesce();
      // What is scaled is the memory of the gradient itself, not a copy.
      gradient = parameters[i]->grad()._values();
    }
    if (gradient.defined()) {
      TORCH_CHECK(gradients.empty() || gradient.device() == gradients[0].device(), operation, ": gradients lie on ",
                  gradients[0].device(), " and ", gradient.device(), ", expected one device");
      gradients.push_back(gradient);
    }
  }
  return gradients;
}

} // namespace

// Total 2-norm of the gradients, which are scaled down to `max_norm` without the device being waited for.
extern "C" char* kiwi_torch_clip_grad_norm(TensorPointers parameters, size_t n, double max_norm, at::Tensor** out) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    const auto gradients = gradients_of("clip_grad_norm", parameters, n);
    if (gradients.empty()) {
      *out = new at::Tensor(at::zeros({}, at::kFloat));
      return;
    }
    auto norms = at::_foreach_norm(gradients, 2);
    for (auto& norm : norms) {
      norm = norm.to(norm.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    }
    auto total = at::linalg_vector_norm(at::stack(norms), 2);
    auto scale = total.add(1e-6).reciprocal_().mul_(max_norm).clamp_max_(1.0);
    at::_foreach_mul_(gradients, scale);
    *out = new at::Tensor(std::move(total));
  });
}

// Bytes that a thread looks through at a time.
constexpr int64_t kShare = 1 << 18;

static bool all_finite(const at::Tensor& gradient) {
  const float* const numbers = gradient.const_data_ptr<float>();
  const int64_t count = gradient.numel();
  const int64_t shares = std::clamp<int64_t>(count / kShare, 1, at::get_num_threads());
  std::vector<uint32_t> found(shares, 0);
  kiwi::side_by_side(shares, [&](int64_t share) {
    const int64_t first = count * share / shares;
    kiwi::find_not_finite(numbers + first, count * (share + 1) / shares - first, &found[share]);
  });
  return std::all_of(found.begin(), found.end(), [](uint32_t one) { return one == 0; });
}

// 0 if all gradients are finite, else the largest absolute value, which is not.
extern "C" char* kiwi_torch_gradients_not_finite(TensorPointers parameters, size_t n, at::Tensor** out) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    std::vector<at::Tensor> doubtful;
    for (auto& gradient : gradients_of("gradients_not_finite", parameters, n)) {
      const bool fast = gradient.device().is_cpu() && gradient.scalar_type() == at::kFloat && gradient.is_contiguous();
      if (!fast || !all_finite(gradient)) {
        doubtful.push_back(gradient);
      }
    }
    if (doubtful.empty()) {
      *out = new at::Tensor(at::zeros({}, at::kFloat));
      return;
    }
    auto norms = at::_foreach_norm(doubtful, std::numeric_limits<double>::infinity());
    for (auto& norm : norms) {
      norm = norm.to(norm.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
    }
    const auto largest = at::stack(norms).max();
    *out = new at::Tensor(at::where(at::isfinite(largest), at::zeros_like(largest), largest));
  });
}

// Divides the gradients by `scale`; 1 in `out` if one of them is not finite, else 0.
extern "C" char* kiwi_torch_unscale_gradients(TensorPointers parameters, size_t n, double scale, at::Tensor** out) {
  return kiwi::caught([&] {
    c10::NoGradGuard no_grad;
    const auto gradients = gradients_of("unscale_gradients", parameters, n);
    const auto options = gradients.empty() ? at::TensorOptions(at::kFloat) : gradients[0].options().dtype(at::kFloat);
    auto found = at::zeros(at::IntArrayRef(), options);
    if (!gradients.empty()) {
      at::_amp_foreach_non_finite_check_and_unscale_(gradients, found, at::full(at::IntArrayRef(), 1.0 / scale, options));
    }
    *out = new at::Tensor(std::move(found));
  });
}

extern "C" char* kiwi_torch_clear_gradients(TensorPointers tensors, size_t n) {
  return kiwi::caught([&] {
    for (size_t i = 0; i < n; ++i) {
      if (tensors[i]->grad().defined()) {
        tensors[i]->mutable_grad() = at::Tensor();
      }
    }
  });
}

// Null in `out` when there is no gradient.
extern "C" char* kiwi_torch_gradient(const at::Tensor* tensor, at::Tensor** out) {
  return kiwi::caught([&] {
    const auto& gradient = tensor->grad();
    *out = gradient.defined() ? new at::Tensor(gradient) : nullptr;
  });
}

// `gradient` may be null: then the tensor has none any more.
extern "C" char* kiwi_torch_set_gradient(const at::Tensor* tensor, const at::Tensor* gradient) {
  return kiwi::caught([&] {
    if (gradient != nullptr) {
      TORCH_CHECK(gradient->sizes() == tensor->sizes(), "set_gradient: a gradient of shape ", gradient->sizes(),
                  " for a tensor of shape ", tensor->sizes());
      TORCH_CHECK(gradient->scalar_type() == tensor->scalar_type(), "set_gradient: a gradient of type ",
                  gradient->scalar_type(), " for a tensor of type ", tensor->scalar_type());
      TORCH_CHECK(gradient->device() == tensor->device(), "set_gradient: a gradient on ", gradient->device(),
                  " for a tensor on ", tensor->device());
    }
    tensor->mutable_grad() = gradient == nullptr ? at::Tensor() : *gradient;
  });
}

extern "C" char* kiwi_torch_set_requires_grad(const at::Tensor* tensor, bool requires_grad) {
  return kiwi::caught([&] {
    TORCH_CHECK(tensor->is_leaf() || requires_grad == tensor->requires_grad(),
                "set_requires_grad: the tensor is the result of an operation, expected a leaf; detach it first");
    tensor->set_requires_grad(requires_grad);
  });
}
