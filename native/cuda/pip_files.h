// Finds NVIDIA's libraries that pip installed: many machines have cuBLAS only there, without a toolkit.
#pragma once

#include <string>
#include <vector>

namespace bertune::cuda {

// Files of that name in the folders of these packages, "cu13" of CUDA 13 or one for a single library (e.g. "cublas", from
// nvidia-cublas or nvidia-cublas-cu12), in every Python on the PATH; those of an active environment come before the
// system's.
std::vector<std::string> pip_files(const std::vector<std::string>& packages, const std::string& name);

}  // namespace bertune::cuda
