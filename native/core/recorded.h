// Runs operations that the backend may record and replay: see Backend::replay.
#pragma once

#include <exception>

#include "core/backend.h"

namespace bertune {

// `operations` may run twice, so they must not change host state that they read.
template <typename Operations>
void run_recorded(Backend& backend, const RecordingKey& key, const Operations& operations) {
  if (backend.replay(key)) return;
  try {
    operations();
    if (backend.end_recording(nullptr)) return;
  } catch (const std::exception& error) {
    if (backend.end_recording(error.what())) throw;
  }
  operations();  // nothing of what was recorded has run
}

}  // namespace bertune
