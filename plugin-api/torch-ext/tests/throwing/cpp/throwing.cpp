// Functions that throw, a tensor that tch cannot make, and what a test wants to ask the C++ runtime.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <exception>
#include <stdexcept>
#include <string>

struct Unprintable {};

extern "C" void throwing_runtime_error() {
  throw std::runtime_error("the kettle boiled over");
}

extern "C" void throwing_int() {
  throw 42;
}

extern "C" void throwing_string() {
  throw std::string("a string on its own");
}

extern "C" void throwing_unprintable() {
  throw Unprintable{};
}

extern "C" void throwing_product(const at::Tensor* a, const at::Tensor* b) {
  at::mm(*a, *b);
}

namespace {

struct ThrowsInBackward : torch::autograd::Function<ThrowsInBackward> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*, torch::autograd::variable_list) {
    throw 42;
  }
};

} // namespace

extern "C" at::Tensor* throwing_in_backward(const at::Tensor* x) {
  return new at::Tensor(ThrowsInBackward::apply(*x));
}

extern "C" at::Tensor* throwing_on_meta(const at::Tensor* like) {
  return new at::Tensor(at::empty(like->sizes(), like->options().device(at::kMeta)));
}

extern "C" int throwing_uncaught_exceptions() {
  return std::uncaught_exceptions();
}

// Calls `call(data)` from within a handler: whether the exception of that handler is still the current one afterwards.
extern "C" bool throwing_in_handler(void (*call)(void*), void* data) {
  try {
    throw std::runtime_error("outer");
  } catch (const std::runtime_error&) {
    const std::exception_ptr before = std::current_exception();
    call(data);
    return std::current_exception() == before;
  }
}
