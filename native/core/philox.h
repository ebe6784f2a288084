// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
//
// Dropout masks are never stored: forward and backward ask for the same element again. An element is addressed by
// (row, column) of the tensor it belongs to, so the same element is dropped on every device and thread count:
//
//   key     = (seed low, seed high)
//   counter = (column / 4, row, site, step)      four neighboring columns share one call
//   kept    = word[column % 4] >= threshold      threshold = p · 2^32
//
// Attention's probabilities are the exception: see attention_draws.h.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define BERTUNE_HOST_DEVICE __host__ __device__
#else
#define BERTUNE_HOST_DEVICE
#endif

namespace bertune {

struct PhiloxWords {
  uint32_t word[4];
};

BERTUNE_HOST_DEVICE inline PhiloxWords philox4x32_10(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                                     uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = static_cast<uint64_t>(0xD2511F53u) * c0;
    const uint64_t product1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
    const uint32_t next0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
    const uint32_t next2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(product1);
    c3 = static_cast<uint32_t>(product0);
    c0 = next0;
    c2 = next2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// The words of elements (row, 4·group .. 4·group + 3) of a dropout site.
BERTUNE_HOST_DEVICE inline PhiloxWords dropout_words(uint64_t seed, uint32_t step, uint32_t site, uint32_t row,
                                                     uint32_t group) {
  return philox4x32_10(group, row, site, step, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

// Elements whose word is below the threshold are dropped. p in [0, 1).
BERTUNE_HOST_DEVICE inline uint32_t dropout_threshold(double p) { return static_cast<uint32_t>(p * 4294967296.0); }

}  // namespace bertune
