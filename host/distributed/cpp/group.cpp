// Groups of processes over c10d. A function returns null when it succeeded and otherwise a message that the caller frees with
// `free`. No exception leaves a function.

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <c10/util/Exception.h>
#include <c10/util/Flags.h>
#include <c10/util/Logging.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
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
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::Store> own;
  c10::intrusive_ptr<c10d::Backend> backend;
  std::chrono::milliseconds timeout;
};

std::vector<uint8_t> bytes(const uint8_t* data, size_t length) {
  return std::vector<uint8_t>(data, data + length);
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
    auto store = c10::make_intrusive<c10d::TCPStore>(meeting->host, options);
    auto own = c10::make_intrusive<c10d::PrefixStore>(meeting->name, store);
    auto gloo = c10d::ProcessGroupGloo::Options::create(options.timeout);
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    auto backend = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", own), meeting->rank, meeting->ranks, gloo);
    *out = new Group{store, own, backend, options.timeout};
  });
}

void kiwi_group_leave(void* group) {
  // Threads of gloo end with it; an exception here has nobody to go to.
  char* message = caught([&] { delete static_cast<Group*>(group); });
  free(message);
}

char* kiwi_group_all_reduce(void* group, const at::Tensor* const* tensors, size_t count) {
  return caught([&] {
    auto& backend = static_cast<Group*>(group)->backend;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    works.reserve(count);
    for (size_t index = 0; index < count; ++index) {
      std::vector<at::Tensor> one{*tensors[index]};
      works.push_back(backend->allreduce(one));
    }
    for (auto& work : works) {
      work->wait();
    }
  });
}

char* kiwi_group_broadcast(void* group, const at::Tensor* const* tensors, size_t count, int32_t from) {
  return caught([&] {
    auto& backend = static_cast<Group*>(group)->backend;
    c10d::BroadcastOptions options;
    options.rootRank = from;
    options.rootTensor = 0;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    works.reserve(count);
    for (size_t index = 0; index < count; ++index) {
      std::vector<at::Tensor> one{*tensors[index]};
      works.push_back(backend->broadcast(one, options));
    }
    for (auto& work : works) {
      work->wait();
    }
  });
}

// Waits for all. Rank 0 learns which ranks do not come.
char* kiwi_group_barrier(void* group) {
  return caught([&] {
    auto* of = static_cast<Group*>(group);
    c10d::BarrierOptions options;
    options.timeout = of->timeout;
    of->backend->monitoredBarrier(options, true);
  });
}

char* kiwi_group_set(void* group, const char* key, const uint8_t* data, size_t length) {
  return caught([&] { static_cast<Group*>(group)->own->set(key, bytes(data, length)); });
}

// Waits until the key is there. The caller frees `data`.
char* kiwi_group_get(void* group, const char* key, uint8_t** data, size_t* length) {
  return caught([&] {
    const auto value = static_cast<Group*>(group)->own->get(key);
    auto* copied = static_cast<uint8_t*>(malloc(value.size() + 1));
    if (copied == nullptr) {
      throw std::bad_alloc();
    }
    memcpy(copied, value.data(), value.size());
    *data = copied;
    *length = value.size();
  });
}

void kiwi_group_free(void* memory) {
  free(memory);
}

} // extern "C"
