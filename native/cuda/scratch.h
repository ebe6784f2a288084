// Device memory that operations use for their own partial results, one operation at a time.
#pragma once

#include <cstddef>
#include <functional>

namespace bertune::cuda {

// Grows to the largest request, but not during a recording; recordings that use the old block are forgotten.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  // Called before a block is replaced. Throws if that is not allowed now.
  void on_growth(std::function<void()> call) { on_growth_ = std::move(call); }

  // `count` floats, aligned to 256 bytes, not initialized; valid until the next operation. Throws OUT_OF_MEMORY.
  float* floats(size_t count);
  // Tickets for the blocks of one launch, of which the last one finishes up. They are zero; leave them zero.
  unsigned* tickets(size_t count);

  // Exchanges the blocks.
  void swap(Scratch& other);

  size_t bytes() const { return bytes_ + ticket_bytes_; }

 private:
  void* grow(void*& block, size_t& have, size_t bytes, bool zero);

  std::function<void()> on_growth_;
  void* block_ = nullptr;
  void* ticket_block_ = nullptr;
  size_t bytes_ = 0;
  size_t ticket_bytes_ = 0;
};

}  // namespace bertune::cuda
