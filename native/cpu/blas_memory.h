// The memory that the BLAS allocates for itself.
//
// OpenBLAS maps a buffer for each thread that is in one of its functions at the same time as others, keeps it for the
// next call, and cannot report that it failed: it retries forever, or ends the process. So if address space is limited,
// its buffers are mapped before the first call, when a failure can still be reported.
#pragma once

namespace bertune {

// Ensures that each of `threads` threads has a buffer for as long as this object lives. The buffers belong to the process
// and stay mapped. Throws OUT_OF_MEMORY.
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
