// Groups of processes that compute on GPUs, over c10d and NCCL. A function returns null when it succeeded and otherwise a message that
// the caller frees with `kiwi_nccl_free`. No exception leaves a function.
//
// What is called here is in libtorch's CUDA part, which the program has opened for all before it opens this library.

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <c10/util/Exception.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Options of a group hold a structure of NCCL's whose size grows with its versions: it must be that which libtorch was compiled with.
static_assert(
    NCCL_MAJOR == 2 && NCCL_MINOR == 28,
    "nccl.h is of another version than the NCCL 2.28 that libtorch 2.11 is compiled with");

namespace {

using std::chrono::steady_clock;

// What NCCL says of an error is spread over several lines, after a place in c10d's code.
std::string plain(const std::string& said) {
  const std::string start = "NCCL error in: ", last = "Last error:\n";
  std::string line = said.substr(0, said.find('\n'));
  if (line.compare(0, start.size(), start) == 0) {
    const auto place = line.find(", ");
    line = "NCCL: " + (place == std::string::npos ? line.substr(start.size()) : line.substr(place + 2));
  }
  const auto found = said.find(last);
  if (found != std::string::npos) {
    const auto begin = found + last.size();
    const auto cause = said.substr(begin, said.find('\n', begin) - begin);
    if (!cause.empty()) {
      line += ": " + cause;
    }
  }
  return line;
}

char* copy(const std::string& text) {
  return strdup(text.c_str());
}

template <typename Body>
char* caught(Body&& body) noexcept {
  try {
    try {
      std::forward<Body>(body)();
      return nullptr;
    } catch (const c10::Error& error) {
      return copy(plain(error.what_without_backtrace()));
    } catch (const std::exception& error) {
      return copy(plain(error.what()));
    }
  } catch (...) {
    return strdup("a C++ exception that cannot be told");
  }
}

// c10d reads these when a group is made. Without them its own threads would end the whole process, with a C++ stack, once a rank is lost
// or late: who notices that here is the thread that waits, below, and the watch over all ranks.
//
// No other thread may read the environment meanwhile. There are few by now, none of which does: those of gloo and of the watch.
void settle_environment() {
  // Nobody calls the `wait` that this is about; it also keeps c10d from starting its watchdog, and with that the monitor of it.
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 1);
  // torchrun sets it to 1, "tear the process down", whatever it starts.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 1);
  // The record of past operations is the watchdog's to read and to clear.
  setenv("TORCH_FR_BUFFER_SIZE", "0", 0);
  setenv("TORCH_NCCL_TRACE_BUFFER_SIZE", "0", 0);
}

struct Group {
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> backend;
  // Set by another thread when nothing is worth waiting for any more.
  const std::atomic<bool>* given_up = nullptr;
  std::chrono::milliseconds timeout{0};
  // Kernels that wait for a lost rank were told to end, and c10d may wait for that still: the group cannot be taken down.
  bool broken = false;
};

using Works = std::vector<c10::intrusive_ptr<c10d::Work>>;

// The shortest and the longest pause of a thread that waits.
constexpr std::chrono::microseconds SHORT{10}, LONG{1000};

// Waits until work is done, and has the current stream go on after it.
//
// The host itself waits, and does not leave it to the stream as `Work::synchronize` alone would: a stream that waits for a lost rank never
// goes on, and with it everything that is read from the GPU hangs, where nobody can be told.
void finish(const Group& group, const Works& works) {
  const auto began = steady_clock::now();
  for (const auto& work : works) {
    work->synchronize();
  }
  for (const auto& work : works) {
    while (!work->isCompleted()) {
      if (*group.given_up) {
        break;
      }
      const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began);
      if (waited > group.timeout) {
        throw std::runtime_error(
            "the others have not come within " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(group.timeout).count()) + " seconds");
      }
      // Soon over, it costs a sixteenth of its time at most.
      std::this_thread::sleep_for(std::clamp(waited / 16, SHORT, LONG));
    }
    // Work that was given up counts as done.
    if (*group.given_up) {
      throw std::runtime_error("it was given up");
    }
    if (const auto failure = work->exception()) {
      std::rethrow_exception(failure);
    }
  }
}

// Has every tensor go through an operation. After a failure nothing that was begun goes on.
template <typename Operation>
void each(Group& group, const at::Tensor* const* tensors, size_t count, Operation&& operation) {
  if (group.broken) {
    throw std::runtime_error("it failed before");
  }
  if (*group.given_up) {
    throw std::runtime_error("it was given up");
  }
  try {
    Works works;
    works.reserve(count);
    for (size_t index = 0; index < count; ++index) {
      std::vector<at::Tensor> one{*tensors[index]};
      works.push_back(operation(one));
    }
    finish(group, works);
  } catch (...) {
    const auto failure = std::current_exception();
    group.broken = true;
    // Kernels that wait for others would keep the GPU, and whoever waits for the GPU, for ever.
    free(caught([&] { group.backend->abort(); }));
    std::rethrow_exception(failure);
  }
}

} // namespace

extern "C" {

// How the processes of a group that have met find one another's GPUs.
struct KiwiNcclPlace {
  // `c10::intrusive_ptr<c10d::Store>*`, a store that is the run's.
  const void* store;
  // `std::atomic<bool>*`, which outlives the group.
  const void* given_up;
  int32_t rank;
  int32_t ranks;
  int32_t device;
  int64_t timeout_ms;
};

char* kiwi_nccl_join(const KiwiNcclPlace* place, void** out) {
  return caught([&] {
    settle_environment();
    auto group = std::make_unique<Group>();
    group->given_up = static_cast<const std::atomic<bool>*>(place->given_up);
    group->timeout = std::chrono::milliseconds(place->timeout_ms);
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = group->timeout;
    const auto& store = *static_cast<const c10::intrusive_ptr<c10d::Store>*>(place->store);
    group->backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        c10::make_intrusive<c10d::PrefixStore>("nccl", store), place->rank, place->ranks, options);
    // Now and not at the first sum, so that what fails for the machine fails here.
    group->backend->eagerConnectSingleDevice(
        c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(place->device)));
    *out = group.release();
  });
}

// To be called when all ranks have done what they do together: another one may read from this one's memory until then.
void kiwi_nccl_leave(void* raw) {
  auto* group = static_cast<Group*>(raw);
  if (group->broken || *group->given_up) {
    return;
  }
  // `shutdown` would wait for the others, who may have failed; nothing is under way that `abort` could break.
  free(caught([&] { group->backend->abort(); }));
  free(caught([&] { delete group; }));
}

// The largest of all ranks where `largest`, else the sum.
char* kiwi_nccl_all_reduce(void* raw, const at::Tensor* const* tensors, size_t count, bool largest) {
  return caught([&] {
    auto& group = *static_cast<Group*>(raw);
    c10d::AllreduceOptions options;
    options.reduceOp = largest ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    each(group, tensors, count, [&](std::vector<at::Tensor>& one) { return group.backend->allreduce(one, options); });
  });
}

char* kiwi_nccl_broadcast(void* raw, const at::Tensor* const* tensors, size_t count, int32_t from) {
  return caught([&] {
    auto& group = *static_cast<Group*>(raw);
    c10d::BroadcastOptions options;
    options.rootRank = from;
    options.rootTensor = 0;
    each(group, tensors, count, [&](std::vector<at::Tensor>& one) { return group.backend->broadcast(one, options); });
  });
}

void kiwi_nccl_free(void* memory) {
  free(memory);
}

} // extern "C"
