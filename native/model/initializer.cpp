#include "model/initializer.h"

#include <cmath>
#include <numbers>

#include "core/philox.h"

namespace bertune {
namespace {

// FNV-1a, to mix a name into a counter.
uint32_t hash(const std::string& name) {
  uint32_t value = 2166136261u;
  for (const char character : name) value = (value ^ static_cast<uint8_t>(character)) * 16777619u;
  return value;
}

// In (0, 1): the middle of one of 2^32 equal parts.
double unit(uint32_t word) { return (word + 0.5) / 4294967296.0; }

void fill_group(const PhiloxWords& words, Distribution distribution, double scale, double values[4]) {
  for (int i = 0; i < 4; i += 2) {
    const double first = unit(words.word[i]), second = unit(words.word[i + 1]);
    if (distribution == Distribution::kUniform) {
      values[i] = scale * (2.0 * first - 1.0);
      values[i + 1] = scale * (2.0 * second - 1.0);
    } else {
      const double radius = scale * std::sqrt(-2.0 * std::log(first));
      values[i] = radius * std::cos(2.0 * std::numbers::pi * second);
      values[i + 1] = radius * std::sin(2.0 * std::numbers::pi * second);
    }
  }
}

}  // namespace

std::vector<float> initial_values(const std::string& name, int64_t count, Distribution distribution, double scale,
                                  uint64_t seed) {
  if (distribution == Distribution::kConstant) return std::vector<float>(count, static_cast<float>(scale));
  std::vector<float> values(count);
  const uint32_t stream = hash(name);
  for (int64_t group = 0; group * 4 < count; ++group) {
    const PhiloxWords words = philox4x32_10(static_cast<uint32_t>(group), static_cast<uint32_t>(group >> 32), stream, 0,
                                            static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
    double four[4];
    fill_group(words, distribution, scale, four);
    for (int64_t i = 0; i < 4 && group * 4 + i < count; ++i) values[group * 4 + i] = static_cast<float>(four[i]);
  }
  return values;
}

}  // namespace bertune
