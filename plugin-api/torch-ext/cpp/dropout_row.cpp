// See dropout_row.h. The numbers are those of Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
// for each of which a row and a column are enough: they are the same however many threads compute them.

#include "dropout_row.h"

#include "elementary.h"

#include <algorithm>

namespace {

// Blocks that are computed at a time, of four numbers each.
constexpr int64_t kBlocks = 64;

KIWI_INLINE void blocks_of(uint32_t* __restrict__ a, uint32_t* __restrict__ b, uint32_t* __restrict__ c,
                           uint32_t* __restrict__ d, uint32_t first, uint64_t row, uint64_t seed) {
#pragma omp simd
  for (int64_t i = 0; i < kBlocks; ++i) {
    uint32_t x = first + static_cast<uint32_t>(i);
    uint32_t y = 0;
    uint32_t z = static_cast<uint32_t>(row);
    uint32_t w = static_cast<uint32_t>(row >> 32);
    uint32_t key = static_cast<uint32_t>(seed);
    uint32_t other_key = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p = uint64_t{0xD2511F53} * x;
      const uint64_t q = uint64_t{0xCD9E8D57} * z;
      const uint32_t next_x = static_cast<uint32_t>(q >> 32) ^ y ^ key;
      const uint32_t next_z = static_cast<uint32_t>(p >> 32) ^ w ^ other_key;
      y = static_cast<uint32_t>(q);
      w = static_cast<uint32_t>(p);
      x = next_x;
      z = next_z;
      key += 0x9E3779B9;
      other_key += 0xBB67AE85;
    }
    a[i] = x;
    b[i] = y;
    c[i] = z;
    d[i] = w;
  }
}

KIWI_INLINE void chosen(float* __restrict__ factors, const uint32_t* __restrict__ numbers, int64_t count, uint32_t limit,
                        float kept) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    factors[i] = numbers[i] < limit ? 0.0F : kept;
  }
}

KIWI_FUNCTION(blocks,
              (uint32_t* a, uint32_t* b, uint32_t* c, uint32_t* d, uint32_t first, uint64_t row, uint64_t seed),
              blocks_of(a, b, c, d, first, row, seed))

KIWI_FUNCTION(choose, (float* factors, const uint32_t* numbers, int64_t count, uint32_t limit, float kept),
              chosen(factors, numbers, count, limit, kept))

} // namespace

namespace kiwi {

void dropout_row(float* factors, int64_t width, double probability, uint64_t seed, uint64_t row) {
  const auto limit = static_cast<uint32_t>(probability * 4294967296.0);
  const auto kept = static_cast<float>(1 / (1 - probability));
  uint32_t numbers[4 * kBlocks];
  uint32_t block = 0;
  for (int64_t start = 0; start < width; start += 4 * kBlocks, block += kBlocks) {
    blocks(numbers, numbers + kBlocks, numbers + 2 * kBlocks, numbers + 3 * kBlocks, block, row, seed);
    choose(factors + start, numbers, std::min(4 * kBlocks, width - start), limit, kept);
  }
}

} // namespace kiwi
