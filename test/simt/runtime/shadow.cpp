#include "shadow.h"

#include <algorithm>
#include <cstring>

#include "device_memory.h"

#if defined(SIMT_RACE)

namespace simt {
namespace {

constexpr size_t kLine = 64;     // bytes of the arena whose cells are filled in together
constexpr size_t kGranule = 16;  // bytes of the arena with one count of valid ones

// Cells are filled in when a kernel first touches their line. Until then a byte says what all of them hold, so that the
// large blocks that the host clears cost next to nothing.
enum class Line : uint8_t { kUninitialised, kHostWritten, kCells };

template <typename T>
T* reserve(size_t count) {
  return static_cast<T*>(reserve_pages(count * sizeof(T)));
}

struct Shadow {
  Cell* cells = reserve<Cell>(kArenaBytes / kCellBytes);
  Line* lines = reserve<Line>(kArenaBytes / kLine);
  uint8_t* valid = reserve<uint8_t>(kArenaBytes / kGranule);
};

Shadow& shadow() {
  static Shadow& shadow = *new Shadow;
  return shadow;
}

void fill_in(size_t line) {
  Cell* cells = shadow().cells + line * (kLine / kCellBytes);
  Cell cell{};
  if (shadow().lines[line] == Line::kHostWritten) cell.write = {kHostEpoch, 0, 0, 0, 3, false, false};
  std::fill_n(cells, kLine / kCellBytes, cell);
  shadow().lines[line] = Line::kCells;
}

// Whole lines by their state, the rest of the range cell by cell.
void set_range(size_t offset, size_t bytes, Line state) {
  const size_t end = offset + bytes;
  Cell cell{};
  if (state == Line::kHostWritten) cell.write = {kHostEpoch, 0, 0, 0, 3, false, false};
  while (offset < end) {
    const size_t line_end = std::min(end, (offset / kLine + 1) * kLine);
    if (offset % kLine == 0 && line_end - offset == kLine) {
      const size_t lines = (end - offset) / kLine;
      memset(shadow().lines + offset / kLine, static_cast<int>(state), lines);
      offset += lines * kLine;
      continue;
    }
    shadow_cells(offset);
    Cell* first = shadow().cells + offset / kCellBytes;
    std::fill(first, shadow().cells + (line_end + kCellBytes - 1) / kCellBytes, cell);
    offset = line_end;
  }
}

}  // namespace

Cell* shadow_cells(size_t offset) {
  const size_t line = offset / kLine;
  if (shadow().lines[line] != Line::kCells) fill_in(line);
  return shadow().cells + offset / kCellBytes;
}

void shadow_forget(size_t offset, size_t bytes) { set_range(offset, bytes, Line::kUninitialised); }
void shadow_host_wrote(size_t offset, size_t bytes) { set_range(offset, bytes, Line::kHostWritten); }

void shadow_set_valid(size_t offset, size_t bytes, bool valid) {
  uint8_t* granule = shadow().valid + offset / kGranule;
  const size_t whole = bytes / kGranule, rest = bytes % kGranule;
  memset(granule, valid ? kGranule : 0, whole);
  if (rest) granule[whole] = static_cast<uint8_t>(valid ? rest : 0);
}

bool shadow_is_valid(size_t offset, size_t bytes) {
  const size_t end = offset + bytes;
  while (offset < end) {
    const size_t granule_end = std::min(end, (offset / kGranule + 1) * kGranule);
    const size_t needed = granule_end - offset / kGranule * kGranule;
    if (shadow().valid[offset / kGranule] < needed) return false;
    offset = granule_end;
  }
  return true;
}

}  // namespace simt

#endif
