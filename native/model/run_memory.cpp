#include "model/run_memory.h"

namespace bertune {

void RunMemory::reserve_results(int64_t steps) {
  if (steps <= steps_) return;
  backend_.forget_recordings();
  steps_ = 0;
  result_memory_.lay_out(backend_, "results of steps", [&](Cutter& cut) {
    losses_ = cut.acc(steps);
    norms_ = cut.acc(steps);
    correct_ = cut.ints(steps);
  });
  steps_ = steps;
}

void RunMemory::reserve_logits(int64_t count) {
  logit_memory_.fit(backend_, "logits", [&](Cutter& cut) { logits_ = cut.acc(count); });
}

void RunMemory::write_order(const int32_t* order, int64_t count) {
  order_memory_.fit(backend_, "an order of examples", [&](Cutter& cut) { order_ = cut.ints(count); });
  backend_.copy_in(order_, order, static_cast<size_t>(count) * sizeof(int32_t));
}

}  // namespace bertune
