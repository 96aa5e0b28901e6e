// See cells.h.

#include "cells.h"

#include "elementary.h"

namespace {

template <typename Real>
KIWI_INLINE void cell_of(Real* __restrict__ gates, const Real* __restrict__ recurrent, const Real* __restrict__ bias,
                         Real* __restrict__ cell, Real* __restrict__ cells, Real* __restrict__ output, int64_t size) {
#pragma omp simd
  for (int64_t k = 0; k < size; ++k) {
    const Real i = kiwi::sigmoid(gates[k] + recurrent[k] + bias[k]);
    const Real f = kiwi::sigmoid(gates[size + k] + recurrent[size + k] + bias[size + k]);
    const Real g = kiwi::hyperbolic_tangent(gates[2 * size + k] + recurrent[2 * size + k] + bias[2 * size + k]);
    const Real o = kiwi::sigmoid(gates[3 * size + k] + recurrent[3 * size + k] + bias[3 * size + k]);
    gates[k] = i;
    gates[size + k] = f;
    gates[2 * size + k] = g;
    gates[3 * size + k] = o;
    const Real c = f * cell[k] + i * g;
    cell[k] = c;
    cells[k] = c;
    output[k] = o * kiwi::hyperbolic_tangent(c);
  }
}

template <typename Real>
KIWI_INLINE void cell_back(const Real* __restrict__ gates, const Real* __restrict__ before, const Real* __restrict__ cell,
                           const Real* __restrict__ output_gradient, const Real* __restrict__ state_gradient,
                           Real* __restrict__ cell_gradient, Real* __restrict__ gate_gradients, int64_t size) {
  // Of something that is there, where nothing is given: a loop without a question is vectorised.
  const Real* __restrict__ const added = output_gradient == nullptr ? state_gradient : output_gradient;
  const Real factor = output_gradient == nullptr ? 0 : 1;
#pragma omp simd
  for (int64_t k = 0; k < size; ++k) {
    const Real i = gates[k], f = gates[size + k], g = gates[2 * size + k], o = gates[3 * size + k];
    const Real t = kiwi::hyperbolic_tangent(cell[k]);
    const Real dh = state_gradient[k] + factor * added[k];
    const Real dc = cell_gradient[k] + dh * o * (1 - t * t);
    gate_gradients[k] = dc * g * i * (1 - i);
    gate_gradients[size + k] = dc * before[k] * f * (1 - f);
    gate_gradients[2 * size + k] = dc * i * (1 - g * g);
    gate_gradients[3 * size + k] = dh * t * o * (1 - o);
    cell_gradient[k] = dc * f;
  }
}

template <typename Real>
KIWI_INLINE Real score_of(const Real* __restrict__ left, const Real* __restrict__ right, const Real* __restrict__ weight,
                          int64_t size) {
  Real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < size; ++k) {
    sum += weight[k] * kiwi::hyperbolic_tangent(left[k] + right[k]);
  }
  return sum;
}

template <typename Real>
KIWI_INLINE void score_back(const Real* __restrict__ left, const Real* __restrict__ right,
                            const Real* __restrict__ weight, Real gradient, Real* __restrict__ left_gradient,
                            Real* __restrict__ right_gradient, Real* __restrict__ weight_gradient, int64_t size) {
#pragma omp simd
  for (int64_t k = 0; k < size; ++k) {
    const Real t = kiwi::hyperbolic_tangent(left[k] + right[k]);
    const Real inner = gradient * weight[k] * (1 - t * t);
    weight_gradient[k] += gradient * t;
    left_gradient[k] += inner;
    right_gradient[k] += inner;
  }
}

template <typename Real>
KIWI_INLINE void scaled(Real* __restrict__ to, const Real* __restrict__ from, Real factor, int64_t size) {
#pragma omp simd
  for (int64_t k = 0; k < size; ++k) {
    to[k] += factor * from[k];
  }
}

