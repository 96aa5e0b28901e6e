// A node of the autograd graph whose backward is a function of Rust.

#include "shim.h"

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/autograd/variable_info.h>

#include <memory>
#include <mutex>
#include <string>

using kiwi::TensorPointers;
using torch::autograd::SavedVariable;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// `saved` and `gradients` are owned by the function from the call on; `results` receives owned tensors or null. Returns
// null or a message made by `kiwi_torch_string_new`.
using BackwardFunction = char* (*)(const void* closure, at::Tensor** saved, size_t saved_length, at::Tensor** gradients,
                                   size_t gradients_length, at::Tensor** results, size_t results_length);
using DropFunction = void (*)(void* closure);

namespace {

struct RustFunction final : public torch::autograd::Node {
  RustFunction(void* closure, BackwardFunction backward, DropFunction drop)
      : closure_(closure), backward_(backward), drop_(drop) {}

  ~RustFunction() override {
    drop_(closure_);
  }
  RustFunction(const RustFunction&) = delete;
  RustFunction& operator=(const RustFunction&) = delete;

  std::string name() const override {
    return "RustFunction";
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    saved.clear();
    released_ = true;
  }

  variable_list apply(variable_list&& gradients) override {
    std::vector<at::Tensor> unpacked;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      TORCH_CHECK(!released_, torch::autograd::ERR_BACKWARD_TWICE);
      for (const auto& variable : saved) {
        unpacked.push_back(variable.unpack(shared_from_this()));
      }
    }
    at::OptionalDeviceGuard device;
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (!gradients[i].defined()) {
        gradients[i] = outputs[i].zeros(device);
      }
    }
    const size_t given = gradients.size();
    std::vector<at::Tensor*> saved_pointers(unpacked.size());
    std::vector<at::Tensor*> gradient_pointers(given);
    std::vector<at::Tensor*> result_pointers(num_outputs(), nullptr);
    kiwi::give(std::move(unpacked), saved_pointers.data());
    kiwi::give(std::move(gradients), gradient_pointers.data());
    char* message = backward_(closure_, saved_pointers.data(), saved_pointers.size(), gradient_pointers.data(), given,
                              result_pointers.data(), result_pointers.size());
    variable_list results;
    results.reserve(result_pointers.size());
    for (auto* pointer : result_pointers) {
      std::unique_ptr<at::Tensor> result(pointer);
      results.push_back(result == nullptr ? at::Tensor() : std::move(*result));
    }
    if (message != nullptr) {
      const std::string text(message);
      free(message);
      TORCH_CHECK(false, text);
    }
    return results;
  }

  std::vector<SavedVariable> saved;
  std::vector<torch::autograd::VariableInfo> outputs;

 private:
  void* closure_;
  BackwardFunction backward_;
  DropFunction drop_;
  bool released_ = false;
};

} // namespace

extern "C" bool kiwi_torch_needs_graph(TensorPointers tensors, size_t n) {
  if (!c10::GradMode::is_enabled()) {
    return false;
  }
  for (size_t i = 0; i < n; ++i) {
    if (tensors[i]->requires_grad()) {
      return true;
    }
  }
  return false;
}

// Gradients of a scalar. What an operation's backward throws ends here, whatever its type, so far as it is computed on this
// thread: that of a GPU is not.
extern "C" char* kiwi_torch_backward(const at::Tensor* loss) {
  return kiwi::caught([&] { loss->backward(); });
}

// Makes `outputs`, computed without grad, the results of a node with that backward: `out` receives them. Takes over the
// closure, whatever comes of it.
extern "C" char* kiwi_torch_attach_backward(TensorPointers inputs, size_t inputs_length, TensorPointers outputs,
                                            size_t outputs_length, TensorPointers saved, size_t saved_length,
                                            void* closure, BackwardFunction backward, DropFunction drop,
                                            at::Tensor** out) {
  std::shared_ptr<RustFunction> node;
  char* message = kiwi::caught([&] {
    node = std::shared_ptr<RustFunction>(new RustFunction(closure, backward, drop), torch::autograd::deleteNode);
  });
  if (message != nullptr) {
    drop(closure);
    return message;
  }
  return kiwi::caught([&] {
    const variable_list input_list = kiwi::list(inputs, inputs_length);
    node->set_next_edges(torch::autograd::collect_next_edges(input_list));
    std::vector<std::optional<Variable>> raw;
    for (size_t i = 0; i < outputs_length; ++i) {
      raw.emplace_back(*outputs[i]);
    }
    auto wrapped = torch::autograd::_wrap_outputs(
        input_list, {}, {}, raw, node,
        [](variable_list, variable_list) -> variable_list {
          TORCH_CHECK_NOT_IMPLEMENTED(false, "a function written in Rust has no forward-mode derivative");
        },
        {}, [](const at::Tensor& tensor) { return tensor.view_as(tensor); }, false);
    variable_list results;
    for (auto& output : wrapped) {
      TORCH_INTERNAL_ASSERT(output.has_value());
      node->outputs.emplace_back(*output);
      results.push_back(std::move(*output));
    }
    for (size_t i = 0; i < saved_length; ++i) {
      // A saved output must not keep the node alive that saves it.
      bool is_output = false;
      for (size_t j = 0; j < outputs_length && !is_output; ++j) {
        if (saved[i]->is_same(*outputs[j])) {
          node->saved.emplace_back(results[j], results[j].grad_fn() == node);
          is_output = true;
        }
      }
      if (!is_output) {
        node->saved.emplace_back(*saved[i], false);
      }
    }
    kiwi::give(std::move(results), out);
  });
}
