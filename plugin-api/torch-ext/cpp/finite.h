// Whether numbers are finite.
#pragma once

#include <cstdint>

namespace kiwi {

// Sets `found` if one of `count` numbers is infinite or not a number, and else leaves it as it is.
extern void (*const find_not_finite)(const float* numbers, int64_t count, uint32_t* found);

} // namespace kiwi
