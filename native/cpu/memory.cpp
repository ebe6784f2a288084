#include "cpu/memory.h"

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "core/error.h"
#include "cpu/address_space.h"
#include "cpu/system_memory.h"

namespace bertune {
namespace {

constexpr size_t kAlignment = 64;
// Smaller blocks may share their pages with others.
constexpr size_t kLarge = 4 << 20;

// Bytes of all sessions of the process, which share the machine.
std::atomic<size_t> held{0};

[[noreturn]] void refuse(size_t bytes, const char* what, const std::string& reason) {
  throw Error("OUT_OF_MEMORY",
              "Expected to allocate " + std::to_string(bytes) + " bytes for " + what + " but " + reason);
}

// Memory is promised before it is there: a process that uses more than the machine has is killed instead of told.
// So what can never fit is refused here.
void hold(size_t bytes, const char* what) {
  const uint64_t limit = system_memory_limit();
  const size_t before = held.fetch_add(bytes);
  if (limit == 0 || (bytes <= limit && before <= limit - bytes)) return;
  held.fetch_sub(bytes);
  const std::string taken = before > 0 ? ", of which models hold " + std::to_string(before) : "";
  refuse(bytes, what, "the machine has " + std::to_string(limit) + taken);
}

class CpuMemory final : public Memory {
 public:
  // `block` comes from calloc and has room for `bytes`, which are held, behind the first aligned address.
  CpuMemory(void* block, size_t bytes) : block_(block), bytes_(bytes) {
    data_ = block_;
    size_t space = bytes_ + kAlignment;
    std::align(kAlignment, bytes_, data_, space);
  }
  ~CpuMemory() override {
    std::free(block_);
    held.fetch_sub(bytes_);
  }
  CpuMemory(const CpuMemory&) = delete;
  CpuMemory& operator=(const CpuMemory&) = delete;

  void* data() const override { return data_; }
  size_t bytes() const override { return bytes_; }

 private:
  void* block_;
  void* data_;
  size_t bytes_;
};

}  // namespace

Memory* allocate_memory(size_t bytes, const char* what) {
  hold(bytes, what);
  if (!has_address_space(bytes)) {
    held.fetch_sub(bytes);
    refuse(bytes, what, "the limit of address space (ulimit -v) leaves too little");
  }
  // calloc takes zero pages from the system as they are touched, so memory that is not used yet is not resident.
  void* block = bytes > SIZE_MAX - kAlignment ? nullptr : std::calloc(bytes + kAlignment, 1);
  CpuMemory* memory = block == nullptr ? nullptr : new (std::nothrow) CpuMemory(block, bytes);
  if (memory == nullptr) {
    std::free(block);
    held.fetch_sub(bytes);
    refuse(bytes, what, "the system refused");
  }
  if (bytes >= kLarge) prefer_large_pages({memory->data(), bytes});
  return memory;
}

}  // namespace bertune
