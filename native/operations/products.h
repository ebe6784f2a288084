// Matrix products of one thread by each provider, for bench/kernels.js --products.
#pragma once

#include <string>

namespace bertune {

// Seconds of c (m,n) = a (m,k) · b (k,n), a stored (k,m) and b (n,k) where transposed; the least of twenty samples, that take about
// `budget` seconds together. 0 where this machine has no such provider:
//   blas · onednn: sgemm · plain: oneDNN's matmul with b as it is · packed: with b laid out beforehand · bf16, int8: the
//   same in those types. But for the first two, in parts of as many rows as the library multiplies at once.
double time_product(const std::string& provider, int m, int n, int k, bool transpose_a, bool transpose_b,
                    double budget);

}  // namespace bertune
