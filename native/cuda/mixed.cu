// Batches whose sequences are of several adapters:
//
//   lora     down   h (run,r) = inp (run,k) · Aᵀ
//            up     out (run,n) += scaling · h · Bᵀ
//   dora     out (run,n) += (scale − 1) ∘ (out − bias)
//   linear   out (B,n) = inp (B,k) · weightᵀ + bias
//
// A run is what a tile of 16 rows has of neighbours of one adapter; a block does the runs of its tile one after the
// other. Which adapter a row belongs to is read from device memory, so that a recording serves any mix.
#include <algorithm>

#include "cuda/lora_tiles.cuh"
#include "cuda/operations.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {
namespace {

using namespace low_rank;

// Of a tile: wider ones would not fit the registers beside the search for runs.
constexpr int kRank = 16;

// Which adapter each row of a batch belongs to.
struct Mix {
  const DeviceState* state;
  const int32_t* cu_seqlens;  // (B + 1); null: a row is a sequence
  const int32_t* slots;       // of the order

  __device__ __forceinline__ int slot(int sequence) const { return slots[state->step.order_begin + sequence]; }
  // One past the last row of a sequence.
  __device__ __forceinline__ int end_of(int sequence) const {
    return cu_seqlens == nullptr ? sequence + 1 : cu_seqlens[sequence + 1];
  }
  // The sequence of a live row.
  __device__ __forceinline__ int sequence_of(int row) const {
    if (cu_seqlens == nullptr) return row;
    int first = 0, last = state->step.B - 1;
    while (first < last) {
      const int middle = (first + last) / 2;
      if (row < cu_seqlens[middle + 1]) {
        last = middle;
      } else {
        first = middle + 1;
      }
    }
    return first;
  }

  // Calls visit(row, rows, slot) for each run of the tile from row0 on; all threads of the block together.
  template <typename Visit>
  __device__ __forceinline__ void for_runs(int row0, Visit visit) const {
    const int live = cu_seqlens == nullptr ? state->step.B : state->step.T;
    const int end = min(row0 + kRows, live);
    if (row0 >= end) return;
    int sequence = sequence_of(row0);
    for (int row = row0; row < end;) {
      const int own = slot(sequence);
      int stop = end_of(sequence++);
      while (stop < end && slot(sequence) == own) stop = end_of(sequence++);
      stop = min(stop, end);
      visit(row, stop - row, own);
      row = stop;
    }
  }
};

template <typename T>
struct MixedLora {
  Mix mix;
  int n, k, r;  // r: of a row of h
  int inp_stride, out_stride;
  const LowRankFactors* updates;
  const T* inp;  // (rows,k)
  T* h;          // (rows,r): a run's own is dense from its first row on
  T* out;        // (rows,n)
};

template <typename T>
__device__ __forceinline__ const T* elements(const Real* pointer) {
  return reinterpret_cast<const T*>(pointer);
}

template <int N, typename T>
__device__ __forceinline__ bool is_aligned(const T* pointer) {
  constexpr size_t kBytes = sizeof(T) * N < 16 ? sizeof(T) * N : 16;
  return reinterpret_cast<uintptr_t>(pointer) % kBytes == 0;
}

// Grid (tiles of kRows rows, tiles of kRank ranks), block kThreads. kVector: inp allows it. The one block a
// multiprocessor that the bounds ask for keeps the compiler from spilling registers for the sake of more.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads, 1) mixed_down(MixedLora<T> args) {
  simt::wait_for_previous();
  using L = DownLayout<T, Factor::kAlongK, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  const int rank0 = blockIdx.y * kRank;
  args.mix.for_runs(blockIdx.x * kRows, [&](int row, int rows, int slot) {
    const LowRankFactors update = args.updates[slot];
    if (rank0 >= update.r) return;
    const T* a = elements<T>(update.a);
    const Down<T, NoMask> down{{rows, nullptr},
                               args.k,
                               update.r,
                               args.inp_stride,
                               1.f,
                               {},
                               args.inp + static_cast<int64_t>(row) * args.inp_stride,
                               a,
                               args.h + static_cast<int64_t>(row) * args.r};
    if (kVector && is_aligned<8>(a)) {
      down_tile<T, Factor::kAlongK, kRank, kVector>(down, 0, rank0, staged, sums);
    } else {
      down_tile<T, Factor::kAlongK, kRank, false>(down, 0, rank0, staged, sums);
    }
    __syncthreads();  // the sums have been read
  });
}

