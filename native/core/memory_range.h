// A range of memory, to be compared with others.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bertune {

struct MemoryRange {
  const void* begin = nullptr;
  size_t bytes = 0;

  bool overlaps(const MemoryRange& other) const {
    const auto from = reinterpret_cast<uintptr_t>(begin), other_from = reinterpret_cast<uintptr_t>(other.begin);
    return from < other_from + other.bytes && other_from < from + bytes;
  }
  bool covers(const MemoryRange& other) const {
    const auto from = reinterpret_cast<uintptr_t>(begin), other_from = reinterpret_cast<uintptr_t>(other.begin);
    return from <= other_from && other_from + other.bytes <= from + bytes;
  }
};

}  // namespace bertune
