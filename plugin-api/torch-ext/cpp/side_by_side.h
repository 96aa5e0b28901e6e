// Independent pieces of work on libtorch's own threads.
#pragma once

#include <cstdint>
#include <functional>

namespace kiwi {

// Calls `body` with 0 .. count-1, each once, on as many of libtorch's threads as there are. A library of libtorch's that uses
// threads itself runs on one within. An exception of any is rethrown once all are done.
void side_by_side(int64_t count, const std::function<void(int64_t)>& body);

} // namespace kiwi
