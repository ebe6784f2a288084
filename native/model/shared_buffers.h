// One set of the buffers that backward does not read, for all layers: each layer overwrites those of the one below. A
// buffer is taken when a layer first asks for it, so that a pass whose layers have buffers of their own takes none.
#pragma once

#include "core/arena.h"
#include "model/config.h"

namespace bertune {

class SharedBuffers {
 public:
  // Large enough for any layer on T tokens with low-rank updates of rank r.
  SharedBuffers(Cutter& cutter, const ModelConfig& model, int T, int r)
      : cutter_(cutter),
        qkv_{3LL * T * model.C},
        att_{static_cast<int64_t>(T) * model.C},
        sum_{static_cast<int64_t>(T) * model.C},
        x1_{static_cast<int64_t>(T) * model.C},
        inner_{static_cast<int64_t>(T) * model.F},
        out_{static_cast<int64_t>(T) * model.C},
        h_{{static_cast<int64_t>(T) * r}, {static_cast<int64_t>(T) * r}, {static_cast<int64_t>(T) * r}},
        lse_{static_cast<int64_t>(T) * model.heads},
        mean_{T},
        rstd_{T} {}

  Real* qkv() { return take(qkv_); }      // (T,3C)
  Real* att() { return take(att_); }      // (T,C)
  Real* sum() { return take(sum_); }      // (T,C) of both LayerNorms
  Real* x1() { return take(x1_); }        // (T,C)
  Real* inner() { return take(inner_); }  // (T,F) the activation's input, and its output in place
  Real* out() { return take(out_); }      // (T,C) of every layer, and its input
  // (T,r) of all low-rank updates at `place` among those in one operation
  Real* h(int place) { return take(h_[place]); }
  Acc* lse() { return take(lse_); }    // (T,NH)
  Acc* mean() { return take(mean_); }  // (T)
  Acc* rstd() { return take(rstd_); }  // (T)

 private:
  template <typename Scalar>
  struct Buffer {
    int64_t count;
    bool taken = false;  // the pointer alone does not tell, since all are null while a layout is measured
    Scalar* data = nullptr;
  };

  Real* take(Buffer<Real>& buffer) {
    if (!buffer.taken) buffer.data = cutter_.real(buffer.count);
    buffer.taken = true;
    return buffer.data;
  }
  Acc* take(Buffer<Acc>& buffer) {
    if (!buffer.taken) buffer.data = cutter_.acc(buffer.count);
    buffer.taken = true;
    return buffer.data;
  }

  Cutter& cutter_;
  Buffer<Real> qkv_, att_, sum_, x1_, inner_, out_, h_[kMostLoraUpdates];
  Buffer<Acc> lse_, mean_, rstd_;
};

}  // namespace bertune
