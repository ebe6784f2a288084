// Memory that operations write and forget.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace bertune {

// A block of memory that grows to the largest request and is then reused, so that steps allocate nothing.
class Scratch {
 public:
  // `count` elements, aligned to 64 bytes, not initialized. Valid until the next call.
  template <typename T>
  T* reserve(size_t count) {
    return static_cast<T*>(reserve_bytes(count * sizeof(T)));
  }

 private:
  struct Free {
    void operator()(void* pointer) const { ::operator delete(pointer, std::align_val_t{64}); }
  };
  void* reserve_bytes(size_t bytes) {
    if (bytes > bytes_) {
      memory_.reset();
      bytes_ = 0;
      memory_.reset(::operator new(bytes, std::align_val_t{64}));
      bytes_ = bytes;
    }
    return memory_.get();
  }

  std::unique_ptr<void, Free> memory_;
  size_t bytes_ = 0;
};

}  // namespace bertune
