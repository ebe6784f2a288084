// The memory that the BLAS takes for itself.
//
// OpenBLAS maps a buffer for each thread that is in one of its functions at the same time as others, keeps it for the
// next call, and has no way to say that it cannot: it tries again for ever, or ends the process. So where address space
// is limited its buffers are mapped before the first call, when a lack of them can still be reported.
#pragma once

namespace bertune {

// Sees to it that each of `threads` threads has a buffer as long as it lives. Buffers are the process's, and stay
// mapped. Throws OUT_OF_MEMORY.
class BlasMemory {
 public:
  explicit BlasMemory(int threads);
  ~BlasMemory();
  BlasMemory(const BlasMemory&) = delete;
  BlasMemory& operator=(const BlasMemory&) = delete;

 private:
  int threads_;
};

}  // namespace bertune
