// SIMT emulator runtime: fibers, warp collectives, block barriers, shared memory, race detector.
// Build kinds: plain; -fsanitize=address,undefined (all files); race: kernels with -fsanitize=thread,
// this file with -DSIMT_RACE and WITHOUT -fsanitize=thread, link without libtsan (the __tsan_* hooks are below).
#include "simt_emulated.h"
#include "runtime/device_memory.h"
#include "runtime/race.h"
#include "runtime/state.h"
#include "runtime/stream.h"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define SIMT_ASAN 1
#endif
#if !defined(__x86_64__) || defined(SIMT_UCONTEXT)
#include <ucontext.h>
#define SIMT_USE_UCONTEXT 1
#endif

namespace simt {
uint3 g_threadIdx, g_blockIdx;
dim3 g_blockDim, g_gridDim;
namespace {
constexpr size_t kStack = 
#ifdef SIMT_ASAN
    256 * 1024;
#else
    64 * 1024;
#endif
constexpr size_t kRedzone = 64;

struct Warp; struct Blk;
struct Async { void* dst; const void* src; bool valid; uint32_t group; const char* file; int line; };
enum class St : int { Ready, Bar, WarpWait, Exited };
struct Fiber {
#ifdef SIMT_USE_UCONTEXT
  ucontext_t uc;
#endif
  void* sp = nullptr; char* stack = nullptr; void* fake = nullptr; bool dirty = false;
  Blk* blk = nullptr; Warp* warp = nullptr; uint3 tid{}; int lin = 0, lane = 0; St st = St::Exited;
  const char* wfile = nullptr; int wline = 0; const char* wop = ""; unsigned wmask = 0;
  std::vector<Async> async; uint32_t group = 0;
  uint32_t vc[32]; bool fenced = false;
};
struct Rv { unsigned mask = 0, arrived = 0; WarpArg* arg[32]; Fiber* fib[32]; };
struct Warp { unsigned exist = 0, exited = 0; std::vector<Rv> rv; int id = 0; };
struct ShAlloc { const void* key; char* p; size_t bytes; const char* name; };
struct Blk {
  uint3 idx{}; int n = 0, live = 0, exited = 0, slot = 0; std::vector<Fiber*> f; std::vector<Warp> w;
  int bar_n = 0, bar_kind = 0; unsigned bar_acc = 0, bar_out = 0; const char* bfile = nullptr; int bline = 0;
  std::vector<ShAlloc> st, dyn; size_t st_bytes = 0, dyn_bytes = 0, used = 0; char* arena = nullptr;
  uint32_t epoch = 0, start_epoch = 0; uint32_t serial = 0;
  std::unordered_map<uint32_t, std::pair<uint32_t, int>> acquired, seen;  // block serial -> (epoch, tid): after / before the acquiring fence
  int first_exit = -1;
};
struct Launch { const void* kernel; void (*thunk)(void*); void* args; size_t arg_bytes; dim3 g, b; size_t smem; };

struct Stats { uint64_t threads = 0, switches = 0, collectives = 0, barriers = 0, mma = 0, blocks = 0, accesses = 0, launches = 0; };
Config& g_cfg = config(); Stats g_stats;
Fiber* g_cur = nullptr; Launch* g_launch = nullptr; bool g_failed = false;
bool g_mute = false;   // race build: the runtime itself is running (its std:: code may be shared with instrumented objects)
[[maybe_unused]] void* g_main_sp = nullptr;
#ifdef SIMT_USE_UCONTEXT
ucontext_t g_main_uc;
#endif
#ifdef SIMT_ASAN
const void* g_main_bottom; size_t g_main_size; void* g_main_fake;
#endif
std::vector<Fiber*>& g_pool = *new std::vector<Fiber*>;   // never freed: stays reachable for LeakSanitizer
std::vector<Fiber*> g_ready; size_t g_head = 0;
char* g_arena = nullptr; uint8_t* g_valid = nullptr;  // g_valid[i]: addressable bytes of 16-byte granule i
uint32_t g_epoch = 1, g_launch_epoch = 1; std::vector<uint32_t> g_blockof;
uint64_t g_rng = 88172645463325252ull;
[[maybe_unused]] uint64_t rnd() { g_rng ^= g_rng << 13; g_rng ^= g_rng >> 7; g_rng ^= g_rng << 17; return g_rng; }

void init_arena() {
  if (g_arena) return;
  g_arena = arena(); g_valid = static_cast<uint8_t*>(reserve_pages(kArenaBytes / 16));
}
[[maybe_unused]] void set_valid(char* p, size_t n, bool on) {
  size_t g = static_cast<size_t>(p - g_arena) / 16;
  for (size_t i = 0; i < (n + 15) / 16; ++i) g_valid[g + i] = on ? static_cast<uint8_t>(std::min<size_t>(16, n - i * 16)) : 0;
}
bool in_slot(const Blk* b, const void* p, size_t n) {
  auto a = static_cast<const char*>(p);
  return a >= b->arena && a + n <= b->arena + kSharedSlotBytes;
}

// ---------------- diagnostics ----------------
std::string sym(const void* pc, bool fn) {
  Dl_info di; if (!pc || !dladdr(pc, &di) || !di.dli_fname) return "?";
  char cmd[1024], exe[512]; const char* path = di.dli_fname;
  ssize_t k = readlink("/proc/self/exe", exe, sizeof exe - 1); if (k > 0) exe[k] = 0;
  struct link_map* lm = nullptr; Dl_info d2; dladdr1(pc, &d2, reinterpret_cast<void**>(&lm), RTLD_DL_LINKMAP);
  if (lm && !lm->l_name[0] && k > 0) path = exe;
  unsigned long off = reinterpret_cast<unsigned long>(pc) - (lm ? lm->l_addr : 0);
  snprintf(cmd, sizeof cmd, "addr2line -C -s %s -e '%s' %#lx 2>/dev/null", fn ? "-f" : "", path, off);
  std::string s; if (FILE* f = popen(cmd, "r")) { char b[512]; while (fgets(b, sizeof b, f)) s += b; pclose(f); }
  if (fn) s = s.substr(0, s.find('\n')); else { while (!s.empty() && s.back() == '\n') s.pop_back(); }
  size_t q = s.find(" (discriminator"); if (q != std::string::npos) s.resize(q);
  return s.empty() ? "?" : s;
}
const char* base(const char* f) { const char* s = f ? strrchr(f, '/') : nullptr; return s ? s + 1 : (f ? f : "?"); }
std::string ranges(const std::vector<int>& v) {
  std::string s; for (size_t i = 0; i < v.size();) { size_t j = i; while (j + 1 < v.size() && v[j + 1] == v[j] + 1) ++j;
    if (!s.empty()) s += ",";
    s += std::to_string(v[i]);
    if (j > i) s += "-" + std::to_string(v[j]);
    i = j + 1; }
  return s;
}
const char* op_name(Op o) {
  static const char* n[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync", "__shfl_xor_sync", "__ballot_sync", "__any_sync",
                            "__all_sync", "__syncwarp", "__reduce_add_sync", "__reduce_min_sync", "__reduce_max_sync", "mma.sync", "ldmatrix"};
  return n[static_cast<int>(o)];
}
void record_failure(const std::string& msg) {
  if (g_failed) return;
  g_mute = true;
  std::string k = g_launch ? sym(g_launch->kernel, true) : "?";
  for (size_t q; (q = k.find("(anonymous namespace)::")) != std::string::npos;) k.erase(q, 23);
  size_t p = k.find('('); if (p != std::string::npos) k.resize(p);
  if (k.rfind("void ", 0) == 0) k.erase(0, 5);
  g_failed = true;
  report_failure("kernel " + k + ": " + msg);
}

// ---------------- context switch ----------------
void fiber_main();
#ifndef SIMT_USE_UCONTEXT
extern "C" void simt_switch(void** save, void* to);
asm(R"(
.text
.globl simt_switch
.hidden simt_switch
.type simt_switch,@function
simt_switch:
  .cfi_startproc
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .cfi_endproc
.size simt_switch,.-simt_switch
)");
#endif
void alloc_stack(Fiber* f) {
  size_t pg = 4096;
  char* m = static_cast<char*>(mmap(nullptr, kStack + pg, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (m == MAP_FAILED) { perror("simt: stack"); abort(); }
  mprotect(m, pg, PROT_NONE);   // guard page: overflow faults
  f->stack = m + pg;
}
void prepare(Fiber* f) {
#ifdef SIMT_ASAN
  if (f->dirty) __asan_unpoison_memory_region(f->stack, kStack);          // abandoned by a failure
  else __asan_unpoison_memory_region(f->stack + kStack - 4096, 4096);       // fiber_main never returns
#endif
  f->dirty = true; f->fake = nullptr;
#ifdef SIMT_USE_UCONTEXT
  getcontext(&f->uc); f->uc.uc_stack.ss_sp = f->stack; f->uc.uc_stack.ss_size = kStack; f->uc.uc_link = nullptr;
  makecontext(&f->uc, &fiber_main, 0);
#else
  void** s = reinterpret_cast<void**>(f->stack + kStack) - 1;
  *s-- = nullptr;                                   // return address of fiber_main: none (rsp is 8 mod 16 at entry)
  *s-- = reinterpret_cast<void*>(&fiber_main);
  for (int i = 0; i < 6; ++i) *s-- = nullptr;
  f->sp = s + 1;
#endif
}
// Switch from the current context (fiber or main when null) to `to` (null: main).
void swap_to(Fiber* from, Fiber* to, bool dying = false) {
  g_cur = to; ++g_stats.switches;
  if (to) { g_threadIdx = to->tid; g_blockIdx = to->blk->idx; }
#ifdef SIMT_ASAN
  void** save = from ? &from->fake : &g_main_fake;
  __sanitizer_start_switch_fiber(dying ? nullptr : save, to ? to->stack : g_main_bottom, to ? kStack : g_main_size);
#endif
  (void)dying;
#ifdef SIMT_USE_UCONTEXT
  swapcontext(from ? &from->uc : &g_main_uc, to ? &to->uc : &g_main_uc);
#else
  simt_switch(from ? &from->sp : &g_main_sp, to ? to->sp : g_main_sp);
#endif
#ifdef SIMT_ASAN
  __sanitizer_finish_switch_fiber(from ? from->fake : g_main_fake, nullptr, nullptr);
#endif
}
void push_ready(Fiber* f) { f->st = St::Ready; g_ready.push_back(f); }
Fiber* pop_ready() {
  if (g_head == g_ready.size()) { g_ready.clear(); g_head = 0; return nullptr; }
  if (g_cfg.seed) { size_t i = g_head + rnd() % (g_ready.size() - g_head); std::swap(g_ready[i], g_ready[g_head]); }
  Fiber* f = g_ready[g_head++];
  if (g_head > 4096 && g_head * 2 > g_ready.size()) { g_ready.erase(g_ready.begin(), g_ready.begin() + static_cast<long>(g_head)); g_head = 0; }
  return f;
}
void yield(bool dying = false) {
  Fiber* me = g_cur; Fiber* nx = g_failed ? nullptr : pop_ready();
  if (nx == me) { return; }
  swap_to(me, nx, dying);
}
void fiber_main() {
#ifdef SIMT_ASAN
  const void* ob; size_t os; __sanitizer_finish_switch_fiber(g_cur->fake, &ob, &os);
  if (!g_main_bottom) { g_main_bottom = ob; g_main_size = os; }
#endif
  g_launch->thunk(g_launch->args);
  g_mute = true;
  Fiber* f = g_cur; Blk* b = f->blk; Warp* w = f->warp;
  f->st = St::Exited; w->exited |= 1u << f->lane; --b->live; ++b->exited; if (b->first_exit < 0) b->first_exit = f->lin;
  bool pend = false; for (auto& a : f->async) pend |= a.group < f->group;
  if (pend) record_failure("thread " + std::to_string(f->lin) + " exits with cp.async groups that it never waited for");
  if (!g_failed) for (auto& r : w->rv) if (r.mask & (1u << f->lane)) {
    char m[512]; snprintf(m, sizeof m, "block (%u,%u,%u): thread %d (warp %d lane %d) exits while lanes 0x%08x of its warp wait for it at %s (mask 0x%08x, %s:%d)",
      b->idx.x, b->idx.y, b->idx.z, f->lin, w->id, f->lane, r.arrived, op_name(r.arg[__builtin_ctz(r.arrived)]->op), r.mask,
      base(r.arg[__builtin_ctz(r.arrived)]->file), r.arg[__builtin_ctz(r.arrived)]->line);
    record_failure(m); break; }
  if (!g_failed && b->bar_n && g_cfg.strict) {
    char m[512]; snprintf(m, sizeof m, "block (%u,%u,%u): thread %d exits without reaching the __syncthreads at %s:%d where %d threads wait",
      b->idx.x, b->idx.y, b->idx.z, f->lin, base(b->bfile), b->bline, b->bar_n);
    record_failure(m); }
  f->async.clear(); f->dirty = g_failed; if (!g_failed) g_mute = false;
  yield(true);
  __builtin_unreachable();
}

#ifdef SIMT_RACE
// ---------------- race / init / bounds detector ----------------
struct Rec { uint32_t epoch, clock, pc; uint16_t tid; uint8_t mask, flags; };  // flags: 1 atomic, 2 async pending
struct Cell { Rec w, r1, r2; };
Cell* g_shadow = nullptr; uintptr_t g_pcbase = 0;
std::unordered_map<uintptr_t, std::vector<std::pair<uint32_t, int>>> g_release;
struct Range { uintptr_t lo, hi; bool w; }; std::vector<Range> g_modules;
void init_shadow() {
  if (g_shadow) return;
  void* p = mmap(nullptr, kArenaBytes / 2 * sizeof(Cell), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) { perror("simt: shadow"); abort(); }
  g_shadow = static_cast<Cell*>(p);
}
void load_modules() {
  g_modules.clear();
  dl_iterate_phdr([](dl_phdr_info* i, size_t, void*) { for (int k = 0; k < i->dlpi_phnum; ++k) { auto& p = i->dlpi_phdr[k];
    if (p.p_type == PT_LOAD) g_modules.push_back({i->dlpi_addr + p.p_vaddr, i->dlpi_addr + p.p_vaddr + p.p_memsz, (p.p_flags & PF_W) != 0}); } return 0; }, nullptr);
}
void shadow_mark_host(const void* p, size_t n) {   // host wrote it
  if (!g_shadow) return;
  size_t o = static_cast<size_t>(static_cast<const char*>(p) - g_arena);
  for (size_t c = o / 2; c <= (o + n - 1) / 2 && n; ++c) { Cell& x = g_shadow[c]; x = Cell{}; x.w.epoch = 1; x.w.mask = 3; }
}
void shadow_clear(const void* p, size_t n) {
  if (!g_shadow) return;
  size_t o = static_cast<size_t>(static_cast<const char*>(p) - g_arena);
  memset(static_cast<void*>(g_shadow + o / 2), 0, (n + 1) / 2 * sizeof(Cell));
}
inline bool ordered(const Rec& r, const Fiber* f, const Blk* b, bool shared) {
  if (r.epoch == b->epoch) {
    if (r.tid == f->lin) return true;
    return (r.tid >> 5) == (f->lin >> 5) && f->vc[r.tid & 31] >= r.clock;
  }
  if (shared) return true;                         // an earlier barrier phase, or an earlier block in this slot
  if (r.epoch < g_launch_epoch) return true;       // an earlier launch, or the host
  uint32_t s = g_blockof[r.epoch - g_launch_epoch];
  if (s == b->serial) return true;
  auto it = b->acquired.find(s);
  return it != b->acquired.end() && (r.epoch < it->second.first || (r.epoch == it->second.first && r.tid == it->second.second));
}
std::vector<std::pair<const char*, int>> g_sites;   // source locations passed by the wrappers: pc with the top bit set
uint32_t site(const char* f, int l) {
  for (size_t i = 0; i < g_sites.size(); ++i) if (g_sites[i].second == l && !strcmp(g_sites[i].first, f)) return 0x80000000u | static_cast<uint32_t>(i);
  g_sites.push_back({f, l}); return 0x80000000u | static_cast<uint32_t>(g_sites.size() - 1);
}
std::string where(uint32_t pc) {
  if (pc >> 31) { auto& q = g_sites[pc & 0x7fffffffu]; return std::string(base(q.first)) + ":" + std::to_string(q.second); }
  return sym(reinterpret_cast<void*>(g_pcbase + pc - 1), false);
}
std::string thr(const Blk* b, int lin) {
  char s[96]; int bx = static_cast<int>(g_blockDim.x), by = static_cast<int>(g_blockDim.y);
  snprintf(s, sizeof s, "thread (%d,%d,%d) of block (%u,%u,%u)", lin % bx, lin / bx % by, lin / bx / by, b->idx.x, b->idx.y, b->idx.z); return s;
}
[[gnu::noinline]] void fail_here(Fiber* f, const std::string& m) { g_mute = true; record_failure(thr(f->blk, f->lin) + " " + m); Fiber* me = g_cur; if (me) swap_to(me, nullptr); }
[[gnu::noinline]] void race(Fiber* f, const Rec& o, bool ow, bool w, uintptr_t a, uint32_t pc, bool shared) {
  g_mute = true; std::string who; if (o.epoch == f->blk->epoch || shared) who = thr(f->blk, o.tid); else who = "thread " + std::to_string(o.tid) + " of another block";
  char s[64]; snprintf(s, sizeof s, "%s+0x%lx", shared ? "shared" : "global", a - reinterpret_cast<uintptr_t>(g_arena));
  if (o.flags & 2) { g_mute = true; fail_here(f, std::string(w ? "writes " : "reads ") + s + " (" + where(pc) + ") while a cp.async into it by " + who + " (" + where(o.pc) + ") has not been waited for"); return; }
  fail_here(f, std::string("RACE: ") + (w ? "write" : "read") + " of " + s + " at " + where(pc) + " is unordered with " +
                   (o.flags & 1 ? "atomic" : ow ? "write" : "read") + " by " + who + " at " + where(o.pc));
}
void access_impl(Fiber* f, uintptr_t a, unsigned n, bool w, uint8_t flags, uintptr_t pcv, unsigned align) {
  if (a - reinterpret_cast<uintptr_t>(f->stack) < kStack) return;    // own locals
  uint32_t pc = static_cast<uint32_t>(pcv - g_pcbase);
  uintptr_t off = a - reinterpret_cast<uintptr_t>(g_arena);
  if (off >= kArenaBytes) {
    uintptr_t ar = reinterpret_cast<uintptr_t>(g_launch->args);
    if (!w && a - ar < g_launch->arg_bytes + 64) return;
    for (auto& m : g_modules) if (a >= m.lo && a < m.hi) { if (!w) return; break; }
    for (auto* o : g_pool) if (o != f && a - reinterpret_cast<uintptr_t>(o->stack) < kStack) {
      g_mute = true; fail_here(f, std::string(w ? "writes" : "reads") + " a local variable of another thread at " + where(pc)); return; }
    char s[96]; snprintf(s, sizeof s, "%s %u bytes at %p, which is not device memory, at ", w ? "writes" : "reads", n, reinterpret_cast<void*>(a));
    g_mute = true; fail_here(f, s + where(pc)); return;
  }
  ++g_stats.accesses;
  if (align > 1 && (a & (align - 1))) { g_mute = true; fail_here(f, "misaligned " + std::to_string(n) + "-byte access at " + where(pc)); return; }
  for (uintptr_t o = off; o < off + n;) { uintptr_t e = (o | 15) + 1; uintptr_t lim = std::min(e, off + n);
    if (g_valid[o / 16] < lim - (o & ~uintptr_t(15))) {
      char s[160]; snprintf(s, sizeof s, "OUT OF BOUNDS: %u-byte %s of %s memory at ", n, w ? "write" : "read", off < kSharedBytes ? "shared" : "global");
      g_mute = true; fail_here(f, s + where(pc)); return; }
    o = lim; }
  Blk* b = f->blk; const bool sh = off < kSharedBytes;
  if (sh && !in_slot(b, reinterpret_cast<void*>(a), n)) { g_mute = true; fail_here(f, "accesses shared memory of another block at " + where(pc)); return; }
  for (uintptr_t c = off / 2; c <= (off + n - 1) / 2; ++c) {
    Cell& x = g_shadow[c];
    uint8_t mask = 3; if (c * 2 < off) mask &= 2; if (c * 2 + 2 > off + n) mask &= 1;
    bool live = !sh || x.w.epoch >= b->start_epoch;
    if (!w || (flags & 1)) if (x.w.epoch == 0 || !live) { g_mute = true; fail_here(f, std::string("reads uninitialised ") + (sh ? "shared" : "global") + " memory at " + where(pc)); return; }
    if (live && x.w.epoch && (x.w.mask & mask)) {
      if ((x.w.flags & 2) && x.w.epoch >= b->start_epoch && sh && !(flags & 4)) { race(f, x.w, true, w, a, pc, sh); return; }
      if (!((x.w.flags & 1) && (flags & 1)) && !ordered(x.w, f, b, sh)) { race(f, x.w, true, w, a, pc, sh); return; }
    }
    Rec me{b->epoch, f->vc[f->lane], pc, static_cast<uint16_t>(f->lin), mask, static_cast<uint8_t>(flags & 3)};
    if (w) {
      if (x.r1.epoch && (!sh || x.r1.epoch >= b->start_epoch) && (x.r1.mask & mask) && !ordered(x.r1, f, b, sh)) { race(f, x.r1, false, w, a, pc, sh); return; }
      if (x.r2.epoch && (!sh || x.r2.epoch >= b->start_epoch) && (x.r2.mask & mask) && !ordered(x.r2, f, b, sh)) { race(f, x.r2, false, w, a, pc, sh); return; }
      if (x.w.epoch == me.epoch && x.w.tid == me.tid) me.mask |= x.w.mask;
      x.w = me; if (mask == 3) x.r1 = x.r2 = Rec{};
    } else {
      if (!x.r1.epoch || ordered(x.r1, f, b, sh)) x.r1 = me;
      else if (!x.r2.epoch || ordered(x.r2, f, b, sh) || ((x.r2.tid >> 5) == (x.r1.tid >> 5) && (me.tid >> 5) != (x.r1.tid >> 5))) x.r2 = me;
    }
  }
}
#endif
}  // namespace
#ifdef SIMT_RACE
void race_memory_allocated(void* block, size_t bytes) { init_arena(); init_shadow(); set_valid(static_cast<char*>(block), bytes, true); shadow_clear(block, bytes); }
void race_memory_freed(void* block, size_t bytes) { set_valid(static_cast<char*>(block), bytes, false); }
void race_host_wrote(void* pointer, size_t bytes) { shadow_mark_host(pointer, bytes); }
bool race_is_initialised(const void* p, size_t n) {
  size_t o = static_cast<size_t>(static_cast<const char*>(p) - g_arena);
  for (size_t c = o / 2; c <= (o + n - 1) / 2; ++c) if (!g_shadow[c].w.epoch) return false;
  return true;
}
#endif

#ifdef SIMT_RACE
static inline void hook(const void* p, unsigned n, bool w, void* pc, unsigned align) {
  Fiber* f = g_cur; if (__builtin_expect(!f || g_mute, 0)) return;
  access_impl(f, reinterpret_cast<uintptr_t>(p), n, w, 0, reinterpret_cast<uintptr_t>(pc), align);
  if (g_cfg.preempt > 0 && static_cast<double>(rnd() >> 11) * 0x1p-53 < g_cfg.preempt) { push_ready(f); yield(); }
}
#endif

const char* build_kind() {
#if defined(SIMT_RACE)
  return "race";
#elif defined(SIMT_ASAN)
  return "asan";
#else
  return "fast";
#endif
}
[[noreturn]] static void stop_here() { swap_to(g_cur, nullptr); __builtin_unreachable(); }
void device_fail(const char* fmt, ...) {
  g_mute = true;
  char m[1024]; va_list ap; va_start(ap, fmt); vsnprintf(m, sizeof m, fmt, ap); va_end(ap);
  Fiber* f = g_cur; char h[160];
  snprintf(h, sizeof h, "block (%u,%u,%u) thread (%u,%u,%u): ", f->blk->idx.x, f->blk->idx.y, f->blk->idx.z, f->tid.x, f->tid.y, f->tid.z);
  record_failure(std::string(h) + m); stop_here();
}

// ---------------- shared memory ----------------
static char* slot_alloc(Blk* b, size_t bytes) {
  size_t need = (bytes + 15) & ~size_t(15);
  size_t at = (b->used + 127) & ~size_t(127);
  if (at + need + kRedzone > kSharedSlotBytes) device_fail("emulator shared arena exhausted");
  char* p = b->arena + at; b->used = at + need + kRedzone;
#ifdef SIMT_ASAN
  __asan_unpoison_memory_region(p, bytes);
#else
  set_valid(p, bytes, true);
#endif
  memset(p, 0xff, bytes);   // NaN as fp32, bf16 and fp16
  return p;
}
void* shared_static(const void* key, size_t bytes, size_t, const char* name) {
  Blk* b = g_cur->blk;
  for (auto& a : b->st) if (a.key == key) return a.p;
  b->st_bytes += (bytes + 15) & ~size_t(15);
  if (b->st_bytes > 48 * 1024) device_fail("static shared memory over 48 KB (%zu bytes with %s)", b->st_bytes, name);
  char* p = slot_alloc(b, bytes); b->st.push_back({key, p, bytes, name}); return p;
}
void* shared_dyn_take(int k, size_t bytes, const char* file, int line) {
  Blk* b = g_cur->blk;
  if (k < static_cast<int>(b->dyn.size())) {
    if (b->dyn[static_cast<size_t>(k)].bytes != bytes) device_fail("threads disagree on the dynamic shared memory layout (%s:%d)", base(file), line);
    return b->dyn[static_cast<size_t>(k)].p;
  }
  b->dyn_bytes += (bytes + 15) & ~size_t(15);
  if (b->dyn_bytes > g_launch->smem)
    device_fail("takes %zu bytes of dynamic shared memory, the launch gave %zu (%s:%d)", b->dyn_bytes, g_launch->smem, base(file), line);
  char* p = slot_alloc(b, bytes); b->dyn.push_back({nullptr, p, bytes, "dyn"}); return p;
}

// ---------------- barriers and collectives ----------------
unsigned block_barrier(int kind, unsigned pred, const char* file, int line) {
  Fiber* f = g_cur; Blk* b = f->blk;
  if (b->exited && g_cfg.strict) device_fail("__syncthreads at %s:%d after %d threads of the block have exited (first: thread %d)", base(file), line, b->exited, b->first_exit);
  if (b->bar_n == 0) { b->bar_kind = kind; b->bfile = file; b->bline = line; b->bar_acc = kind == 2 ? 1u : 0u; }
  else if (g_cfg.strict && (b->bar_kind != kind || b->bline != line || strcmp(b->bfile, file)))
    device_fail("divergent barrier: this thread is at __syncthreads %s:%d, %d others wait at %s:%d", base(file), line, b->bar_n, base(b->bfile), b->bline);
  b->bar_acc = kind == 1 ? b->bar_acc + pred : kind == 2 ? (b->bar_acc & pred) : (b->bar_acc | pred);
  f->wfile = file; f->wline = line; f->wop = "__syncthreads";
  if (++b->bar_n == b->n - b->exited) {
    b->bar_out = b->bar_acc; b->bar_n = 0; ++g_stats.barriers;
    b->epoch = ++g_epoch; g_blockof.push_back(b->serial);
    for (auto* o : b->f) if (o != f && o->st == St::Bar) push_ready(o);
    unsigned r = b->bar_out;
    if (g_cfg.seed && (rnd() & 1)) { push_ready(f); yield(); }   // the last arriver does not always go first
    return r;
  }
  f->st = St::Bar; yield();
  return b->bar_out;
}
static float dec(uint32_t r, int hi, int f16) {
  unsigned short u = static_cast<unsigned short>(hi ? r >> 16 : r & 0xffff);
  return f16 ? f16_to_f32(u) : __uint_as_float(static_cast<unsigned>(u) << 16);
}
static void complete(Blk* b, Rv& r) {
  WarpArg* a0 = r.arg[__builtin_ctz(r.mask)]; ++g_stats.collectives;
  const unsigned m = r.mask; uint64_t acc = 0;
  switch (a0->op) {
    case Op::Shfl: case Op::ShflUp: case Op::ShflDown: case Op::ShflXor:
      for (int l = 0; l < 32; ++l) if (m >> l & 1) {
        WarpArg* a = r.arg[l]; int w = a->p2;
        if (w < 1 || w > 32 || (w & (w - 1))) device_fail("%s: width %d is not a power of two up to 32 (%s:%d)", op_name(a->op), w, base(a->file), a->line);
        int lo = l & ~(w - 1), hi = lo + w - 1, s;
        if (a->op == Op::Shfl) s = lo | (a->p1 & (w - 1));
        else if (a->op == Op::ShflUp) { s = l - a->p1; if (s < lo) s = l; }
        else if (a->op == Op::ShflDown) { s = l + a->p1; if (s > hi) s = l; }
        else { s = l ^ a->p1; if (s > hi) s = l; }
        if (s < 0 || s > 31 || !(m >> s & 1)) device_fail("%s at %s:%d: lane %d reads lane %d, which is not in mask 0x%08x", op_name(a->op), base(a->file), a->line, l, s, m);
        a->out = r.arg[s]->in;
      }
      break;
    case Op::Ballot: case Op::Any: case Op::All:
      for (int l = 0; l < 32; ++l) if (m >> l & 1 && r.arg[l]->in) acc |= 1ull << l;
      if (a0->op == Op::Any) acc = acc != 0; else if (a0->op == Op::All) acc = acc == m;
      for (int l = 0; l < 32; ++l) if (m >> l & 1) r.arg[l]->out = acc;
      break;
    case Op::ReduxAdd: for (int l = 0; l < 32; ++l) if (m >> l & 1) acc += static_cast<uint32_t>(r.arg[l]->in);
      for (int l = 0; l < 32; ++l) if (m >> l & 1) r.arg[l]->out = static_cast<uint32_t>(acc);
      break;
    case Op::ReduxMin: case Op::ReduxMax: device_fail("%s not emulated", op_name(a0->op));
    case Op::SyncWarp: {
      uint32_t j[32] = {};
      for (int l = 0; l < 32; ++l) if (m >> l & 1) for (int k = 0; k < 32; ++k) j[k] = std::max(j[k], r.fib[l]->vc[k]);
      for (int l = 0; l < 32; ++l) if (m >> l & 1) { memcpy(r.fib[l]->vc, j, sizeof j); ++r.fib[l]->vc[l]; }
      break; }
    case Op::Mma: {
      ++g_stats.mma; float A[16][16], B[16][8];
      for (int l = 0; l < 32; ++l) { auto a = static_cast<const uint32_t*>(r.arg[l]->cin[0]); auto q = static_cast<const uint32_t*>(r.arg[l]->cin[1]);
        int g = l >> 2, t = l & 3, h = r.arg[l]->p1;
        for (int e = 0; e < 2; ++e) {
          A[g][2 * t + e] = dec(a[0], e, h); A[g + 8][2 * t + e] = dec(a[1], e, h);
          A[g][2 * t + 8 + e] = dec(a[2], e, h); A[g + 8][2 * t + 8 + e] = dec(a[3], e, h);
          B[2 * t + e][g] = dec(q[0], e, h); B[2 * t + 8 + e][g] = dec(q[1], e, h); } }
      for (int l = 0; l < 32; ++l) { auto c = static_cast<const float*>(r.arg[l]->cin[2]); auto d = static_cast<float*>(r.arg[l]->cout);
        int g = l >> 2, t = l & 3;
        for (int i = 0; i < 4; ++i) { int row = g + (i >> 1) * 8, col = 2 * t + (i & 1); double s = c[i];
          for (int k = 0; k < 16; ++k) s += static_cast<double>(A[row][k]) * B[k][col];
          d[i] = static_cast<float>(s); } }
      break; }
    case Op::Ldmatrix: {
      int n = a0->p1, tr = a0->p2; uint16_t M[4][8][8];
      for (int l = 0; l < 8 * n; ++l) { const void* p = r.arg[l]->cin[0];
        if (reinterpret_cast<uintptr_t>(p) & 15) device_fail("ldmatrix at %s:%d: lane %d row address is not 16-byte aligned", base(a0->file), a0->line, l);
        if (!in_slot(b, p, 16)) device_fail("ldmatrix at %s:%d: lane %d row address is not in shared memory", base(a0->file), a0->line, l);
#ifdef SIMT_RACE
        access_impl(r.fib[l], reinterpret_cast<uintptr_t>(p), 16, false, 0, g_pcbase + site(a0->file, a0->line), 16); if (g_failed) stop_here();
#endif
        memcpy(M[l >> 3][l & 7], p, 16); }
      for (int l = 0; l < 32; ++l) { auto d = static_cast<uint32_t*>(r.arg[l]->cout);
        for (int i = 0; i < n; ++i) {
          uint32_t x, y;
          if (!tr) { x = M[i][l >> 2][(l & 3) * 2]; y = M[i][l >> 2][(l & 3) * 2 + 1]; }
          else { x = M[i][(l & 3) * 2][l >> 2]; y = M[i][(l & 3) * 2 + 1][l >> 2]; }
          d[i] = x | y << 16; } }
      break; }
  }
}
void warp_collective(WarpArg& a) {
  Fiber* f = g_cur; Warp* w = f->warp; const unsigned bit = 1u << f->lane;
  if (!(a.mask & bit)) device_fail("%s at %s:%d with mask 0x%08x, which does not name the calling lane %d", op_name(a.op), base(a.file), a.line, a.mask, f->lane);
  if (a.mask & ~w->exist) device_fail("%s at %s:%d: mask 0x%08x names lanes that this warp does not have (0x%08x)", op_name(a.op), base(a.file), a.line, a.mask, w->exist);
  if (a.mask & w->exited) device_fail("%s at %s:%d: mask 0x%08x names exited lanes 0x%08x", op_name(a.op), base(a.file), a.line, a.mask, a.mask & w->exited);
  Rv* r = nullptr;
  for (auto& x : w->rv) {
    if (x.mask == a.mask) { r = &x; break; }
    if ((x.mask & bit) && (x.arrived & a.mask)) { WarpArg* o = x.arg[__builtin_ctz(x.arrived)];
      device_fail("mask mismatch: lane %d is at %s %s:%d with mask 0x%08x, lanes 0x%08x wait for it at %s %s:%d with mask 0x%08x", f->lane, op_name(a.op), base(a.file), a.line, a.mask,
                  x.arrived, op_name(o->op), base(o->file), o->line, x.mask); }
  }
  if (r) { WarpArg* o = r->arg[__builtin_ctz(r->arrived)];
    if (o->op != a.op || (g_cfg.strict && (o->line != a.line || strcmp(o->file, a.file))))
      device_fail("warp divergence: lane %d is at %s %s:%d, lanes 0x%08x wait at %s %s:%d", f->lane, op_name(a.op), base(a.file), a.line, r->arrived, op_name(o->op), base(o->file), o->line);
  } else { w->rv.emplace_back(); r = &w->rv.back(); r->mask = a.mask; }
  r->arrived |= bit; r->arg[f->lane] = &a; r->fib[f->lane] = f;
  if (r->arrived == r->mask) {
    complete(f->blk, *r);
    for (unsigned m = r->mask & ~bit; m; m &= m - 1) push_ready(r->fib[__builtin_ctz(m)]);
    *r = w->rv.back(); w->rv.pop_back();
    return;
  }
  f->st = St::WarpWait; f->wfile = a.file; f->wline = a.line; f->wop = op_name(a.op); f->wmask = a.mask;
  yield();
}

// ---------------- cp.async: data lands only at wait ----------------
void cp_async_issue(void* dst, const void* src, bool valid, const char* file, int line) {
  Fiber* f = g_cur;
  if (reinterpret_cast<uintptr_t>(dst) & 15 || (valid && reinterpret_cast<uintptr_t>(src) & 15)) device_fail("cp.async at %s:%d: address not 16-byte aligned", base(file), line);
  if (!in_slot(f->blk, dst, 16)) device_fail("cp.async at %s:%d: destination is not in shared memory", base(file), line);
#ifdef SIMT_RACE
  uintptr_t pc = g_pcbase + site(file, line);
  if (valid) access_impl(f, reinterpret_cast<uintptr_t>(src), 16, false, 0, pc, 16);
  if (!g_failed) access_impl(f, reinterpret_cast<uintptr_t>(dst), 16, true, 2, pc, 16);
  if (g_failed) stop_here();
#endif
  memset(dst, 0xff, 16);
  f->async.push_back({dst, src, valid, f->group, file, line});
}
void cp_async_commit_() { ++g_cur->group; }
void cp_async_wait_(int n) {
  Fiber* f = g_cur; size_t k = 0;
  for (auto& a : f->async) {
    if (a.group + static_cast<uint32_t>(n) < f->group) {
#ifdef SIMT_RACE
      size_t o = static_cast<size_t>(static_cast<char*>(a.dst) - g_arena);
      for (size_t c = o / 2; c < (o + 16) / 2; ++c) { Rec& w = g_shadow[c].w; w.flags &= static_cast<uint8_t>(~2); w.epoch = f->blk->epoch; w.clock = f->vc[f->lane]; }
#endif
      if (a.valid) memcpy(a.dst, a.src, 16); else memset(a.dst, 0, 16);
    } else f->async[k++] = a;
  }
  f->async.resize(k);
}
void thread_fence(int scope) {
  if (!scope) return;
  Blk* b = g_cur->blk; g_cur->fenced = true;
  for (auto& e : b->seen) { auto& q = b->acquired[e.first]; if (e.second.first >= q.first) q = e.second; }
  b->seen.clear();
}
void atomic_touch(const volatile void* p, size_t n) {
  if (reinterpret_cast<uintptr_t>(p) % n) device_fail("misaligned atomic");
#ifdef SIMT_RACE
  Fiber* f = g_cur; Blk* b = f->blk; auto a = reinterpret_cast<uintptr_t>(p);
  access_impl(f, a, static_cast<unsigned>(n), true, 1, reinterpret_cast<uintptr_t>(__builtin_return_address(0)), static_cast<unsigned>(n));
  if (g_failed) stop_here();
  auto& rel = g_release[a];
  for (auto& e : rel) { uint32_t s = g_blockof[e.first - g_launch_epoch]; if (s != b->serial) { auto& q = b->seen[s]; if (e.first >= q.first) q = e; } }
  if (f->fenced) rel.push_back({b->epoch, f->lin});
#endif
}

// ---------------- scheduler ----------------
static void start_block(const Launch& L, uint64_t lin, int slot, Blk& b) {
  int n = static_cast<int>(L.b.x * L.b.y * L.b.z);
  b = Blk{}; b.n = b.live = n; b.slot = slot; b.serial = static_cast<uint32_t>(lin);
  b.idx = uint3{static_cast<unsigned>(lin % L.g.x), static_cast<unsigned>(lin / L.g.x % L.g.y), static_cast<unsigned>(lin / L.g.x / L.g.y)};
  b.arena = g_arena + static_cast<size_t>(slot) * kSharedSlotBytes;
#ifdef SIMT_ASAN
  __asan_poison_memory_region(b.arena, kSharedSlotBytes);
#else
  memset(g_valid + static_cast<size_t>(b.arena - g_arena) / 16, 0, kSharedSlotBytes / 16);
#endif
  b.epoch = b.start_epoch = ++g_epoch; g_blockof.push_back(b.serial);
  b.w.resize(static_cast<size_t>((n + 31) / 32)); b.f.resize(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) {
    Fiber* f = g_pool[static_cast<size_t>(slot * n + i)]; b.f[static_cast<size_t>(i)] = f;
    f->blk = &b; f->lin = i; f->lane = i & 31; f->warp = &b.w[static_cast<size_t>(i / 32)]; f->warp->exist |= 1u << f->lane; f->warp->id = i / 32;
    f->tid = uint3{static_cast<unsigned>(i) % L.b.x, static_cast<unsigned>(i) / L.b.x % L.b.y, static_cast<unsigned>(i) / L.b.x / L.b.y};
    f->async.clear(); f->group = 0; f->fenced = false; for (auto& v : f->vc) v = 0;
    f->vc[f->lane] = 1;
    prepare(f); push_ready(f);
  }
  g_stats.threads += static_cast<uint64_t>(n); ++g_stats.blocks;
}
static void deadlock_report(std::vector<Blk>& bs) {
  std::string s = "deadlock:";
  for (auto& b : bs) { if (!b.live) continue;
    std::map<std::string, std::vector<int>> g;
    for (auto* f : b.f) { char k[200];
      if (f->st == St::Exited) snprintf(k, sizeof k, "exited");
      else if (f->st == St::Bar) snprintf(k, sizeof k, "at %s %s:%d", f->wop, base(f->wfile), f->wline);
      else if (f->st == St::WarpWait) snprintf(k, sizeof k, "at %s %s:%d mask 0x%08x", f->wop, base(f->wfile), f->wline, f->wmask);
      else snprintf(k, sizeof k, "ready");
      g[k].push_back(f->lin); }
    char h[80]; snprintf(h, sizeof h, " block (%u,%u,%u):", b.idx.x, b.idx.y, b.idx.z); s += h;
    for (auto& e : g) s += " threads " + ranges(e.second) + " " + e.first + ";"; }
  record_failure(s);
}
static void run_launch(Launch& L) {
  const Lock lock(mutex());
  init_arena();
  if (sticky_error() != cudaSuccess) return;
  g_launch = &L; g_failed = g_mute = false;
#ifdef SIMT_ASAN
  g_main_bottom = nullptr;   // another OS thread may launch
#endif
  g_blockDim = L.b; g_gridDim = L.g; ++g_stats.launches;
  g_rng = g_cfg.seed * 0x9E3779B97F4A7C15ull + 88172645463325252ull; if (!g_rng) g_rng = 1;
  g_ready.clear(); g_head = 0;
  g_launch_epoch = g_epoch + 1; g_blockof.clear();
#ifdef SIMT_RACE
  init_shadow(); g_release.clear(); load_modules();
  for (auto& m : g_modules) if (reinterpret_cast<uintptr_t>(L.kernel) >= m.lo && reinterpret_cast<uintptr_t>(L.kernel) < m.hi) g_pcbase = m.lo;
#endif
  uint64_t nb = static_cast<uint64_t>(L.g.x) * L.g.y * L.g.z; int n = static_cast<int>(L.b.x * L.b.y * L.b.z);
  int res = g_cfg.seed ? std::min<int>({g_cfg.resident_blocks, kSharedSlots, static_cast<int>(std::min<uint64_t>(nb, 8))}) : 1;
  while (g_pool.size() < static_cast<size_t>(res * n)) { auto* f = new Fiber; alloc_stack(f); g_pool.push_back(f); }
  std::vector<uint64_t> order(nb); for (uint64_t i = 0; i < nb; ++i) order[i] = i;
  if (g_cfg.seed) for (uint64_t i = nb; i > 1; --i) std::swap(order[i - 1], order[rnd() % i]);
  std::vector<Blk> bs(static_cast<size_t>(res)); uint64_t next = 0;
  for (auto& b : bs) if (next < nb) start_block(L, order[next++], static_cast<int>(&b - bs.data()), b);
  for (;;) {
    if (Fiber* f = pop_ready()) swap_to(nullptr, f);   // returns when nothing is ready, or on failure
    g_cur = nullptr;
    if (g_failed) break;
    bool any = false;
    for (auto& b : bs) { if (b.n && !b.live && next < nb) { start_block(L, order[next++], static_cast<int>(&b - bs.data()), b); any = true; } }
    if (any) continue;
    bool live = false; for (auto& b : bs) live |= b.live > 0;
    if (!live) break;
    deadlock_report(bs); break;
  }
  g_cur = nullptr; g_launch = nullptr;
  if (g_failed) { for (auto* f : g_pool) f->async.clear(); }
}

cudaError_t launch_raw(const void* k, void (*thunk)(void*), void* args, size_t bytes, dim3 g, dim3 b, size_t smem, cudaStream_t st, void (*drop)(void*)) {
  std::shared_ptr<void> own(args, drop);
  uint64_t n = static_cast<uint64_t>(b.x) * b.y * b.z;
  if (!n || n > 1024 || b.x > 1024 || b.y > 1024 || b.z > 64 || !g.x || !g.y || !g.z || g.x > 2147483647u || g.y > 65535 || g.z > 65535 || bytes > 4096 ||
      smem > g_cfg.shared_memory_per_block) return remember(cudaErrorInvalidConfiguration);
  return enqueue(st, [=]() { Launch L{k, thunk, own.get(), bytes, g, b, smem}; run_launch(L); });
}
struct TaskFailed {};
static const char* g_task = nullptr;
cudaError_t host_task(cudaStream_t stream, std::function<void()> task, const char* name) {
  return enqueue(stream, [task = std::move(task), name] {
    if (sticky_error() != cudaSuccess) return;
    g_task = name;
    try { task(); } catch (const TaskFailed&) {}
    g_task = nullptr;
  });
}
void check_device_range(const void* pointer, size_t bytes, bool write) {
  if (!bytes) return;
  const std::string what = std::string(g_task ? g_task : "?") + ": " + (write ? "write" : "read") + " of " + std::to_string(bytes) + " bytes";
  if (!is_device_range(pointer, bytes)) { report_failure(what + " is OUT OF BOUNDS: not inside one allocation"); throw TaskFailed{}; }
  if (write) { race_host_wrote(const_cast<void*>(pointer), bytes); return; }
  if (!race_is_initialised(pointer, bytes)) { report_failure(what + " reads uninitialised global memory"); throw TaskFailed{}; }
}
}  // namespace simt

#ifdef SIMT_RACE
// The hooks that -fsanitize=thread emits. libtsan is not linked.
using simt::hook;
#define PC __builtin_return_address(0)
extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define RW(n)                                                                           \
  void __tsan_read##n(void* p) { hook(p, n, false, PC, n); }                            \
  void __tsan_write##n(void* p) { hook(p, n, true, PC, n); }                            \
  void __tsan_unaligned_read##n(void* p) { hook(p, n, false, PC, 1); }                  \
  void __tsan_unaligned_write##n(void* p) { hook(p, n, true, PC, 1); }                  \
  void __tsan_volatile_read##n(void* p) { hook(p, n, false, PC, n); }                   \
  void __tsan_volatile_write##n(void* p) { hook(p, n, true, PC, n); }
RW(1) RW(2) RW(4) RW(8) RW(16)
void __tsan_read_range(void* p, size_t n) { hook(p, static_cast<unsigned>(n), false, PC, 1); }
void __tsan_write_range(void* p, size_t n) { hook(p, static_cast<unsigned>(n), true, PC, 1); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
#endif