template <typename Real>
KIWI_INLINE Real product(const Real* __restrict__ a, const Real* __restrict__ b, int64_t size) {
  Real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < size; ++k) {
    sum += a[k] * b[k];
  }
  return sum;
}

KIWI_FUNCTION(cell_of_floats,
              (float* gates, const float* recurrent, const float* bias, float* cell, float* cells, float* output,
               int64_t size),
              cell_of(gates, recurrent, bias, cell, cells, output, size))

KIWI_FUNCTION(cell_back_of_floats,
              (const float* gates, const float* before, const float* cell, const float* output_gradient,
               const float* state_gradient, float* cell_gradient, float* gate_gradients, int64_t size),
              cell_back(gates, before, cell, output_gradient, state_gradient, cell_gradient, gate_gradients, size))

KIWI_FUNCTION(score_of_floats,
              (const float* left, const float* right, const float* weight, int64_t size, float* result),
              *result = score_of(left, right, weight, size))

KIWI_FUNCTION(score_back_of_floats,
              (const float* left, const float* right, const float* weight, float gradient, float* left_gradient,
               float* right_gradient, float* weight_gradient, int64_t size),
              score_back(left, right, weight, gradient, left_gradient, right_gradient, weight_gradient, size))

KIWI_FUNCTION(scaled_of_floats, (float* to, const float* from, float factor, int64_t size), scaled(to, from, factor, size))

KIWI_FUNCTION(product_of_floats, (const float* a, const float* b, int64_t size, float* result),
              *result = product(a, b, size))

} // namespace

namespace kiwi {

template <>
void lstm_cell(float* gates, const float* recurrent, const float* bias, float* cell, float* cells, float* output,
               int64_t size) {
  cell_of_floats(gates, recurrent, bias, cell, cells, output, size);
}
template <>
void lstm_cell(double* gates, const double* recurrent, const double* bias, double* cell, double* cells, double* output,
               int64_t size) {
  cell_of(gates, recurrent, bias, cell, cells, output, size);
}

template <>
void lstm_cell_backward(const float* gates, const float* before, const float* cell, const float* output_gradient,
                        const float* state_gradient, float* cell_gradient, float* gate_gradients, int64_t size) {
  cell_back_of_floats(gates, before, cell, output_gradient, state_gradient, cell_gradient, gate_gradients, size);
}
template <>
void lstm_cell_backward(const double* gates, const double* before, const double* cell, const double* output_gradient,
                        const double* state_gradient, double* cell_gradient, double* gate_gradients, int64_t size) {
  cell_back(gates, before, cell, output_gradient, state_gradient, cell_gradient, gate_gradients, size);
}

template <>
float additive_score(const float* left, const float* right, const float* weight, int64_t size) {
  float result = 0;
  score_of_floats(left, right, weight, size, &result);
  return result;
}
template <>
double additive_score(const double* left, const double* right, const double* weight, int64_t size) {
  return score_of(left, right, weight, size);
}

template <>
void additive_score_backward(const float* left, const float* right, const float* weight, float gradient,
                             float* left_gradient, float* right_gradient, float* weight_gradient, int64_t size) {
  score_back_of_floats(left, right, weight, gradient, left_gradient, right_gradient, weight_gradient, size);
}
template <>
void additive_score_backward(const double* left, const double* right, const double* weight, double gradient,
                             double* left_gradient, double* right_gradient, double* weight_gradient, int64_t size) {
  score_back(left, right, weight, gradient, left_gradient, right_gradient, weight_gradient, size);
}

template <>
void add_scaled(float* to, const float* from, float factor, int64_t size) {
  scaled_of_floats(to, from, factor, size);
}
template <>
void add_scaled(double* to, const double* from, double factor, int64_t size) {
  scaled(to, from, factor, size);
}

template <>
float dot(const float* a, const float* b, int64_t size) {
  float result = 0;
  product_of_floats(a, b, size, &result);
  return result;
}
template <>
double dot(const double* a, const double* b, int64_t size) {
  return product(a, b, size);
}

} // namespace kiwi
