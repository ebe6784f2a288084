// Dropout masks, regenerated from Philox whenever they are needed: out = inp / (1 − p) where kept, else 0.
//
// core/philox.h says which word decides about an element. Here many groups of four columns go through the rounds at
// once, in loops of fixed length that compilers turn into vector instructions.
#pragma once

#include <cstdint>

#include "core/backend.h"
#include "core/philox.h"
#include "cpu/context.h"

namespace bertune {

// philox4x32_10 of kLanes counters at once, in place. Each 32-bit word sits in a 64-bit lane, which its products fit:
// 32-bit lanes would have to be widened and narrowed in each round, which takes twice as long.
template <int kLanes>
inline void philox_lanes(uint64_t seed, uint64_t (&c0)[kLanes], uint64_t (&c1)[kLanes], uint64_t (&c2)[kLanes],
                         uint64_t (&c3)[kLanes]) {
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) {
      const uint64_t product0 = c0[lane] * 0xD2511F53u;
      const uint64_t product1 = c2[lane] * 0xCD9E8D57u;
      c0[lane] = (product1 >> 32) ^ c1[lane] ^ k0;
      c2[lane] = (product0 >> 32) ^ c3[lane] ^ k1;
      c1[lane] = product1 & 0xFFFFFFFFu;
      c3[lane] = product0 & 0xFFFFFFFFu;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// How many columns' words are made together: enough lanes to hide the latency of the rounds.
constexpr int kDropoutBlock = 128;

// The words of columns [column, column + kDropoutBlock) of a row; `column` is a multiple of 4.
inline void dropout_block(uint64_t seed, uint32_t site, DropoutPlace place, int column,
                          uint32_t* words /* (kDropoutBlock) */) {
  constexpr int kGroups = kDropoutBlock / 4;
  uint64_t c0[kGroups], c1[kGroups], c2[kGroups], c3[kGroups];
  for (int group = 0; group < kGroups; ++group) {
    c0[group] = static_cast<uint32_t>(column / 4 + group);
    c1[group] = place.row;
    c2[group] = site;
    c3[group] = place.step;
  }
  philox_lanes(seed, c0, c1, c2, c3);
#pragma omp simd
  for (int group = 0; group < kGroups; ++group) {
    words[4 * group] = static_cast<uint32_t>(c0[group]);
    words[4 * group + 1] = static_cast<uint32_t>(c1[group]);
    words[4 * group + 2] = static_cast<uint32_t>(c2[group]);
    words[4 * group + 3] = static_cast<uint32_t>(c3[group]);
  }
}

// 1 / (1 − p)
template <typename T>
T dropout_scale(const Dropout& dropout) {
  return static_cast<T>(1.0 / (1.0 - dropout.p));
}

// out = dropout(inp) for one row of n columns; in place if out == inp. A copy when p is 0.
template <typename T>
void dropout_row(uint64_t seed, const Dropout& dropout, DropoutPlace place, int n, const T* inp /* (n) */,
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
    dropout_block(seed, dropout.site, place, begin, words);
    const int count = n - begin < kDropoutBlock ? n - begin : kDropoutBlock;
    const T* from = inp + begin;
    T* to = out + begin;
#pragma omp simd
    for (int i = 0; i < count; ++i) to[i] = words[i] >= threshold ? from[i] * scale : T(0);
  }
}

}  // namespace bertune
