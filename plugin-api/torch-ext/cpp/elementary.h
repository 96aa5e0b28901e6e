// Elementary functions for loops that the compiler vectorises, and how such loops are compiled: for several instruction
// sets, of which the best is picked when the library is loaded. No libtorch header belongs in a file that uses this.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__ELF__) && defined(__GNUC__) && !defined(__clang__)
#define KIWI_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define KIWI_CLONES
#endif
#define KIWI_INLINE inline __attribute__((always_inline))

namespace kiwi {

// e^x for x <= 0, to about 1e-7 relative (Cephes' polynomial); 0 below the normal numbers.
KIWI_INLINE float exponential(float x) {
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
  const float shifter = 12582912.0F;
  const float clamped = x < -87.0F ? -87.0F : x;
  const float shifted = clamped * 1.44269504088896341F + shifter;
  const float n = shifted - shifter;
  const float r = (clamped - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * (r * r) + r + 1.0F;
  int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  const int32_t exponent = static_cast<int32_t>(static_cast<uint32_t>(bits - 0x4B400000 + 127) << 23);
  float scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return x < -87.0F ? 0.0F : p * scale;
}

KIWI_INLINE double exponential(double x) {
  return std::exp(x);
}

// 1 / (1 + e^-x), to about 2e-7 relative; not a number for one that is none.
template <typename Real>
KIWI_INLINE Real sigmoid(Real x) {
  const Real e = exponential(x < 0 ? x : -x);
  return (x < 0 ? e : Real(1)) / (Real(1) + e);
}

// To about 2e-7 relative (Cephes): a polynomial near 0, else by e^-2|x|.
KIWI_INLINE float hyperbolic_tangent(float x) {
  const float size = x < 0 ? -x : x;
  const float square = x * x;
  float p = -5.70498872745e-3F;
  p = p * square + 2.06390887954e-2F;
  p = p * square - 5.37397155531e-2F;
  p = p * square + 1.33314422036e-1F;
  p = p * square - 3.33332819422e-1F;
  const float near = p * square * x + x;
  const float e = exponential(-2 * size);
  const float far = (1 - e) / (1 + e);
  return size < 0.625F ? near : (x < 0 ? -far : far);
}

KIWI_INLINE double hyperbolic_tangent(double x) {
  return std::tanh(x);
}

} // namespace kiwi
