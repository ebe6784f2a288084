// Gradients of low-rank updates that are sums over rows, put off from each backward call to the next, which does them
// beside its own work. What they are summed of must stay as it is until then.
#pragma once

#include "core/backend.h"

namespace bertune {

class LoraSums {
 public:
  explicit LoraSums(Backend& backend) : backend_(backend) {}

  // Which of two sets of dh the next call takes: the last one's is still to be read.
  int parity() const { return parity_; }
  void run(LoraBackward args) {
    args.later = true;
    give(args);
    parity_ ^= 1;
    last_ = args;
    last_.earlier = nullptr;
  }
  // Makes what is still put off.
  void finish() {
    if (last_.count == 0) return;
    give({});
    last_ = {};
  }

 private:
  void give(LoraBackward args) {
    args.earlier = last_.count > 0 ? &last_ : nullptr;
    backend_.lora_backward(args);
  }

  Backend& backend_;
  LoraBackward last_{};
  int parity_ = 0;
};

}  // namespace bertune
