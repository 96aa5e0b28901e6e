// The loops over one row of an LSTM's gates and over one pair of an attention, for float and double.
#pragma once

#include <cstdint>

namespace kiwi {

// One step of one row of an LSTM of `size` h. `gates` [4h], in the order i, f, g, o, holds the products of the input and
// becomes the gates after their functions; `recurrent` [4h] holds those of the state before, `bias` [4h] what is added.
// `cell` [h] is the cell state before, which becomes the one after; `cells` and `output` [h] are told the new c and h.
template <typename Real>
void lstm_cell(Real* gates, const Real* recurrent, const Real* bias, Real* cell, Real* cells, Real* output, int64_t size);

// Its way back: from the gradient of h (`output_gradient`, null for none, and `state_gradient` [h] of the later steps) and
// of c (`cell_gradient` [h], which becomes that of the c before) to that of the gates before their functions.
template <typename Real>
void lstm_cell_backward(const Real* gates, const Real* cell_before, const Real* cell, const Real* output_gradient,
                        const Real* state_gradient, Real* cell_gradient, Real* gate_gradients, int64_t size);

// The sum over d of weight * tanh(left + right).
template <typename Real>
Real additive_score(const Real* left, const Real* right, const Real* weight, int64_t size);

// Adds the gradients of a score, whose own gradient is `gradient`, to those of left, right and weight.
template <typename Real>
void additive_score_backward(const Real* left, const Real* right, const Real* weight, Real gradient, Real* left_gradient,
                             Real* right_gradient, Real* weight_gradient, int64_t size);

// to += factor * from
template <typename Real>
void add_scaled(Real* to, const Real* from, Real factor, int64_t size);

// The sum of the products.
template <typename Real>
Real dot(const Real* a, const Real* b, int64_t size);

} // namespace kiwi
