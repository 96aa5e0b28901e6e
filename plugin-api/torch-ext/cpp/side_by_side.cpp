// See side_by_side.h.

#include "side_by_side.h"

#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace kiwi {

// The work is shared out by a TensorIterator, for its loop is inside libtorch and so uses libtorch's threads;
// `at::parallel_for` is a template, which without this library being linked to the same OpenMP would run on one.
void side_by_side(int64_t count, const std::function<void(int64_t)>& body) {
  const auto numbered = at::empty({count}, at::kChar);
  const char* const first = static_cast<const char*>(numbered.const_data_ptr());
  auto iterator =
      at::TensorIteratorConfig().check_all_same_dtype(false).resize_outputs(false).add_output(numbered).build();
  iterator.for_each(
      [&](char** data, const int64_t* strides, int64_t inner, int64_t outer) {
        // What a thread of libtorch's does not have from the calling one.
        const c10::NoGradGuard no_grad;
        const c10::impl::ExcludeDispatchKeyGuard below(c10::autograd_dispatch_keyset | c10::autocast_dispatch_keyset);
        for (int64_t k = 0; k < inner * outer; ++k) {
          body(data[0] + (k % inner) * strides[0] + (k / inner) * strides[1] - first);
        }
      },
      1);
}

} // namespace kiwi
