// The loops over one row of logits.

#include "projection_row.h"

#include "elementary.h"

#include <algorithm>
#include <cmath>
#include <limits>

using kiwi::exponential;

namespace {

constexpr int64_t kBlock = 2048;

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

KIWI_FUNCTION(loss_of_floats,
              (float* logits, const float* bias, int64_t length, int64_t gold, bool gradient, kiwi::RowLoss<float>* result),
              *result = loss<float>(logits, bias, length, gold, gradient))

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
