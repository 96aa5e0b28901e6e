// What a plugin keeps of its host, its list of components, and how exceptions are turned into failures.
//
// Everything here is hidden: of a symbol that is not, the dynamic loader could make one for all plugins of a process.
#pragma once

#include <c10/util/Exception.h>
#include <cxxabi.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "../kiwi_plugin.h"

namespace kiwi {

// Why a component could not do what was asked: a lower-case fragment that says what was found and what was expected. After it the
// component may be called again, as after an exception of libtorch; after any other exception it is not.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail __attribute__((visibility("hidden"))) {

inline const KiwiHost* host = nullptr;
inline std::string plugin_name;
inline thread_local std::string_view current_class;

inline std::string_view view(KiwiText text) {
  return text.length == 0 ? std::string_view() : std::string_view(text.pointer, text.length);
}

inline KiwiText text(std::string_view view) {
  return {view.data(), view.size()};
}

// One component, in the list of all that were registered.
class Registration {
 public:
  explicit Registration(const KiwiComponent& component) : component_(component), next_(last) {
    last = this;
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  static std::vector<const KiwiComponent*> all() {
    std::vector<const KiwiComponent*> components;
    for (const Registration* at = last; at != nullptr; at = at->next_) {
      components.insert(components.begin(), &at->component_);
    }
    return components;
  }

 private:
  static inline const Registration* last = nullptr;
  KiwiComponent component_;
  const Registration* next_;
};

inline void connect(const KiwiHost* given, KiwiText name) {
  host = given;
  plugin_name = view(name);
}

inline const KiwiPlugin* plugin() {
  static const std::vector<const KiwiComponent*> components = Registration::all();
  static const KiwiPlugin root = {
      sizeof(KiwiPlugin), KIWI_ABI_VERSION, connect, components.data(), components.size()};
  return &root;
}

inline std::string current_type_name() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    return "an exception of another language";
  }
  int status = 0;
  char* demangled = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  std::string name = demangled != nullptr ? demangled : type->name();
  std::free(demangled);
  return name;
}

inline std::string message_of(const std::exception& exception) {
  if (const auto* error = dynamic_cast<const c10::Error*>(&exception)) {
    return error->what_without_backtrace();
  }
  return exception.what();
}

inline void tell_causes(KiwiCall* call, const std::exception& exception) {
  try {
    std::rethrow_if_nested(exception);
  } catch (const std::exception& cause) {
    host->fail_cause(call, text(message_of(cause)));
    tell_causes(call, cause);
  } catch (...) {
    host->fail_cause(call, text(current_type_name()));
  }
}

inline void tell_unexpected(KiwiCall* call, std::string_view message) {
  std::string whole = current_type_name();
  if (!message.empty()) {
    whole.append(": ").append(message);
  }
  host->fail(call, KIWI_FAILURE_EXCEPTION, text(whole));
}

// Says what is being thrown; called in a handler.
inline void tell_current(KiwiCall* call) {
  try {
    throw;
  } catch (const Error& error) {
    host->fail(call, KIWI_FAILURE_ERROR, text(error.what()));
    tell_causes(call, error);
  } catch (const c10::Error& error) {
    host->fail(call, KIWI_FAILURE_ERROR, text(error.what_without_backtrace()));
  } catch (const std::exception& error) {
    tell_unexpected(call, error.what());
    tell_causes(call, error);
  } catch (const std::string& message) {
    tell_unexpected(call, message);
  } catch (const char* message) {
    tell_unexpected(call, message == nullptr ? "" : message);
  } catch (int number) {
    tell_unexpected(call, std::to_string(number));
  } catch (...) {
    tell_unexpected(call, "");
  }
}

// Runs `body` so that no exception leaves it.
template <typename Body>
std::int32_t guarded(KiwiCall* call, std::string_view class_name, Body&& body) noexcept {
  struct Restore {
    std::string_view outer;
    ~Restore() {
      current_class = outer;
    }
  } restore{current_class};
  current_class = class_name;
  try {
    std::forward<Body>(body)();
    return KIWI_DONE;
  } catch (...) {
    try {
      tell_current(call);
    } catch (...) {
      host->fail(call, KIWI_FAILURE_EXCEPTION, text("it failed, and there was no memory to say why"));
    }
    return KIWI_FAILED;
  }
}

inline void log(std::uint32_t level, std::string_view message) {
  if (host != nullptr) {
    host->log(level, text(plugin_name), text(current_class), text(message));
  }
}

} // namespace detail

// Messages to the host, which adds the plugin's name and the class.
namespace log {

// Something that interests only whoever looks for it.
inline void debug(std::string_view message) {
  detail::log(KIWI_LOG_DEBUG, message);
}

// Something a user wants to know.
inline void info(std::string_view message) {
  detail::log(KIWI_LOG_INFO, message);
}

// Something a user should act upon.
inline void warning(std::string_view message) {
  detail::log(KIWI_LOG_WARNING, message);
}

} // namespace log

// Whether the host wants to stop: what takes long should ask now and then, and throw an Error if so.
inline bool cancelled() {
  return detail::host != nullptr && detail::host->cancelled();
}

} // namespace kiwi
