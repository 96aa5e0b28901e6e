// The factors of one row of a dropout.
#pragma once

#include <cstdint>

namespace kiwi {

// Fills `factors` with 0, with this probability, or else 1 / (1 - probability), by the random numbers that belong to `seed` and
// `row`.
void dropout_row(float* factors, int64_t width, double probability, uint64_t seed, uint64_t row);

} // namespace kiwi
