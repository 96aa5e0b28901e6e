// Functions that throw: what a component written partly in C++ may do.

#include <stdexcept>

extern "C" void kiwi_misbehaving_throw_int() {
  throw 42;
}

extern "C" void kiwi_misbehaving_throw_runtime_error() {
  throw std::runtime_error("the kettle boiled over");
}
