// Products of few rows with one matrix, again and again: what the steps of a recurrent network compute.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace kiwi {

// A matrix to be multiplied by, `[k, n]`, laid out for the purpose where the library of libtorch can do that.
class Multiplier {
 public:
  // `matrix` is contiguous: `[k, n]`, or if `transposed` `[n, k]`. It has to live as long as this.
  Multiplier(const at::Tensor& matrix, bool transposed);

  // c [m, n] = a [m, k] * matrix, both contiguous. Within a parallel region it runs on the calling thread.
  void multiply(const at::Tensor& a, int64_t m, const at::Tensor& c) const;

 private:
  at::Tensor matrix_;
  int64_t k_, n_;
  std::shared_ptr<float> packed_;
};

} // namespace kiwi
