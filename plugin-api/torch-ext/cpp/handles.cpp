// Handles to tensors, counted.

#include "shim.h"

#include <cstdint>

// How many handles share the tensor, this one among them.
extern "C" int64_t kiwi_torch_use_count(const at::Tensor* tensor) {
  return static_cast<int64_t>(tensor->use_count());
}
