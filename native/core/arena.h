// One block of device memory per kind (parameters, gradients, moments, activations), laid out before it is used.
//
// A layout is a function that takes buffers from a Cutter. It runs twice: on nothing, to learn the size, and on the
// allocated block, to set the pointers. So plan and use cannot disagree, and nothing is allocated later.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/backend.h"

namespace bertune {

class Cutter {
 public:
  Cutter(const Backend& backend, void* base)
      : real_size_(backend.real_size()),
        acc_size_(backend.acc_size()),
        master_size_(backend.master_size()),
        base_(static_cast<uint8_t*>(base)) {}

  Real* real(int64_t count) { return static_cast<Real*>(take(count, real_size_)); }
  Acc* acc(int64_t count) { return static_cast<Acc*>(take(count, acc_size_)); }
  Master* master(int64_t count) { return static_cast<Master*>(take(count, master_size_)); }
  DropoutPlace* places(int64_t count) { return static_cast<DropoutPlace*>(take(count, sizeof(DropoutPlace))); }
  int32_t* ints(int64_t count) { return static_cast<int32_t*>(take(count, sizeof(int32_t))); }

  // A place inside a buffer taken before, `count` elements after its start.
  Real* real_after(Real* start, int64_t count) const {
    return start ? reinterpret_cast<Real*>(reinterpret_cast<uint8_t*>(start) + count * real_size_) : nullptr;
  }

  // Goes back to a position: what is taken next shares memory with what was taken since.
  size_t position() const { return used_; }
  void overlay(size_t position) { used_ = position; }

  // The most bytes ever taken. While measuring, all pointers are null.
  size_t used() const { return peak_; }

 private:
  static constexpr size_t kAlignment = 64;

  // Impossibly large sizes stop at kMost instead of wrapping around, so that allocating them fails.
  static constexpr size_t kMost = SIZE_MAX / 4 / kAlignment * kAlignment;

  void* take(int64_t count, size_t size) {
    void* start = base_ ? base_ + used_ : nullptr;
    const size_t elements = static_cast<size_t>(std::max<int64_t>(count, 0));
    const size_t bytes = elements > kMost / size ? kMost : elements * size;
    used_ = std::min(kMost, used_ + (bytes + kAlignment - 1) / kAlignment * kAlignment);
    peak_ = std::max(peak_, used_);
    return start;
  }

  size_t real_size_;
  size_t acc_size_;
  size_t master_size_;
  uint8_t* base_;
  size_t used_ = 0;
  size_t peak_ = 0;
};

class Arena {
 public:
  using Layout = std::function<void(Cutter&)>;

  // Measures the layout, allocates zero-filled memory and runs the layout again. What was laid out before is gone.
  void lay_out(Backend& backend, const char* what, const Layout& layout) {
    Cutter measure(backend, nullptr);
    layout(measure);
    memory_.reset();
    memory_.reset(backend.allocate(measure.used(), what));
    Cutter cut(backend, memory_->data());
    layout(cut);
  }

  // The same in the existing memory if that is large enough; its contents need not be zero. If it is not large enough, it
  // grows by at least a half, so that a layout that grows bit by bit rarely moves.
  void fit(Backend& backend, const char* what, const Layout& layout) {
    Cutter measure(backend, nullptr);
    layout(measure);
    if (measure.used() > bytes()) {
      const size_t grown = bytes() + bytes() / 2;
      backend.synchronize();  // operations under way may read the old memory
      memory_.reset();
      memory_.reset(backend.allocate(std::max(measure.used(), grown), what));
    }
    Cutter cut(backend, data());
    layout(cut);
  }

  void clear() { memory_.reset(); }

  size_t bytes() const { return memory_ ? memory_->bytes() : 0; }
  void* data() const { return memory_ ? memory_->data() : nullptr; }

 private:
  std::unique_ptr<Memory> memory_;
};

// The pointer moved by `count` elements. Opaque scalars have no size, so pointer arithmetic asks the backend.
inline Real* offset(const Backend& backend, Real* pointer, int64_t count) {
  return reinterpret_cast<Real*>(reinterpret_cast<uint8_t*>(pointer) + count * backend.real_size());
}
inline const Real* offset(const Backend& backend, const Real* pointer, int64_t count) {
  return reinterpret_cast<const Real*>(reinterpret_cast<const uint8_t*>(pointer) + count * backend.real_size());
}
inline Acc* offset(const Backend& backend, Acc* pointer, int64_t count) {
  return reinterpret_cast<Acc*>(reinterpret_cast<uint8_t*>(pointer) + count * backend.acc_size());
}

}  // namespace bertune
