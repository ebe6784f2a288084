// What pip installed of NVIDIA's libraries, which is where many machines have cuBLAS and no toolkit has put it.
#pragma once

#include <string>
#include <vector>

namespace bertune::cuda {

// Files of that name in folders of these packages, the one for CUDA 13 ("cu13") and those for one library ("cublas", of
// nvidia-cublas or nvidia-cublas-cu12), of every Python whose folder of programs is on the PATH: of an active environment, so,
// before the system's.
std::vector<std::string> pip_files(const std::vector<std::string>& packages, const std::string& name);

}  // namespace bertune::cuda
