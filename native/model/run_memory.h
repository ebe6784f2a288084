// What a call of many steps or batches keeps on the device: the order of its examples, and results until they are read.
#pragma once

#include "core/arena.h"

namespace bertune {

class RunMemory {
 public:
  RunMemory(Backend& backend, int labels) : backend_(backend), labels_(labels) {}

  // Memory for an order of `examples`, `slots` steps' results and, where wanted, each example's logits. Grows, never
  // shrinks; what was recorded with the old memory is forgotten. Throws OUT_OF_MEMORY, and is then empty.
  void reserve(int64_t examples, int64_t slots, bool logits);
  void write_order(const int32_t* order, int64_t count);

  const int32_t* order() const { return order_; }  // (examples)
  Acc* losses() const { return losses_; }          // (slots)
  Acc* norms() const { return norms_; }            // (slots)
  int32_t* correct() const { return correct_; }    // (slots)
  Acc* logits() const { return logits_; }          // (examples, NC)
  size_t bytes() const { return arena_.bytes(); }

 private:
  Backend& backend_;
  const int labels_;
  int64_t examples_ = 0, slots_ = 0, logit_rows_ = 0;
  Arena arena_;
  int32_t* order_ = nullptr;
  Acc* losses_ = nullptr;
  Acc* norms_ = nullptr;
  int32_t* correct_ = nullptr;
  Acc* logits_ = nullptr;
};

}  // namespace bertune
