// Dropout masks, regenerated from Philox wherever they are needed: out = inp / (1 − p) where kept, else 0.
//
// core/philox.h says which word decides an element. Here many groups of four columns go through the rounds at once, in
// loops of a fixed length that compilers turn into vector instructions.
#pragma once

#include <cstdint>

#include "core/backend.h"
#include "core/philox.h"
#include "cpu/context.h"

namespace bertune {

// out = dropout(inp), dense (rows,n)
template <typename T>
void dropout_apply(Context& context, const DropoutApply& args);

// Columns whose words are made together.
constexpr int kDropoutBlock = 64;

// The words of columns [column, column + kDropoutBlock) of a row; `column` is a multiple of 4.
inline void dropout_block(const StepState& step, uint32_t site, uint32_t row, int column,
                          uint32_t* words /* (kDropoutBlock) */) {
  constexpr int kGroups = kDropoutBlock / 4;
  const uint32_t first_group = static_cast<uint32_t>(column) / 4;
#pragma omp simd
  for (int group = 0; group < kGroups; ++group) {
    const PhiloxWords four = dropout_words(step.seed, step.dropout_step, site, row, first_group + group);
    words[4 * group] = four.word[0];
    words[4 * group + 1] = four.word[1];
    words[4 * group + 2] = four.word[2];
    words[4 * group + 3] = four.word[3];
  }
}

// 1 / (1 − p)
template <typename T>
T dropout_scale(const Dropout& dropout) {
  return static_cast<T>(1.0 / (1.0 - dropout.p));
}

// out = dropout(inp) for one row of n columns; in place where out == inp. A copy when p is 0.
template <typename T>
void dropout_row(const StepState& step, const Dropout& dropout, uint32_t row, int n, const T* inp /* (n) */,
                 T* out /* (n) */) {
  if (dropout.p == 0.0) {
    if (out != inp) {
      for (int i = 0; i < n; ++i) out[i] = inp[i];
    }
    return;
  }
  const uint32_t threshold = dropout_threshold(dropout.p);
  const T scale = dropout_scale<T>(dropout);
  alignas(64) uint32_t words[kDropoutBlock];
  for (int begin = 0; begin < n; begin += kDropoutBlock) {
    dropout_block(step, dropout.site, row, begin, words);
    const int count = n - begin < kDropoutBlock ? n - begin : kDropoutBlock;
    const T* from = inp + begin;
    T* to = out + begin;
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = words[i] >= threshold ? from[i] * scale : T(0);
  }
}

}  // namespace bertune
