// The CUDA runtime API for host code: the real one, or the emulator's.
#pragma once

#if defined(BERTUNE_EMULATED)
#include "simt_runtime.h"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif
