// Gradients lie in one arena: those of neighbors form one array, with gaps of zeros where they are aligned. The word
// embeddings' has an arena of its own, with a larger gap behind it: all ranks are to form the same arrays, wherever their
// arenas lie.
#pragma once

#include "core/backend.h"

namespace bertune {

// Calls reduce(first, count) for each such array of the segments begin .. end, whose gradients have type T.
template <typename T, typename Reduce>
void for_gradient_runs(const OptimizerSegment* segments, int begin, int end, const Reduce& reduce) {
  constexpr int64_t kGap = 64 / sizeof(T);
  const auto grad = [&](int s) { return reinterpret_cast<T*>(segments[s].grad); };
  for (int s = begin; s < end;) {
    T* const first = grad(s);
    T* last = first;
    do {
      last = grad(s) + segments[s].count;
      ++s;
    } while (s < end && grad(s) >= last && grad(s) - last < kGap);
    reduce(first, last - first);
  }
}

}  // namespace bertune
