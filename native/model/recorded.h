// Operations that the backend may record and replay: see Backend::replay.
#pragma once

#include "core/backend.h"

namespace bertune {

template <typename Operations>
void run_recorded(Backend& backend, const RecordingKey& key, Operations&& operations) {
  if (backend.replay(key)) return;
  try {
    operations();
    backend.end_recording();
  } catch (...) {
    backend.forget_recordings();  // half a recording among them
    throw;
  }
}

}  // namespace bertune
