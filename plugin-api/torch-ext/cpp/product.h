// Products of few rows with one matrix, again and again: what the steps of a recurrent network compute.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

namespace kiwi {

// A matrix to be multiplied by, `[k, n]`, laid out for the purpose where the library of libtorch can do that.
class Multiplier {
 public:
  // `matrix` is contiguous: `[k, n]`, or if `transposed` `[n, k]`. Products are computed in `type`, the matrix's own or a shorter one.
  Multiplier(const at::Tensor& matrix, bool transposed, at::ScalarType type);

  // c [m, n] = a [m, k] * matrix, both contiguous. Within a parallel region it runs on the calling thread.
  void multiply(const at::Tensor& a, int64_t m, const at::Tensor& c) const;

 private:
  at::Tensor original_, matrix_;
  int64_t k_, n_;
  std::shared_ptr<float> packed_;
};

// a * b of the type of a, computed in `type`.
at::Tensor product(const at::Tensor& a, const at::Tensor& b, at::ScalarType type);

} // namespace kiwi
