// Kernels and host tasks on their way into a stream.
#include <memory>

#include "device_memory.h"
#include "fault.h"
#include "race.h"
#include "scheduler.h"
#include "shared_memory.h"
#include "state.h"
#include "stream.h"

namespace simt {
namespace {

constexpr size_t kArgumentLimit = 4096;
constexpr unsigned kGridLimit = 65535;
constexpr unsigned kGridLimitX = 2147483647;

const char* current_task = nullptr;  // the name of the host task that runs

struct TaskFailed {};

bool is_valid_block(dim3 block) {
  const uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;
  return threads > 0 && threads <= kMaxThreads && block.x <= 1024 && block.y <= 1024 && block.z <= 64;
}

bool is_valid_grid(dim3 grid) {
  return grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= kGridLimitX && grid.y <= kGridLimit &&
         grid.z <= kGridLimit;
}

[[noreturn]] void fail_task(const std::string& text) {
  report_failure(std::string(current_task ? current_task : "host") + ": " + text);
  throw TaskFailed{};
}

}  // namespace

cudaError_t launch_raw(const KernelCall& call, dim3 grid, dim3 block, size_t shared_bytes, Order order) {
  const std::shared_ptr<void> arguments(call.arguments, call.drop);
  const bool valid = is_valid_block(block) && is_valid_grid(grid) && call.argument_bytes <= kArgumentLimit;
  if (!valid) return remember(cudaErrorInvalidConfiguration);
  if (is_elsewhere(order.stream)) return remember(cudaErrorInvalidResourceHandle);
  const size_t shared_limit = shared_memory_limit(call.kernel);
  if (shared_bytes > shared_limit) return remember(cudaErrorInvalidValue);
  const Launch launch{call.kernel, call.thunk,   nullptr,      call.argument_bytes, grid,
                      block,       shared_bytes, shared_limit, order.overlaps};
  return enqueue(order.stream,
                 [launch, arguments] {
                   Launch now = launch;
                   now.arguments = arguments.get();
                   run_launch(now);
                 },
                 {nullptr, call.kernel, order.overlaps});
}

cudaError_t host_task(cudaStream_t stream, std::function<void()> task, const char* name) {
  if (is_elsewhere(stream)) return remember(cudaErrorInvalidResourceHandle);
  return enqueue(stream,
                 [task = std::move(task), name] {
                   if (!device_works()) return;
                   current_task = name;
                   try {
                     task();
                   } catch (const TaskFailed&) {  // it is reported
                   }
                   current_task = nullptr;
                 },
                 {name});
}

void check_device_range(const void* pointer, size_t bytes, bool write) {
  if (bytes == 0) return;
  const std::string what = std::string(write ? "write" : "read") + " of " + std::to_string(bytes) + " bytes";
  if (!is_device_range(pointer, bytes)) fail_task("OUT OF BOUNDS: " + what + " not inside one live allocation");
  if (write) {
    race_host_wrote(const_cast<void*>(pointer), bytes);
  } else if (!race_is_initialised(pointer, bytes)) {
    fail_task(what + " that has uninitialised global memory in it");
  }
}

}  // namespace simt
