// Puts off work of the low-rank updates' backward, to do it beside or together with other work: gradients that are sums
// over rows wait for the next call, and a call whose gradient a LayerNorm continues from waits for the LayerNorm. The
// inputs must not change until then.
#pragma once

#include "core/backend.h"

namespace bertune {

class LoraSums {
 public:
  explicit LoraSums(Backend& backend) : backend_(backend) {}

  // Which of two sets of dh the next call uses: the last call's is yet to be read.
  int parity() const { return parity_; }
  void run(const LoraBackward& args) {
    hold(args);
    release();
  }
  // The same, but nothing happens until run_with or release.
  void hold(const LoraBackward& args) {
    release();
    held_ = args;
    held_.later = true;
    parity_ ^= 1;
  }
  // Runs what is held, together with the LayerNorm if possible. Returns whether the LayerNorm has run.
  bool run_with(const DropoutResidualLayernormBackward& norm) {
    const bool goes_on = held_.count > 0 && held_.dinp == norm.dout && held_.dinp_stride == norm.C && norm.dresidual &&
                         !norm.dgamma && !norm.dbeta && !last_reads(norm.dresidual) && !last_reads(norm.dinp);
    if (goes_on) held_.norm = &norm;
    release();
    return goes_on;
  }
  void release() {
    if (held_.count == 0) return;
    give(held_);
    last_ = held_;
    last_.earlier = nullptr;
    last_.norm = nullptr;
    held_ = {};
  }
  // Does everything that was put off.
  void finish() {
    release();
    if (last_.count > 0) give({});
    last_ = {};
  }

 private:
  // The sums of the last call are computed beside what is held.
  bool last_reads(const Real* gradient) const {
    for (int i = 0; i < last_.count; ++i) {
      if (last_.updates[i].dout == gradient) return true;
    }
    return false;
  }
  void give(LoraBackward args) {
    args.earlier = last_.count > 0 ? &last_ : nullptr;
    backend_.lora_backward(args);
  }

  Backend& backend_;
  LoraBackward held_{}, last_{};
  int parity_ = 0;
};

}  // namespace bertune
