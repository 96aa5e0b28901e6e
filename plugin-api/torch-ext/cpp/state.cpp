// What libtorch keeps for the whole process or thread: modes, autocast, current device, generators.

#include "shim.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Generator.h>
#include <c10/core/AutogradState.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <cstdint>
#include <mutex>

using c10::DeviceType;
using c10::ScalarType;

// The same layout as `RawState` in Rust.
struct KiwiTorchState {
  uint64_t dispatch_included;
  uint64_t dispatch_excluded;
  uint64_t cpu_seed;
  int32_t cuda_device; // -1 without CUDA
  int8_t cpu_autocast_type;
  int8_t cuda_autocast_type;
  bool cpu_autocast;
  bool cuda_autocast;
  bool autocast_cache;
  bool grad_mode;
  bool inference_mode;
  bool forward_grad_mode;
  bool multithreading;
};

namespace {

// Null unless libtorch_cuda is loaded and finds a GPU.
const c10::impl::DeviceGuardImplInterface* cuda() {
  if (!c10::impl::hasDeviceGuardImpl(DeviceType::CUDA)) {
    return nullptr;
  }
  const auto* guard = c10::impl::getDeviceGuardImpl(DeviceType::CUDA);
  return guard->deviceCount() > 0 ? guard : nullptr;
}

} // namespace

extern "C" char* kiwi_torch_state_capture(KiwiTorchState* state) {
  return kiwi::caught([&] {
    const auto keys = c10::impl::tls_local_dispatch_key_set();
    state->dispatch_included = keys.included_.raw_repr();
    state->dispatch_excluded = keys.excluded_.raw_repr();
    {
      at::Generator generator = at::detail::getDefaultCPUGenerator();
      std::lock_guard<std::mutex> lock(generator.mutex());
      state->cpu_seed = generator.current_seed();
    }
    const auto* guard = cuda();
    state->cuda_device = guard == nullptr ? -1 : guard->getDevice().index();
    state->cpu_autocast_type = static_cast<int8_t>(at::autocast::get_autocast_dtype(DeviceType::CPU));
    state->cuda_autocast_type = static_cast<int8_t>(at::autocast::get_autocast_dtype(DeviceType::CUDA));
    state->cpu_autocast = at::autocast::is_autocast_enabled(DeviceType::CPU);
    state->cuda_autocast = at::autocast::is_autocast_enabled(DeviceType::CUDA);
    state->autocast_cache = at::autocast::is_autocast_cache_enabled();
    const auto& autograd = c10::AutogradState::get_tls_state();
    state->grad_mode = autograd.get_grad_mode();
    state->inference_mode = autograd.get_inference_mode();
    state->forward_grad_mode = autograd.get_fw_grad_mode();
    state->multithreading = autograd.get_multithreading_enabled();
  });
}

extern "C" char* kiwi_torch_state_restore(const KiwiTorchState* state) {
  return kiwi::caught([&] {
    auto& autograd = c10::AutogradState::get_tls_state();
    autograd.set_grad_mode(state->grad_mode);
    autograd.set_inference_mode(state->inference_mode);
    autograd.set_fw_grad_mode(state->forward_grad_mode);
    autograd.set_multithreading_enabled(state->multithreading);
    at::autocast::set_autocast_dtype(DeviceType::CPU, static_cast<ScalarType>(state->cpu_autocast_type));
    at::autocast::set_autocast_dtype(DeviceType::CUDA, static_cast<ScalarType>(state->cuda_autocast_type));
    at::autocast::set_autocast_cache_enabled(state->autocast_cache);
    // Last of the flags: the dispatch keys say whether autocast and inference mode are on.
    auto keys = c10::impl::tls_local_dispatch_key_set();
    keys.included_ = c10::DispatchKeySet(c10::DispatchKeySet::RAW, state->dispatch_included);
    keys.excluded_ = c10::DispatchKeySet(c10::DispatchKeySet::RAW, state->dispatch_excluded);
    c10::impl::_force_tls_local_dispatch_key_set(keys);
    if (state->cuda_device >= 0) {
      const auto* guard = cuda();
      TORCH_CHECK(guard != nullptr, "CUDA device ", state->cuda_device, " cannot be made current again: CUDA is gone");
      guard->setDevice(c10::Device(DeviceType::CUDA, static_cast<c10::DeviceIndex>(state->cuda_device)));
    }
  });
}

extern "C" char* kiwi_torch_set_cuda_device(int32_t index) {
  return kiwi::caught([&] {
    const auto* guard = cuda();
    const int32_t count = guard == nullptr ? 0 : guard->deviceCount();
    TORCH_CHECK(index >= 0 && index < count, "there is no CUDA device ", index, ", there are ", count);
    guard->setDevice(c10::Device(DeviceType::CUDA, static_cast<c10::DeviceIndex>(index)));
  });
}

extern "C" char* kiwi_torch_manual_seed(uint64_t seed) {
  return kiwi::caught([&] { at::manual_seed(seed); });
}

extern "C" char* kiwi_torch_cpu_generator_state(at::Tensor** out) {
  return kiwi::caught([&] {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    *out = new at::Tensor(generator.get_state());
  });
}

extern "C" char* kiwi_torch_set_cpu_generator_state(const at::Tensor* state) {
  return kiwi::caught([&] {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(*state);
  });
}

// The same layout as `RawAutocast` in Rust.
struct KiwiTorchAutocast {
  int8_t device;
  int8_t type;
  bool enabled;
};

extern "C" char* kiwi_torch_autocast_enter(int8_t device, int8_t type, KiwiTorchAutocast* previous) {
  return kiwi::caught([&] {
    const auto on = static_cast<DeviceType>(device);
    previous->device = device;
    previous->type = static_cast<int8_t>(at::autocast::get_autocast_dtype(on));
    previous->enabled = at::autocast::is_autocast_enabled(on);
    at::autocast::set_autocast_dtype(on, static_cast<ScalarType>(type));
    at::autocast::set_autocast_enabled(on, true);
    at::autocast::increment_nesting();
  });
}

extern "C" char* kiwi_torch_autocast_leave(const KiwiTorchAutocast* previous) {
  return kiwi::caught([&] {
    const auto on = static_cast<DeviceType>(previous->device);
    if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
    at::autocast::set_autocast_dtype(on, static_cast<ScalarType>(previous->type));
    at::autocast::set_autocast_enabled(on, previous->enabled);
  });
}
