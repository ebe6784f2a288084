// Whether launches may overlap the kernel ahead of them: see simt.h.
#pragma once

namespace bertune::cuda {

// On a GPU of capability 9.0 or later, unless BERTUNE_CUDA_PDL is off. Throws INVALID_OPTION if that is something else.
bool launches_may_overlap();

}  // namespace bertune::cuda
