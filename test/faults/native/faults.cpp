// Makes the n-th allocation of the addon fail, and counts what it holds. A shared library that is preloaded, so that it
// stands in front of the C library's allocator and of pthread_create, and a Node-API module at once, so that a test
// controls it:
//   LD_PRELOAD=faults.node node program.js, which calls require('faults.node').arm(n)
// The addon is the one that is shipped: nothing in it knows of this. What counts is told by the caller: an allocation
// is the addon's where the first frame outside of the C++ library lies in bertune.node, or in the emulated CUDA
// backend.
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <node_api.h>
#include <pthread.h>
#include <unwind.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <unordered_map>

namespace {

struct Range {
  uintptr_t begin, end;
  bool contains(uintptr_t address) const { return address >= begin && address < end; }
};
constexpr int kRanges = 16;
Range ours[kRanges], passed[kRanges];  // the addon's code; the C++ library's and this one's, which are looked through
int our_count = 0, passed_count = 0;

std::atomic<bool> watching{false};
std::atomic<long> counted{0};
std::atomic<long> failing{0};  // the one that fails; 0: none
std::atomic<bool> from_there_on{false};
thread_local bool busy = false;  // inside of this library

// Whether the emulator of CUDA is at work on this thread: what it allocates stands for the driver's own memory.
int (*inside_driver)() = nullptr;

struct Busy {
  bool before = busy;
  Busy() { busy = true; }
  ~Busy() { busy = before; }
};

bool in_any(const Range* ranges, int count, uintptr_t address) {
  for (int i = 0; i < count; ++i) {
    if (ranges[i].contains(address)) return true;
  }
  return false;
}

int add_module(dl_phdr_info* module, size_t, void*) {
  const char* name = module->dlpi_name;
  const bool is_ours = std::strstr(name, "bertune.node") || std::strstr(name, "libbertune_cuda");
  const bool is_passed =
      std::strstr(name, "libstdc++") || std::strstr(name, "faults.node") || std::strstr(name, "libasan");
  for (int i = 0; i < module->dlpi_phnum; ++i) {
    const ElfW(Phdr) & segment = module->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
    const uintptr_t begin = module->dlpi_addr + segment.p_vaddr;
    if (is_ours && our_count < kRanges) ours[our_count++] = {begin, begin + segment.p_memsz};
    if (is_passed && passed_count < kRanges) passed[passed_count++] = {begin, begin + segment.p_memsz};
  }
  return 0;
}

struct Walk {
  bool is_ours = false;
};

_Unwind_Reason_Code visit(_Unwind_Context* context, void* argument) {
  const uintptr_t address = _Unwind_GetIP(context);
  if (in_any(passed, passed_count, address)) return _URC_NO_REASON;
  static_cast<Walk*>(argument)->is_ours = in_any(ours, our_count, address);
  return _URC_END_OF_STACK;
}

bool is_ours() {
  if (inside_driver && inside_driver()) return false;
  Walk walk;
  _Unwind_Backtrace(visit, &walk);
  return walk.is_ours;
}

// Pointers that the addon holds, with their sizes; never destroyed.
struct Held {
  std::mutex mutex;
  std::unordered_map<void*, size_t> blocks;
  size_t bytes = 0;
};
Held& held() {
  static Held& held = *new Held;
  return held;
}

void note(void* pointer, size_t bytes) {
  if (!pointer) return;
  const std::lock_guard<std::mutex> lock(held().mutex);
  held().blocks[pointer] = bytes;
  held().bytes += bytes;
}

void forget(void* pointer) {
  const std::lock_guard<std::mutex> lock(held().mutex);
  const auto found = held().blocks.find(pointer);
  if (found == held().blocks.end()) return;
  held().bytes -= found->second;
  held().blocks.erase(found);
}

bool must_fail() {
  const long number = ++counted;
  const long target = failing;
  return target > 0 && (number == target || (from_there_on && number > target));
}

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

// Runs `allocate` as the addon's where it is: counted, failed with null where it is its turn, noted.
template <typename Allocate>
void* watch(size_t bytes, Allocate&& allocate) {
  if (busy || !watching.load(std::memory_order_relaxed)) return allocate();
  const Busy inside;
  if (!is_ours()) return allocate();
  if (must_fail()) return nullptr;
  void* pointer = allocate();
  note(pointer, bytes);
  return pointer;
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);
}

EXPORT void* malloc(size_t bytes) {
  return watch(bytes, [&] { return __libc_malloc(bytes); });
}
EXPORT void* calloc(size_t count, size_t size) {
  return watch(count * size, [&] { return __libc_calloc(count, size); });
}
EXPORT void* aligned_alloc(size_t alignment, size_t bytes) {
  return watch(bytes, [&] { return __libc_memalign(alignment, bytes); });
}
EXPORT void* memalign(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }
EXPORT int posix_memalign(void** pointer, size_t alignment, size_t bytes) {
  void* block = aligned_alloc(alignment, bytes);
  if (!block) return ENOMEM;
  *pointer = block;
  return 0;
}
EXPORT void free(void* pointer) {
  if (pointer && watching.load(std::memory_order_relaxed) && !busy) {
    const Busy inside;
    forget(pointer);
  }
  __libc_free(pointer);
}

EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  static const auto next = real<int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*)>("pthread_create");
  if (!busy && watching.load(std::memory_order_relaxed)) {
    const Busy inside;
    if (is_ours() && must_fail()) return EAGAIN;
  }
  return next(thread, attributes, start, argument);
}

namespace {

int64_t integer(napi_env env, napi_callback_info info, size_t index) {
  napi_value arguments[2];
  size_t count = 2;
  int64_t value = 0;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  if (index < count) napi_get_value_int64(env, arguments[index], &value);
  return value;
}

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

// watch(): from now on what the addon, which is loaded, allocates is counted and noted.
napi_value watch_addon(napi_env env, napi_callback_info) {
  const Busy inside;
  our_count = passed_count = 0;
  dl_iterate_phdr(add_module, nullptr);
  held();
  watching = true;
  return number(env, our_count);
}

// arm(n, onwards): the n-th allocation from now on fails; with `onwards` ≠ 0 all later ones as well. arm(0): none.
napi_value arm(napi_env env, napi_callback_info info) {
  const int64_t n = integer(env, info, 0);
  from_there_on = integer(env, info, 1) != 0;
  counted = 0;
  failing = n;
  return number(env, 0);
}

// disarm(): how many there were since arm().
napi_value disarm(napi_env env, napi_callback_info) {
  failing = 0;
  return number(env, counted.load());
}

napi_value held_blocks(napi_env env, napi_callback_info) {
  const Busy inside;
  const std::lock_guard<std::mutex> lock(held().mutex);
  return number(env, static_cast<double>(held().blocks.size()));
}

napi_value held_bytes(napi_env env, napi_callback_info) {
  const Busy inside;
  const std::lock_guard<std::mutex> lock(held().mutex);
  return number(env, static_cast<double>(held().bytes));
}

}  // namespace

NAPI_MODULE_INIT() {
  const auto add = [&](const char* name, napi_callback callback) {
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  };
  add("watch", watch_addon);
  add("arm", arm);
  add("disarm", disarm);
  add("heldBlocks", held_blocks);
  add("heldBytes", held_bytes);
  return exports;
}
