// Cross-entropy of logits (B,NC) against the batch's labels (B), with class weights w and label smoothing s:
//
//   loss = [(1 − s) · Σ_b −w_y log p_y + s / NC · Σ_b Σ_c −w_c log p_c] / Σ_b w_y
//   dlogits[b,c] = loss_scale / Σ_b w_y · [(1 − s) · w_y · (p_c − [c = y]) + s / NC · (p_c · Σ w − w_c)]
//
// with p = softmax(logits[b]) and y the label of b. Against targets y (B,NC), with x = logits[b,c]:
//
//   binary cross-entropy   loss = Σ w_c · [(1 − y) · log(1 + eˣ) + p_c · y · log(1 + e⁻ˣ)] / (B · NC)
//                          dlogits = loss_scale / (B · NC) · w_c · [(1 − y) · σ(x) − p_c · y · σ(−x)]
//   mean squared error     loss = Σ (x − y)² / (B · NC),   dlogits = loss_scale / (B · NC) · 2 (x − y)
//
// with σ(x) = 1 / (1 + e⁻ˣ). Few numbers, so they are computed in double on the calling thread.
#pragma once

#include "core/backend.h"
#include "cpu/context.h"

namespace bertune {

template <typename T>
void cross_entropy(Context& context, const CrossEntropy& args);
template <typename T>
void binary_cross_entropy(Context& context, const BinaryCrossEntropy& args);
template <typename T>
void mean_squared_error(Context& context, const MeanSquaredError& args);

}  // namespace bertune
