#include "cpu/met_rows.h"

#include <algorithm>

namespace bertune {

void MetRows::assign(MemoryRange grad, int capacity, int rows, int C) {
  grad_ = {};  // until nothing can fail any more
  if (places_.size() == static_cast<size_t>(rows)) {
    for (const int32_t row : list_) places_[row] = kNone;
  } else {
    places_.assign(rows, kNone);
  }
  list_.clear();
  grad_ = grad;
  capacity_ = capacity;
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

void MetRows::read_places(const void* grad, int V, int32_t* places) const {
  if (knows(grad) && V == rows_) {
    std::copy(places_.begin(), places_.end(), places);
  } else {
    std::fill_n(places, V, kNone);
  }
}

void MetRows::meet(int32_t row) {
  if (has(row)) return;
  BERTUNE_CHECK(list_.size() < static_cast<size_t>(capacity_));
  places_[row] = capacity_ < rows_ ? static_cast<int32_t>(list_.size()) : row;
  list_.push_back(row);
}

}  // namespace bertune