// Grid (tiles of kUpColumns columns, tiles of kRows rows), block kThreads. kVector: out and h allow it.
template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads, 1) mixed_up(MixedLora<T> args) {
  simt::wait_for_previous();
  using L = UpLayout<T, Factor::kAlongK, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  args.mix.for_runs(blockIdx.y * kRows, [&](int row, int rows, int slot) {
    const LowRankFactors update = args.updates[slot];
    if (update.r == 0) return;
    const T* b = elements<T>(update.b);
    const Up<T, NoMask> up{
        {rows, nullptr},
        args.n,
        args.out_stride,
        args.out + static_cast<int64_t>(row) * args.out_stride,
        1,
        {{update.r, static_cast<float>(update.scaling), {}, args.h + static_cast<int64_t>(row) * args.r, b}}};
    const int begin = blockIdx.x * kUpColumns, end = min(begin + kUpColumns, args.n);
    if (kVector && update.r % 4 == 0 && is_aligned<4>(b)) {
      up_rows<T, Factor::kAlongK, kRank, kVector>(up, 0, begin, end, staged, sums);
    } else {
      up_rows<T, Factor::kAlongK, kRank, false>(up, 0, begin, end, staged, sums);
    }
  });
}

template <typename T, bool kVector>
void launch_down(Context& context, int rows, const MixedLora<T>& args) {
  using L = DownLayout<T, Factor::kAlongK, kRank>;
  context.launch(mixed_down<T, kVector>, dim3(ceil_div(rows, kRows), ceil_div(args.r, kRank)), dim3(kThreads),
                 shared_bytes<T>(L::kStaged, L::kSums), args);
}

template <typename T, bool kVector>
void launch_up(Context& context, int rows, const MixedLora<T>& args) {
  using L = UpLayout<T, Factor::kAlongK, kRank>;
  context.launch(mixed_up<T, kVector>, dim3(ceil_div(args.n, kUpColumns), ceil_div(rows, kRows)), dim3(kThreads),
                 shared_bytes<T>(L::kStaged, L::kSums), args);
}

template <typename T>
void launch_lora(Context& context, int rows, const MixedLora<T>& args) {
  if (is_vectorizable<8>(args.inp, args.k, args.inp_stride)) {
    launch_down<T, true>(context, rows, args);
  } else {
    launch_down<T, false>(context, rows, args);
  }
  if (is_vectorizable<8>(args.out, args.n, args.out_stride) && is_vectorizable<4>(args.h, args.r, args.r)) {
    launch_up<T, true>(context, rows, args);
  } else {
    launch_up<T, false>(context, rows, args);
  }
}

template <typename T>
struct MixedDora {
  Mix mix;
  int n, out_stride;
  const LowRankFactors* updates;
  const T* bias;  // (n)
  T* out;         // (rows,n)
};

// Grid (padded rows, tiles of kThreads columns), block kThreads.
template <typename T>
__global__ void __launch_bounds__(kThreads) mixed_dora(MixedDora<T> args) {
  simt::wait_for_previous();
  const int row = blockIdx.x, column = blockIdx.y * kThreads + threadIdx.x;
  const StepState& step = args.mix.state->step;
  if (row >= (args.mix.cu_seqlens == nullptr ? step.B : step.T) || column >= args.n) return;
  const Acc* scale = args.updates[args.mix.slot(args.mix.sequence_of(row))].scale;
  if (scale == nullptr) return;
  T* out = args.out + static_cast<int64_t>(row) * args.out_stride + column;
  const float value = to_float(*out), base = value - to_float(args.bias[column]);
  *out = from_float<T>(value + (floats(scale)[column] - 1.f) * base);
}

