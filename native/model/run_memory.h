// What a call of many steps or batches keeps on the device: the order of its examples, and results not yet read.
#pragma once

#include "core/arena.h"

namespace bertune {

class RunMemory {
 public:
  explicit RunMemory(Backend& backend) : backend_(backend) {}

  // Reserves memory for the results of that many steps. Grows, never shrinks; recordings that use the old memory are
  // forgotten. Throws OUT_OF_MEMORY, and then has none.
  void reserve_results(int64_t steps);
  // The same for that many logits, except that recordings stay.
  void reserve_logits(int64_t count);
  void write_order(const int32_t* order, int64_t count);

  const int32_t* order() const { return order_; }  // (examples)
  Acc* losses() const { return losses_; }          // (steps)
  Acc* norms() const { return norms_; }            // (steps)
  int32_t* correct() const { return correct_; }    // (steps)
  Acc* logits() const { return logits_; }          // (examples, classes)
  size_t bytes() const { return order_memory_.bytes() + result_memory_.bytes() + logit_memory_.bytes(); }

 private:
  Backend& backend_;
  int64_t steps_ = 0;
  Arena order_memory_, result_memory_, logit_memory_;
  int32_t* order_ = nullptr;
  Acc* losses_ = nullptr;
  Acc* norms_ = nullptr;
  int32_t* correct_ = nullptr;
  Acc* logits_ = nullptr;
};

}  // namespace bertune
