#include "cpu/system_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bertune {
namespace {

uint64_t physical_memory() {
#if defined(_SC_PHYS_PAGES) && defined(_SC_PAGESIZE)
  const long pages = sysconf(_SC_PHYS_PAGES), page_size = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_size > 0) return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page_size);
#endif
  return 0;
}

// "SwapTotal:  2097148 kB"
uint64_t swap_memory() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("SwapTotal:", 0) == 0) return std::strtoull(line.c_str() + 10, nullptr, 10) * 1024;
  }
  return 0;
}

// A number in a file; 0 where there is none ("max").
uint64_t number_in(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? number : 0;
}

uint64_t smaller(uint64_t limit, uint64_t other) { return other == 0 ? limit : std::min(limit, other); }

// The lowest limit of the process's group and those above it. Lines are "0::/path" (version 2) and "4:memory:/path".
uint64_t control_group_limit() {
  uint64_t limit = UINT64_MAX;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const bool unified = line.rfind("0::", 0) == 0;
    const size_t memory = line.find(":memory:");
    if (!unified && memory == std::string::npos) continue;
    const std::string root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const char* const name = unified ? "/memory.max" : "/memory.limit_in_bytes";
    std::string path = line.substr(unified ? 3 : memory + 8);
    // Inside a container the path may be the host's; the container's own group is then the root.
    for (;; path.resize(path.rfind('/'))) {
      limit = smaller(limit, number_in(root + path + name));
      if (path.find('/') == std::string::npos) break;
    }
  }
  return limit;
}

}  // namespace

uint64_t system_memory_limit() {
  static const uint64_t limit = [] {
    const uint64_t physical = physical_memory();
    return physical == 0 ? 0 : std::min(physical + swap_memory(), control_group_limit());
  }();
  return limit;
}

}  // namespace bertune
