// Which of several algorithms is the fastest, told apart from noise.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

namespace bertune::cuda {

// Runs these candidates once, in this order, and returns the time of each.
using TimedRound = std::function<std::vector<float>(const std::vector<size_t>& order)>;

// The candidate to take, of `count` numbered from the best guess on. In a few rounds of all, the one with the lowest
// median of its times, each relative to the first's in the same round, becomes the challenger. It is taken over the
// first where, in more rounds of the two alone, the median gain exceeds what the ratio of their times varies by (the
// distance of its quartiles). Of 16 that differ by noise of 10 % alone, another than the first is taken once in 2,000
// times; one that is 30 % faster is missed once in 1,000.
size_t find_fastest(size_t count, const TimedRound& time);

}  // namespace bertune::cuda
