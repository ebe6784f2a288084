#include "cpu/met_rows.h"

#include <algorithm>

namespace bertune {

void MetRows::assign(MemoryRange grad, int rows, int C) {
  grad_ = {};  // until nothing can fail any more
  if (is_met_.size() == static_cast<size_t>(rows)) {
    for (const int32_t row : list_) is_met_[row] = 0;
  } else {
    is_met_.assign(rows, 0);
  }
  list_.clear();
  grad_ = grad;
  rows_ = rows;
  C_ = C;
}

void MetRows::add(const Batch& batch, int skip) {
  list_.reserve(list_.size() + batch.T);
  for (int i = 0; i < batch.T; ++i) {
    const int32_t row = batch.ids[batch.tokens_by_id[i]];
    if (row != skip) meet(row);
  }
  std::sort(list_.begin(), list_.end());
}

void MetRows::add(const std::vector<int32_t>& rows) {
  for (const int32_t row : rows) meet(row);
  std::sort(list_.begin(), list_.end());
}

void MetRows::meet(int32_t row) {
  if (is_met_[row] != 0) return;
  is_met_[row] = 1;
  list_.push_back(row);
}

}  // namespace bertune
