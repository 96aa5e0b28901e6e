// What every file of the shim shares: turning C++ exceptions into strings, and lists of tensors.
//
// A function returns null when it succeeded and otherwise a message that the caller frees with
// `kiwi_torch_string_free`. No exception leaves a function of the shim except through `kiwi_torch_guard`.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

namespace kiwi {

inline char* copy(const char* text) {
  return strdup(text == nullptr ? "" : text);
}

// What an exception is that says nothing of itself. Only within a handler.
inline char* unspoken() noexcept {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    return copy("an exception of another language");
  }
  int status = 0;
  char* demangled = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  char* message = nullptr;
  try {
    message = copy(("a C++ exception of the type " + std::string(demangled != nullptr ? demangled : type->name())).c_str());
  } catch (...) {
    message = copy("a C++ exception that is no std::exception");
  }
  free(demangled);
  return message;
}

// Runs `body`; the message of what it threw, or null.
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
    return unspoken();
  }
}

using TensorPointers = const at::Tensor* const*;

inline std::vector<at::Tensor> list(TensorPointers tensors, size_t length) {
  std::vector<at::Tensor> result;
  result.reserve(length);
  for (size_t i = 0; i < length; ++i) {
    result.push_back(*tensors[i]);
  }
  return result;
}

// Hands tensors over to the caller, who owns them from then on.
inline void give(std::vector<at::Tensor>&& tensors, at::Tensor** out) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    out[i] = new at::Tensor(std::move(tensors[i]));
  }
}

} // namespace kiwi