template <typename T>
struct MixedLinear {
  Mix mix;
  int n, k, out_stride;
  const LinearFactors* linears;
  const T* inp;  // (B,k)
  T* out;        // (B,n)
};

// Grid (padded B, tiles of kWarps columns), block kThreads: a warp an output.
template <typename T>
__global__ void __launch_bounds__(kThreads) mixed_linear(MixedLinear<T> args) {
  simt::wait_for_previous();
  const int b = blockIdx.x, lane = threadIdx.x & 31;
  const int column = blockIdx.y * kWarps + (threadIdx.x >> 5);
  if (b >= args.mix.state->step.B || column >= args.n) return;
  const LinearFactors linear = args.linears[args.mix.slot(b)];
  if (linear.n == 0) return;
  float value = 0.f;
  if (column < linear.n) {
    const T* inp = args.inp + static_cast<int64_t>(b) * args.k;
    const T* weight = elements<T>(linear.weight) + static_cast<int64_t>(column) * args.k;
    for (int i = lane; i < args.k; i += 32) value += to_float(inp[i]) * to_float(weight[i]);
    value = warp_sum(value) + to_float(elements<T>(linear.bias)[column]);
  }
  if (lane == 0) args.out[static_cast<int64_t>(b) * args.out_stride + column] = from_float<T>(value);
}

Mix mix_of(const Context& context, Rows rows, const int32_t* slots) {
  return {context.state, rows.kind == RowKind::kTokens ? context.batch.cu_seqlens : nullptr, slots};
}

}  // namespace

template <typename T>
void mixed_lora_forward_add(Context& context, const MixedLoraForwardAdd& args) {
  if (args.rows.count == 0) return;
  const MixedLora<T> lora{mix_of(context, args.rows, args.slots),
                          args.n,
                          args.k,
                          args.r,
                          args.inp_stride,
                          args.out_stride,

                          args.updates,
                          scalars<T>(args.inp),
                          scalars<T>(args.h),
                          scalars<T>(args.out)};
  launch_lora(context, args.rows.count, lora);
}

template <typename T>
void mixed_dora_forward(Context& context, const MixedDoraForward& args) {
  if (args.rows.count == 0) return;
  const MixedDora<T> dora{mix_of(context, args.rows, args.slots),
                          args.n,
                          args.out_stride,
                          args.updates,
                          scalars<T>(args.bias),
                          scalars<T>(args.out)};
  context.launch(mixed_dora<T>, dim3(args.rows.count, ceil_div(args.n, kThreads)), dim3(kThreads), 0, dora);
}

template <typename T>
void mixed_linear_forward(Context& context, const MixedLinearForward& args) {
  if (context.batch.B == 0) return;
  const MixedLinear<T> linear{{context.state, nullptr, args.slots},
                              args.n,
                              args.k,
                              args.out_stride,
                              args.linears,
                              scalars<T>(args.inp),
                              scalars<T>(args.out)};
  context.launch(mixed_linear<T>, dim3(context.batch.B, ceil_div(args.n, kWarps)), dim3(kThreads), 0, linear);
}

template void mixed_lora_forward_add<float>(Context&, const MixedLoraForwardAdd&);
template void mixed_lora_forward_add<bf16>(Context&, const MixedLoraForwardAdd&);
template void mixed_dora_forward<float>(Context&, const MixedDoraForward&);
template void mixed_dora_forward<bf16>(Context&, const MixedDoraForward&);
template void mixed_linear_forward<float>(Context&, const MixedLinearForward&);
template void mixed_linear_forward<bf16>(Context&, const MixedLinearForward&);

}  // namespace bertune::cuda
