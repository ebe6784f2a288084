#include "cuda/gemm_tuning.h"

#include <algorithm>
#include <numeric>

namespace bertune::cuda {
namespace {

constexpr int kRoundsOfAll = 5, kRoundsOfTwo = 21;
constexpr float kLeastGain = 0.02f;  // less is not worth a choice

// The times of each candidate relative to the first's of the same round, sorted. Who comes first in a round changes from
// round to round; a round before them warms up.
std::vector<std::vector<float>> time_ratios(const std::vector<size_t>& candidates, int rounds, const TimedRound& time) {
  std::vector<size_t> order(candidates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<std::vector<float>> ratios(candidates.size());
  for (int round = -1; round < rounds; ++round) {
    std::vector<size_t> named;
    for (const size_t place : order) named.push_back(candidates[place]);
    const std::vector<float> times = time(named);
    const size_t first = std::find(order.begin(), order.end(), size_t{0}) - order.begin();
    for (size_t i = 0; round >= 0 && i < order.size(); ++i) ratios[order[i]].push_back(times[i] / times[first]);
    std::rotate(order.begin(), order.begin() + 1, order.end());
  }
  for (std::vector<float>& sorted : ratios) std::sort(sorted.begin(), sorted.end());
  return ratios;
}

float median(const std::vector<float>& sorted) { return sorted[sorted.size() / 2]; }

float spread(const std::vector<float>& sorted) {
  const size_t quarter = sorted.size() / 4;
  return sorted[sorted.size() - 1 - quarter] - sorted[quarter];
}

}  // namespace

size_t find_fastest(size_t count, const TimedRound& time) {
  if (count < 2) return 0;
  std::vector<size_t> all(count);
  std::iota(all.begin(), all.end(), size_t{0});
  const std::vector<std::vector<float>> ratios = time_ratios(all, kRoundsOfAll, time);
  const auto best = std::min_element(ratios.begin() + 1, ratios.end(),
                                     [](const auto& a, const auto& b) { return median(a) < median(b); });
  const size_t challenger = best - ratios.begin();
  if (median(*best) >= 1.f) return 0;
  const std::vector<float> duel = time_ratios({0, challenger}, kRoundsOfTwo, time)[1];
  return 1.f - median(duel) > std::max(spread(duel), kLeastGain) ? challenger : 0;
}

}  // namespace bertune::cuda
