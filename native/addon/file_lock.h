// Locks that the kernel frees when their process ends, however it ends.
#pragma once

#include <napi.h>

namespace bertune {

// lockFile(fd): whether the open file is this process's now. False while another has it, on this machine.
Napi::Value lock_file(const Napi::CallbackInfo& info);

}  // namespace bertune
