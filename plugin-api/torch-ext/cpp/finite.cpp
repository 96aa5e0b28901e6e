// See finite.h: of a float that is not finite, all bits of the exponent are set. A loop over integers is vectorised as it stands.

#include "finite.h"

#include "elementary.h"

namespace {

KIWI_INLINE void find(const float* numbers, int64_t count, uint32_t* found) {
  constexpr uint32_t kExponent = 0x7F800000;
  uint32_t any = 0;
#pragma omp simd reduction(| : any)
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, numbers + i, sizeof bits);
    any |= static_cast<uint32_t>((bits & kExponent) == kExponent);
  }
  *found |= any;
}

} // namespace

namespace kiwi {

KIWI_FUNCTION(find_not_finite, (const float* numbers, int64_t count, uint32_t* found), find(numbers, count, found))

} // namespace kiwi
