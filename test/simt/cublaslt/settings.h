// What the stand-in for cuBLASLt is like: the environment variable BERTUNE_EMULATED_CUBLASLT, read when a handle is
// created, e.g. "algorithms=16 noise=10 faster=30".
#pragma once

#include <cstddef>
#include <string>

namespace stand_in {

struct Settings {
  int algorithms = 1;    // that the heuristic knows of a product, numbered from 0
  int refuse = 0;        // the product does not support so many of them, from 0 on
  size_t workspace = 0;  // bytes that each of them needs
  double noise = 0;      // standard deviation of their times, in %
  double faster = 0;     // the one in the middle takes so many % less time than the others
  unsigned seed = 7;     // of the noise
  bool computes = true;  // computes=0: products leave what is there, for tests of times alone
  // An internal error of: heuristic, check, product, first (the first product alone) or capture (a product while it is
  // captured).
  std::string fails;
};

Settings read_settings();

}  // namespace stand_in
