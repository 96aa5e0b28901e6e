// Factors of dropout: see `dropout_factors` in Rust.

#include "dropout_row.h"
#include "shim.h"
#include "side_by_side.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <mutex>

extern "C" char* kiwi_torch_dropout_factors(const at::Tensor* rows, int64_t width, double probability, int8_t type,
                                            at::Tensor** out) {
  return kiwi::caught([&] {
    constexpr auto op = "dropout_factors: ";
    const auto scalar = static_cast<at::ScalarType>(type);
    TORCH_CHECK(rows->dim() == 1 && rows->scalar_type() == at::kLong && rows->device().is_cpu() && rows->is_contiguous(), op,
                "rows has shape ", rows->sizes(), " and type ", rows->scalar_type(), ", expected [N] of Long on the CPU");
    TORCH_CHECK(width >= 0 && probability >= 0 && probability < 1, op, "width is ", width, " and probability ", probability,
                ", expected at least 0, and from 0 to below 1");
    TORCH_CHECK(scalar == at::kFloat || scalar == at::kDouble, op, "type is ", scalar, ", expected Float or Double");
    const uint64_t seed = [] {
      auto generator = at::detail::getDefaultCPUGenerator();
      const std::lock_guard<std::mutex> lock(generator.mutex());
      return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
    }();
    const int64_t count = rows->numel();
    const int64_t* const numbers = rows->const_data_ptr<int64_t>();
    const auto factors = at::empty({count, width}, at::TensorOptions().dtype(at::kFloat));
    float* const first = factors.data_ptr<float>();
    const int64_t shares = std::clamp<int64_t>(count * width / 32768, 1, at::get_num_threads());
    kiwi::side_by_side(shares, [&](int64_t share) {
      for (int64_t row = count * share / shares; row < count * (share + 1) / shares; ++row) {
        kiwi::dropout_row(first + row * width, width, probability, seed, static_cast<uint64_t>(numbers[row]));
      }
    });
    kiwi::give({factors.to(scalar)}, out);
  });
}
