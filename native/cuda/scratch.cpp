#include "cuda/scratch.h"

#include <algorithm>
#include <utility>

#include "cuda/check.h"
#include "cuda/memory.h"

namespace bertune::cuda {

Scratch::~Scratch() {
  cudaFree(block_);
  cudaFree(ticket_block_);
}

float* Scratch::floats(size_t count) { return static_cast<float*>(grow(block_, bytes_, count * sizeof(float), false)); }

unsigned* Scratch::tickets(size_t count) {
  return static_cast<unsigned*>(grow(ticket_block_, ticket_bytes_, count * sizeof(unsigned), true));
}

void Scratch::swap(Scratch& other) {
  std::swap(block_, other.block_);
  std::swap(ticket_block_, other.ticket_block_);
  std::swap(bytes_, other.bytes_);
  std::swap(ticket_bytes_, other.ticket_bytes_);
}

void* Scratch::grow(void*& block, size_t& have, size_t bytes, bool zero) {
  if (bytes <= have) return block;
  if (on_growth_) on_growth_();
  cudaFree(std::exchange(block, nullptr));
  have = 0;
  block = allocate_bytes(bytes, "the workspace of operations", zero);
  have = bytes;
  return block;
}

}  // namespace bertune::cuda
