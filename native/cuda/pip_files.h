// What pip installed of NVIDIA's libraries, which is where many machines have cuBLAS and no toolkit has put it.
#pragma once

#include <string>
#include <vector>

namespace bertune::cuda {

// Files of that name in the packages for CUDA 13 and in those for one library (nvidia-cublas, nvidia-cublas-cu12), of every
// Python whose folder of programs is on the PATH: of an active environment, so, before the system's.
std::vector<std::string> pip_files(const std::string& name);

}  // namespace bertune::cuda
