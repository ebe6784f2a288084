// Random initial values for a parameter, the same on every device and machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bertune {

enum class Distribution { kNormal, kUniform, kConstant };

// `count` values of N(0, scale²), U(−scale, scale) or `scale` itself. Philox is keyed by (seed, name), so that one seed
// serves all parameters and their order does not matter. Normals are made as by Box & Muller (1958).
std::vector<float> initial_values(const std::string& name, int64_t count, Distribution distribution, double scale,
                                  uint64_t seed);

}  // namespace bertune
