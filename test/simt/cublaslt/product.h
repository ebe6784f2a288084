// The arithmetic of the stand-in for cuBLASLt: a plain product on the host.
#pragma once

#include <cstdint>

#include "simt_runtime.h"

namespace stand_in {

// A column-major matrix of rows · columns elements, its columns `stride` elements apart.
struct Matrix {
  cudaDataType_t type;
  int64_t rows, columns, stride;
};

size_t element_bytes(cudaDataType_t type);

// d (m,n) = alpha · op(a) (m,k) · op(b) (k,n) + beta · d + bias (m), the sums in float and in the order of k.
struct Product {
  Matrix a_layout, b_layout, d_layout;
  bool transpose_a, transpose_b, tf32;
  float alpha, beta;
  const void* a;
  const void* b;
  const void* bias;  // or null
  void* d;
};

// In a task of a stream: checks what it reads and writes.
void multiply(const Product& product);

}  // namespace stand_in
