// One row of logits: its softmax, and what a cross-entropy loss wants of it.
#pragma once

#include <cstdint>

namespace kiwi {

template <typename Real>
struct RowLoss {
  Real nll;         // -log p(gold)
  Real probability; // p(gold)
  bool correct;     // gold is the first of the largest
};

// Adds `bias` (may be null) to the logits in place. With `gradient` they are then replaced by softmax minus one-hot of
// gold, which is the gradient of nll; otherwise what is left in them is of no use.
RowLoss<float> row_loss(float* logits, const float* bias, int64_t length, int64_t gold, bool gradient);
RowLoss<double> row_loss(double* logits, const double* bias, int64_t length, int64_t gold, bool gradient);

} // namespace kiwi
