// Times matrix products on one thread by each provider, for bench/kernels.js --products.
#pragma once

#include <string>

namespace bertune {

// Seconds for c (m,n) = a (m,k) · b (k,n), with a stored (k,m) and b (n,k) if transposed: the lowest of twenty samples, which take
// about `budget` seconds together. 0 if this machine lacks the provider:
//   blas · onednn: sgemm · plain: oneDNN's matmul with b as it is · packed: with b laid out beforehand · bf16, int8: the
//   same in those types. All but the first two multiply in parts of as many rows as the library multiplies at once.
double time_product(const std::string& provider, int m, int n, int k, bool transpose_a, bool transpose_b,
                    double budget);

}  // namespace bertune
