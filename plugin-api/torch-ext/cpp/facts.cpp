// What a tensor is, without touching its elements: whoever gets one from a stranger looks before use.

#include "shim.h"

#include <ATen/MemoryOverlap.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <sstream>

// The same layout as `RawFacts` in Rust.
struct KiwiTorchFacts {
  int64_t elements;
  int64_t first;
  int64_t last;
  int32_t rank;
  int16_t device_index;
  int8_t device_type;
  int8_t scalar_type;
  bool defined;
  bool dense;
  bool leaf;
  bool requires_grad;
  bool overlaps;
};

extern "C" char* kiwi_torch_facts(const at::Tensor* tensor, KiwiTorchFacts* facts) {
  return kiwi::caught([&] {
    *facts = KiwiTorchFacts{};
    if (!tensor->defined()) {
      return;
    }
    const auto sizes = tensor->sizes();
    facts->defined = true;
    facts->elements = tensor->numel();
    facts->rank = static_cast<int32_t>(sizes.size());
    facts->first = sizes.empty() ? 1 : sizes.front();
    facts->last = sizes.empty() ? 1 : sizes.back();
    facts->device_type = static_cast<int8_t>(tensor->device().type());
    facts->device_index = tensor->device().index();
    facts->scalar_type = static_cast<int8_t>(tensor->scalar_type());
    facts->dense = tensor->layout() == c10::kStrided;
    facts->leaf = tensor->is_leaf();
    facts->requires_grad = tensor->requires_grad();
    facts->overlaps = facts->dense && at::has_internal_overlap(*tensor) == at::MemOverlap::Yes;
  });
}

// "float32 of shape [2, 3] on cpu"; null where that cannot be told.
extern "C" char* kiwi_torch_described(const at::Tensor* tensor) {
  char* text = nullptr;
  char* message = kiwi::caught([&] {
    if (!tensor->defined()) {
      text = kiwi::copy("an undefined tensor");
      return;
    }
    std::ostringstream out;
    out << c10::getDtypeNames(tensor->scalar_type()).first << " of shape [";
    const char* between = "";
    for (const auto size : tensor->sizes()) {
      out << between << size;
      between = ", ";
    }
    out << "] on " << tensor->device();
    if (tensor->layout() != c10::kStrided) {
      out << ", " << tensor->layout();
    }
    text = kiwi::copy(out.str().c_str());
  });
  free(message);
  return text;
}
