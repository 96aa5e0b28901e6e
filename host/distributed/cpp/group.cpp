// Groups of processes over c10d. A function returns null when it succeeded and otherwise a message that the caller frees with
// `free`. No exception leaves a function.

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <c10/util/Exception.h>
#include <c10/util/Flags.h>
#include <c10/util/Logging.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

C10_DECLARE_int(caffe2_log_level);

namespace {

// What c10d logs of an error, with places in its own code, is no more than what it throws.
void silence_c10d() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
    FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  }
}

char* copy(const char* text) {
  return strdup(text == nullptr ? "" : text);
}

template <typename Body>
char* caught(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return nullptr;
  } catch (const c10::Error& error) {
    return copy(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return copy(error.what());
  } catch (...) {
    return copy("a C++ exception that is no std::exception");
  }
}

struct Group {
  // What is the run's own of the place where all meet.
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> backend;
  // Another thread may say that nothing is worth waiting for any more.
  std::atomic<bool> given_up{false};
  // Work that was begun and given up: its threads may wait for long still, so that the group cannot be taken down.
  bool unfinished = false;
};

// How often a thread that waits looks whether it still should.
constexpr std::chrono::milliseconds LOOK{200};

// Waits for work unless the group is given up meanwhile.
void finish(Group& group, const c10::intrusive_ptr<c10d::Work>& work) {
  for (;;) {
    try {
      work->wait(LOOK);
      return;
    } catch (...) {
      if (work->isCompleted()) {
        throw;
      }
    }
    if (group.given_up) {
      group.unfinished = true;
      throw std::runtime_error("it was given up");
    }
  }
}

void finish_all(Group& group, const std::vector<c10::intrusive_ptr<c10d::Work>>& works) {
  for (const auto& work : works) {
    finish(group, work);
  }
}

} // namespace

extern "C" {

// How a process finds the others.
struct KiwiMeeting {
  const char* host;
  uint16_t port;
  bool serves;
  int32_t rank;
  int32_t ranks;
  int64_t timeout_ms;
  // Tells runs apart that meet at the same place one after the other.
  const char* name;
  // A socket that listens at the port already and is the group's from now on; -1 for none.
  int32_t listening;
  // The address of this machine that the others are to connect to, or the name of its network interface; one of them is null.
  const char* address;
  const char* interface;
};

char* kiwi_group_meet(const KiwiMeeting* meeting, void** out) {
  return caught([&] {
    silence_c10d();
    c10d::TCPStoreOptions options;
    options.port = meeting->port;
    options.isServer = meeting->serves;
    options.numWorkers = static_cast<size_t>(meeting->ranks);
    options.waitWorkers = true;
    options.timeout = std::chrono::milliseconds(meeting->timeout_ms);
    if (meeting->serves && meeting->listening >= 0) {
      options.masterListenFd = meeting->listening;
    }
    auto store = c10::make_intrusive<c10d::TCPStore>(meeting->host, options);
    c10::intrusive_ptr<c10d::Store> own = c10::make_intrusive<c10d::PrefixStore>(meeting->name, store);
    auto gloo = c10d::ProcessGroupGloo::Options::create(options.timeout);
    gloo->devices.push_back(
        meeting->interface != nullptr ? c10d::ProcessGroupGloo::createDeviceForInterface(meeting->interface)
                                      : c10d::ProcessGroupGloo::createDeviceForHostname(meeting->address));
    auto backend = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", own), meeting->rank, meeting->ranks, gloo);
    auto group = std::make_unique<Group>();
    group->store = std::move(own);
    group->backend = backend;
    *out = group.release();
  });
}

void kiwi_group_leave(void* raw) {
  auto* group = static_cast<Group*>(raw);
  if (group->unfinished) {
    return;
  }
  // Threads of gloo end with it; an exception here has nobody to go to.
  char* message = caught([&] { delete group; });
  free(message);
}

// Ends the waiting of another thread in a function below, and of all that are called later.
void kiwi_group_give_up(void* group) {
  static_cast<Group*>(group)->given_up = true;
}

// What a group over NCCL, of a library of its own, has of this one; it lasts as long as the group.
struct KiwiShared {
  // `c10::intrusive_ptr<c10d::Store>*`.
  const void* store;
  // `std::atomic<bool>*`.
  const void* given_up;
};

KiwiShared kiwi_group_share(const void* raw) {
  const auto* group = static_cast<const Group*>(raw);
  return {&group->store, &group->given_up};
}

// The largest of all ranks where `largest`, else the sum.
char* kiwi_group_all_reduce(void* raw, const at::Tensor* const* tensors, size_t count, bool largest) {
  return caught([&] {
    auto& group = *static_cast<Group*>(raw);
    c10d::AllreduceOptions options;
    options.reduceOp = largest ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    works.reserve(count);
    for (size_t index = 0; index < count; ++index) {
      std::vector<at::Tensor> one{*tensors[index]};
      works.push_back(group.backend->allreduce(one, options));
    }
    finish_all(group, works);
  });
}

char* kiwi_group_broadcast(void* raw, const at::Tensor* const* tensors, size_t count, int32_t from) {
  return caught([&] {
    auto& group = *static_cast<Group*>(raw);
    c10d::BroadcastOptions options;
    options.rootRank = from;
    options.rootTensor = 0;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    works.reserve(count);
    for (size_t index = 0; index < count; ++index) {
      std::vector<at::Tensor> one{*tensors[index]};
      works.push_back(group.backend->broadcast(one, options));
    }
    finish_all(group, works);
  });
}

void kiwi_group_free(void* memory) {
  free(memory);
}

} // extern "C"
