// Locks that the kernel frees when their process ends, however it ends.
#pragma once

#include <napi.h>

namespace bertune {

// lockFile(fd, shared = false): whether the lock of the open file was had, on this machine; shared, beside others that are.
Napi::Value lock_file(const Napi::CallbackInfo& info);

}  // namespace bertune
