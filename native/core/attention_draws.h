// Which of attention's probabilities dropout keeps. There are more of them than of anything else, so each draws 16 bits,
// and eight keys of a query share one call of Philox: those that a lane holds of 32 keys in an accumulator of tensor
// cores (cuda/mma.cuh), so that it needs nobody else's.
//
//   key, site, step, row    as in philox.h; row = query row · NH + head, column = key of attention
//   counter = (4 · (column / 32) + column / 2 % 4, row, site, step)
//   kept    = half column % 2 of word[column / 8 % 4] >= threshold      threshold = p · 2^16, to the nearest
//
// Half 0 is the lower one. What is kept is scaled by 1 / (1 − threshold / 2^16), so that means are exact: p of 0.1 is
// 0.100006.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/philox.h"

namespace bertune {

// What dropout_words takes for the words of a key and of the seven that share them.
BERTUNE_HOST_DEVICE inline uint32_t attention_group(uint32_t key) { return 4 * (key / 32) + key / 2 % 4; }

// The threshold in the upper half of a word, to be compared with words whose upper half decides.
inline uint32_t attention_threshold(double p) {
  return static_cast<uint32_t>(std::min(std::lround(p * 65536.0), 65535L)) << 16;
}

inline double attention_dropout_scale(double p) { return 1.0 / (1.0 - attention_threshold(p) / 4294967296.0); }

}  // namespace bertune
