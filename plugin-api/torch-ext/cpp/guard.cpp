// Stops any C++ exception on its way from a Rust function to its Rust caller, and lets Rust panics through.

#include <c10/util/Exception.h>
#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <typeinfo>

namespace {

// The C++ runtime's record of the exceptions in flight on this thread, as the Itanium C++ ABI (2.2.2) lays it out.
struct ExceptionGlobals {
  void* caught;
  unsigned int uncaught;
};

ExceptionGlobals& exception_globals() {
  return *reinterpret_cast<ExceptionGlobals*>(abi::__cxa_get_globals());
}

// A foreign exception that is rethrown and then caught by another language stays counted as uncaught for ever, and one
// that arrives while a C++ handler is active ends the process. So each guard starts with no active handler, and puts
// the record back however it is left.
class CleanExceptionGlobals {
 public:
  CleanExceptionGlobals() : saved_(exception_globals()) {
    exception_globals().caught = nullptr;
  }
  ~CleanExceptionGlobals() {
    exception_globals() = saved_;
  }
  CleanExceptionGlobals(const CleanExceptionGlobals&) = delete;
  CleanExceptionGlobals& operator=(const CleanExceptionGlobals&) = delete;

 private:
  ExceptionGlobals saved_;
};

char* current_type_name() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) {
    return strdup("unknown");
  }
  int status = 0;
  char* demangled = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  return demangled != nullptr ? demangled : strdup(type->name());
}

int report(const char* text, char** type_name, char** message) {
  *type_name = current_type_name();
  *message = strdup(text == nullptr ? "" : text);
  return 1;
}

} // namespace

// Calls `call(data)`: 0 when it returned, 1 when a C++ exception came out of it, which is then described. A Rust panic
// passes through: it has to end in the `catch_unwind` around this function.
extern "C" int kiwi_torch_guard(void (*call)(void*), void* data, char** type_name, char** message) {
  CleanExceptionGlobals clean;
  try {
    call(data);
    return 0;
  } catch (const c10::Error& error) {
    return report(error.what_without_backtrace(), type_name, message);
  } catch (const std::exception& error) {
    return report(error.what(), type_name, message);
  } catch (const std::string& text) {
    return report(text.c_str(), type_name, message);
  } catch (const char* text) {
    return report(text, type_name, message);
  } catch (int number) {
    return report(std::to_string(number).c_str(), type_name, message);
  } catch (long number) {
    return report(std::to_string(number).c_str(), type_name, message);
  } catch (...) {
    // Only exceptions of C++ can be pointed at; anything else is not ours to swallow.
    if (std::current_exception() == nullptr) {
      throw;
    }
    return report("", type_name, message);
  }
}

extern "C" char* kiwi_torch_string_new(const char* text, size_t length) {
  return strndup(text, length);
}

extern "C" void kiwi_torch_string_free(char* text) {
  free(text);
}
