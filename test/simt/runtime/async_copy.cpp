// cp.async: the data lands only when the thread waits for it; until then the destination holds NaN.
#include <algorithm>
#include <cstring>

#include "race.h"
#include "report.h"
#include "scheduler.h"
#include "shared_memory.h"

namespace simt {
namespace {

constexpr size_t kBytes = 16;

bool is_aligned(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % kBytes == 0; }

void land(Fiber& fiber, const AsyncCopy& copy) {
  race_async_landed(fiber, copy.out, kBytes);
  if (copy.valid) {
    memcpy(copy.out, copy.inp, kBytes);
  } else {
    memset(copy.out, 0, kBytes);
  }
}

}  // namespace

void async_copy(void* out, const void* inp, bool valid, const char* file, int line) {
  Fiber& fiber = *current_fiber;
  const CallSite site{"cp.async", file, line};
  if (!is_aligned(out) || (valid && !is_aligned(inp))) fail_thread(at_site(site) + ": address not 16-byte aligned");
  if (!is_shared_range(*fiber.block, out, kBytes)) {
    fail_thread(at_site(site) + ": destination is not in shared memory");
  }
  if (valid) race_access(fiber, inp, kBytes, AccessKind::kRead, site);
  race_access(fiber, out, kBytes, AccessKind::kAsyncWrite, site);
  memset(out, 0xff, kBytes);
  fiber.copies.push_back({out, inp, valid, fiber.group});
}

void async_commit() { ++current_fiber->group; }

// All but the last `pending` groups are waited for.
void async_wait(int pending) {
  Fiber& fiber = *current_fiber;
  const auto is_due = [&](const AsyncCopy& copy) { return copy.group + static_cast<uint32_t>(pending) < fiber.group; };
  for (const AsyncCopy& copy : fiber.copies) {
    if (is_due(copy)) land(fiber, copy);
  }
  std::erase_if(fiber.copies, is_due);
}

}  // namespace simt
