// Puts off gradients that are sums over rows, of biases and of LayerNorm's parameters, until all those of a layer can be
// computed together. What they sum must not change until then.
#pragma once

#include <vector>

#include "core/backend.h"

namespace bertune {

class RowSums {
 public:
  RowSums(Backend& backend, bool accumulate) : backend_(backend), accumulate_(accumulate) {}

  void add(const RowSum& sum) {
    if (sum.dgamma || sum.dbeta) sums_.push_back(sum);
  }
  // Computes all sums added since the last call.
  void run() {
    if (!sums_.empty()) backend_.sum_rows({sums_.data(), static_cast<int>(sums_.size()), accumulate_});
    sums_.clear();
  }

 private:
  Backend& backend_;
  const bool accumulate_;
  std::vector<RowSum> sums_;
};

}  // namespace bertune
