// The loops over one row of logits, written for the compiler to vectorise: no libtorch header is included, and on x86-64
// they are compiled for several instruction sets, of which the best is picked when the library is loaded.

#include "projection_row.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__clang__)
#define KIWI_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define KIWI_CLONES
#endif
#define KIWI_INLINE inline __attribute__((always_inline))

namespace {

constexpr int64_t kBlock = 2048;

// e^x for x <= 0, to about 1e-7 relative (Cephes' polynomial); 0 below the normal numbers.
KIWI_INLINE float exponential(float x) {
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
  const float shifter = 12582912.0F;
  const float clamped = x < -87.0F ? -87.0F : x;
  const float shifted = clamped * 1.44269504088896341F + shifter;
  const float n = shifted - shifter;
  const float r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  const int32_t exponent = static_cast<int32_t>(static_cast<uint32_t>(bits - 0x4B400000 + 127) << 23);
  float scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return x < -87.0F ? 0.0F : p * scale;
}

KIWI_INLINE double exponential(double x) {
  return std::exp(x);
}

template <typename Real>
KIWI_INLINE kiwi::RowLoss<Real> loss(Real* __restrict__ logits, const Real* __restrict__ bias, int64_t length,
                                     int64_t gold, bool gradient) {
  Real largest = -std::numeric_limits<Real>::infinity();
  if (bias != nullptr) {
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < length; ++i) {
      const Real value = logits[i] + bias[i];
      logits[i] = value;
      largest = value > largest ? value : largest;
    }
  } else {
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < length; ++i) {
      largest = logits[i] > largest ? logits[i] : largest;
    }
  }
  const Real of_gold = logits[gold];
  bool correct = of_gold == largest;
  for (int64_t i = 0; correct && i < gold; ++i) {
    correct = logits[i] != largest;
  }
  // Block by block, so that rounding does not grow with the length.
  double total = 0;
  for (int64_t start = 0; start < length; start += kBlock) {
    const int64_t end = std::min(length, start + kBlock);
    Real sum = 0;
    if (gradient) {
#pragma omp simd reduction(+ : sum)
      for (int64_t i = start; i < end; ++i) {
        const Real value = exponential(logits[i] - largest);
        logits[i] = value;
        sum += value;
      }
    } else {
#pragma omp simd reduction(+ : sum)
      for (int64_t i = start; i < end; ++i) {
        sum += exponential(logits[i] - largest);
      }
    }
    total += static_cast<double>(sum);
  }
  const Real scale = static_cast<Real>(1 / total);
  const Real probability = exponential(of_gold - largest) * scale;
  if (gradient) {
#pragma omp simd
    for (int64_t i = 0; i < length; ++i) {
      logits[i] *= scale;
    }
    logits[gold] -= 1;
  }
  return {static_cast<Real>(std::log(total)) - (of_gold - largest), probability, correct};
}

KIWI_CLONES void loss_of_floats(float* logits, const float* bias, int64_t length, int64_t gold, bool gradient,
                                kiwi::RowLoss<float>* result) {
  *result = loss<float>(logits, bias, length, gold, gradient);
}

} // namespace

namespace kiwi {

RowLoss<float> row_loss(float* logits, const float* bias, int64_t length, int64_t gold, bool gradient) {
  RowLoss<float> result{};
  loss_of_floats(logits, bias, length, gold, gradient, &result);
  return result;
}

RowLoss<double> row_loss(double* logits, const double* bias, int64_t length, int64_t gold, bool gradient) {
  return loss<double>(logits, bias, length, gold, gradient);
}

} // namespace kiwi
