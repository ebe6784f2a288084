// Computes gradients of weights beside the path of the gradients of inputs, since nothing reads them before their norm.
// What they are made of must not change until then: a layer's own activations stay, and the gradients of its outputs, which
// the next layer overwrites, are waited for.
#pragma once

#include <functional>
#include <vector>

#include "core/arena.h"
#include "core/backend.h"

namespace bertune {

class WeightGradients {
 public:
  explicit WeightGradients(Backend& backend) : backend_(backend) {}

  void run(const LinearBackwardWeight& args) {
    backend_.begin_aside();
    backend_.linear_backward_weight(args);
    latest_ = backend_.end_aside();
    reads_.push_back({args.dout, latest_});
  }
  // Call it before `count` elements from `begin` on are overwritten.
  void before_write(Real* begin, int64_t count) {
    const Real* end = offset(backend_, begin, count);
    int mark = 0;
    for (const Read& read : reads_) {
      const bool is_read = std::less_equal<>()(begin, read.dout) && std::less<>()(read.dout, end);
      if (is_read) mark = read.mark;
    }
    backend_.wait_for(mark);
  }
  // Before what all of them read is overwritten.
  void wait() { backend_.wait_for(latest_); }
  void finish() { backend_.join_aside(); }

 private:
  struct Read {
    const Real* dout;
    int mark;
  };

  Backend& backend_;
  std::vector<Read> reads_;
  int latest_ = 0;
};

}  // namespace bertune
