// Locks that the kernel frees when their process ends, however it ends.
#pragma once

#include <napi.h>

namespace bertune {

// lockFile(fd, shared = false): locks the open file among the processes of this machine, and returns whether it could.
// Several can hold a `shared` lock at once.
Napi::Value lock_file(const Napi::CallbackInfo& info);

}  // namespace bertune
