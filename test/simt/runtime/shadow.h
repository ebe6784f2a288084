// Shadow memory of the race build: for each two bytes of the arena who wrote and who read them last.
#pragma once

#include <cstddef>
#include <cstdint>

namespace simt {

struct Access {
  uint32_t epoch;  // 0: none. 1: the host
  uint32_t clock;  // of the thread's warp
  uint32_t code;   // where: see CodeSites
  uint16_t thread;
  uint8_t bytes;  // which of the two
  bool atomic : 1;
  bool pending : 1;  // a cp.async that was not waited for
};

struct Cell {
  Access write, read, other_read;
};

constexpr size_t kCellBytes = 2;
constexpr uint32_t kHostEpoch = 1;

// The cell of the arena's byte `offset`, and those after it up to the end of 64 bytes.
Cell* shadow_cells(size_t offset);

void shadow_forget(size_t offset, size_t bytes);      // uninitialised from now on
void shadow_host_wrote(size_t offset, size_t bytes);  // initialized, before all kernels

void shadow_set_valid(size_t offset, size_t bytes, bool valid);
// Whether all of the range belongs to arrays or blocks.
bool shadow_is_valid(size_t offset, size_t bytes);

}  // namespace simt
