#include "model/run_memory.h"

#include <algorithm>

namespace bertune {

void RunMemory::reserve(int64_t examples, int64_t slots, bool logits) {
  examples = std::max(examples, examples_);
  slots = std::max(slots, slots_);
  const int64_t logit_rows = std::max(logits ? examples : 0, logit_rows_);
  if (examples == examples_ && slots == slots_ && logit_rows == logit_rows_) return;
  backend_.forget_recordings();
  examples_ = slots_ = logit_rows_ = 0;
  arena_.lay_out(backend_, "orders and results", [&](Cutter& cut) {
    order_ = cut.ints(examples);
    losses_ = cut.acc(slots);
    norms_ = cut.acc(slots);
    correct_ = cut.ints(slots);
    logits_ = cut.acc(logit_rows * labels_);
  });
  examples_ = examples;
  slots_ = slots;
  logit_rows_ = logit_rows;
}

void RunMemory::write_order(const int32_t* order, int64_t count) {
  backend_.copy_in(order_, order, static_cast<size_t>(count) * sizeof(int32_t));
}

}  // namespace bertune
