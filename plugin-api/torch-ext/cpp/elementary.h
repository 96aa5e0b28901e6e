// Elementary functions for loops that the compiler vectorises, and how such loops are compiled: for several instruction
// sets, of which the best is picked when the library is loaded. No libtorch header belongs in a file that uses this.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#define KIWI_INLINE inline __attribute__((always_inline))

// KIWI_FUNCTION(name, (parameters), call) defines `name`, which evaluates `call`, as a pointer to the best of its versions. (Not by
// `target_clones`: with an `arch` they are for that very processor, and not for its successors.)
#if defined(__x86_64__) && defined(__GNUC__)
#define KIWI_FUNCTION(name, parameters, call)                                                                            \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))) void name##_avx512 parameters {                 \
    call;                                                                                                                \
  }                                                                                                                      \
  __attribute__((target("avx2,fma"))) void name##_avx2 parameters {                                                      \
    call;                                                                                                                \
  }                                                                                                                      \
  void name##_anywhere parameters {                                                                                      \
    call;                                                                                                                \
  }                                                                                                                      \
  void(*const name) parameters = kiwi::best(name##_avx512, name##_avx2, name##_anywhere);
#else
#define KIWI_FUNCTION(name, parameters, call)                                                                            \
  void name parameters {                                                                                                 \
    call;                                                                                                                \
  }
#endif

namespace kiwi {

#if defined(__x86_64__) && defined(__GNUC__)
template <typename Function>
Function best(Function avx512, Function avx2, Function anywhere) {
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return avx512;
  }
  return fma ? avx2 : anywhere;
}
#endif

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

// 1 / x for a positive x within the normal numbers, to about 1e-7 relative: by three of Newton's steps, which are faster than a
// division.
KIWI_INLINE float reciprocal(float x) {
  int32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = 0x7EF311C7 - bits;
  float y;
  std::memcpy(&y, &bits, sizeof y);
  y = y * (2.0F - x * y);
  y = y * (2.0F - x * y);
  return y * (2.0F - x * y);
}

// To 4e-7 relative: a quotient of polynomials (the minimax approximation of degrees 13 and 6 on [-7.9, 7.9], as in Eigen), 1 or
// -1 outside. No division, no branch; not a number for one that is none.
KIWI_INLINE float hyperbolic_tangent(float x) {
  const float limit = 7.90531110763549805F;
  const float low = x < -limit ? -limit : x;
  const float y = low > limit ? limit : low;
  const float square = y * y;
  float p = -2.76076847742355e-16F;
  p = p * square + 2.00018790482477e-13F;
  p = p * square - 8.60467152213735e-11F;
  p = p * square + 5.12229709037114e-08F;
  p = p * square + 1.48572235717979e-05F;
  p = p * square + 6.37261928875436e-04F;
  p = p * square + 4.89352455891786e-03F;
  float q = 1.19825839466702e-06F;
  q = q * square + 1.18534705686654e-04F;
  q = q * square + 2.26843463243900e-03F;
  q = q * square + 4.89352518554385e-03F;
  return y * p * reciprocal(q);
}

KIWI_INLINE double hyperbolic_tangent(double x) {
  return std::tanh(x);
}

// 1 / (1 + e^-x), to 2e-7.
template <typename Real>
KIWI_INLINE Real sigmoid(Real x) {
  return Real(0.5) * hyperbolic_tangent(Real(0.5) * x) + Real(0.5);
}

} // namespace kiwi
