#include "fault.h"

#include "state.h"

namespace simt {
namespace {

struct Faults {
  Fault failing = Fault::kNone;
  long left = 0;
  long counted[static_cast<int>(Fault::kCount)] = {};
};

Faults& faults() {
  static Faults& faults = *new Faults;
  return faults;
}

}  // namespace

bool fails_now(Fault kind) {
  Faults& now = faults();
  ++now.counted[static_cast<int>(kind)];
  if (now.failing != kind || --now.left != 0) return false;
  now.failing = Fault::kNone;
  if (kind == Fault::kAllocation || kind == Fault::kWait) return true;
  const bool quiet = config().quiet;
  config().quiet = true;
  report_failure("a failure that a test asked for");
  config().quiet = quiet;
  return true;
}

bool device_works() { return sticky_error() == cudaSuccess && !fails_now(Fault::kWork); }

}  // namespace simt

// Lets the n-th of the kind from now on fail, counted from 1; n = 0: none. Returns how many of the kind there were
// since the call before.
extern "C" __attribute__((visibility("default"))) long bertune_emulated_fault(int kind, long n) {
  using namespace simt;
  const Lock lock(mutex());
  Faults& now = faults();
  const long counted = now.counted[kind];
  now = {.failing = n > 0 ? static_cast<Fault>(kind) : Fault::kNone, .left = n};
  return counted;
}
