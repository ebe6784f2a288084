// Our own matrix product, for shapes and alignments that cuBLASLt is not good at:
//
//   out (m,n) = [out +] a (m,k) · b (k,n) [+ bias (n)],  a and b each stored either way round, and where a is stored as
//   (m,k) an activation of it, or the slope of one in it: see gemm.h
//
// A block makes one tile of out. Its warps share the tile's rows and, for small tiles, cut every step of k into slices,
// so that a few outputs with a long k keep a block busy too; the slices' sums are added up at the end, in order.
// Factors pass through a few stages of shared memory, the way round they are stored, zeros where they end.
#include "cuda/functions.cuh"
#include "cuda/gemm.h"
#include "cuda/mma.cuh"

namespace bertune::cuda {
namespace {

// A block's tile of (kTile,kTile) outputs, by kTile / 16 · kSlices warps.
template <int kTile>
struct Shape;
template <>
struct Shape<64> {
  static constexpr int kSlices = 1, kSliceBytes = 64, kStages = 4;
};
template <>
struct Shape<32> {
  static constexpr int kSlices = 2, kSliceBytes = 64, kStages = 4;
};
template <>
struct Shape<16> {
  static constexpr int kSlices = 8, kSliceBytes = 64, kStages = 2;
};

// One way round of a factor's tile in shared memory: kTile of its m or n, kDepth of its k.
template <typename T, int kTile, int kDepth, Factor kFactor>
struct Staged {
  static constexpr int kRows = kFactor == Factor::kAlongK ? kTile : kDepth;
  static constexpr int kColumns = kFactor == Factor::kAlongK ? kDepth : kTile;
  static constexpr int kPitch = shared_pitch<T>(kColumns);
  static constexpr int kCount = kRows * kPitch;
};

template <typename T, int kTile, Factor kA, Factor kB>
struct Layout {
  static constexpr int kSlices = Shape<kTile>::kSlices;
  static constexpr int kSlice = Shape<kTile>::kSliceBytes / static_cast<int>(sizeof(T));  // k of one warp's step
  static constexpr int kDepth = kSlice * kSlices;                                         // k of the block's step
  static constexpr int kThreads = kTile / 16 * kSlices * 32;
  using A = Staged<T, kTile, kDepth, kA>;
  using B = Staged<T, kTile, kDepth, kB>;
  static constexpr int kStage = A::kCount + B::kCount;
  static constexpr int kStages = Shape<kTile>::kStages;
  static constexpr int kSumPitch = kTile + 4;  // of the slices' sums, which take the stages' memory in the end
  static constexpr size_t kStageBytes = kStages * kStage * sizeof(T);
  static constexpr size_t kSumBytes = kSlices * kTile * kSumPitch * sizeof(float);
  static constexpr size_t kBytes = kStageBytes > kSumBytes ? kStageBytes : kSumBytes;
};

// A factor: element (i, p) of its m or n and its k.
template <typename T>
struct Operand {
  const T* data;
  int64_t stride;
  bool vectors;  // of 16 bytes can be copied
};

struct Output {
  void* data;        // (m,n)
  const void* bias;  // (n) or null
  int64_t stride;
  bool is_float;
  bool add;
  bool vectors;  // of kNeighbours, of all that is read and written
  // As in GemmArgs; data is null where `activated` is in its place.
  bool activates;
  Activation activation;
  RowCount rows;
  void* activated;
  int64_t activated_stride;
  const void* saved;  // (m,n) dense
  int n;
};

// Copies the tile from (first, depth) on to shared memory, zeros past `count` and past `k`. Of the tile's k only what
// slices with work read is written.
template <typename Tile, typename T, Factor kFactor, int kSlice, int kThreads>
__device__ __forceinline__ void stage(T* shared, const Operand<T>& operand, int first, int count, int depth, int k) {
  constexpr bool kAlong = kFactor == Factor::kAlongK;
  const int rows = (kAlong ? count - first : k - depth), columns = (kAlong ? k - depth : count - first);
  const int used = (k - depth + kSlice - 1) / kSlice * kSlice;  // of the tile's k
  const T* inp = operand.data + (kAlong ? first * operand.stride + depth : depth * operand.stride + first);
  if (operand.vectors) {
    constexpr int kVector = 16 / static_cast<int>(sizeof(T)), kAcross = Tile::kColumns / kVector;
    for (int i = threadIdx.x; i < Tile::kRows * kAcross; i += kThreads) {
      const int row = i / kAcross, column = i % kAcross * kVector;
      if ((kAlong ? column : row) >= used) continue;
      const bool valid = row < rows && column < columns;
      simt::cp_async16(shared + row * Tile::kPitch + column, valid ? inp + row * operand.stride + column : operand.data,
                       valid);
    }
  } else {
#pragma unroll 2  // more take more registers than there are
    for (int i = threadIdx.x; i < Tile::kRows * Tile::kColumns; i += kThreads) {
      const int row = i / Tile::kColumns, column = i % Tile::kColumns;
      if ((kAlong ? column : row) >= used) continue;
      const bool valid = row < rows && column < columns;
      shared[row * Tile::kPitch + column] = valid ? inp[row * operand.stride + column] : from_float<T>(0.f);
    }
  }
}

constexpr int kNeighbours = 4;  // that a thread writes together

// `value`: of the product, from (row, column) on.
template <typename Out, bool kActivates, int N>
__device__ __forceinline__ void write(const Output& output, int row, int column, float (&value)[N]) {
  Out* out = static_cast<Out*>(output.data) + row * output.stride + column;
  float other[N];
  if (output.add) {
    load_floats<N>(other, out);
#pragma unroll
    for (int i = 0; i < N; ++i) value[i] += other[i];
  }
  if (output.bias != nullptr) {
    load_floats<N>(other, static_cast<const Out*>(output.bias) + column);
#pragma unroll
    for (int i = 0; i < N; ++i) value[i] += other[i];
  }
  if (!kActivates || !output.activates) return store_floats<N>(out, value);

  // Of what a product by itself would leave.
#pragma unroll
  for (int i = 0; i < N; ++i) value[i] = rounded<Out>(value[i]);
  const bool live = row < output.rows.count();
  if (output.saved != nullptr) {
    load_floats<N>(other, static_cast<const Out*>(output.saved) + static_cast<int64_t>(row) * output.n + column);
    with_activation(output.activation, [&](auto function) {
#pragma unroll
      for (int i = 0; i < N; ++i) value[i] = live ? value[i] * decltype(function)::slope(other[i]) : 0.f;
    });
    return store_floats<N>(out, value);
  }
  if (output.data != nullptr) store_floats<N>(out, value);
  with_activation(output.activation, [&](auto function) {
#pragma unroll
    for (int i = 0; i < N; ++i) value[i] = live ? decltype(function)::value(value[i]) : 0.f;
  });
  store_floats<N>(static_cast<Out*>(output.activated) + row * output.activated_stride + column, value);
}

// Grid (tiles of n, tiles of m), block Layout::kThreads.
template <typename T, int kTile, Factor kA, Factor kB>
__global__ void __launch_bounds__(Layout<T, kTile, kA, kB>::kThreads)
    product(int m, int n, int k, Operand<T> a, Operand<T> b, Output output) {
  simt::wait_for_previous();
  using L = Layout<T, kTile, kA, kB>;
  DYN_SHARED(memory);
  unsigned char* bytes = memory.take<unsigned char>(static_cast<int>(L::kBytes));
  T* stages = reinterpret_cast<T*>(bytes);
  const int row0 = blockIdx.y * kTile, column0 = blockIdx.x * kTile;
  const int warp = threadIdx.x >> 5, slice = warp % L::kSlices, warp_row = warp / L::kSlices * 16;
  const int steps = (k + L::kDepth - 1) / L::kDepth;

  auto fetch = [&](int step) {
    if (step < steps) {
      T* shared = stages + step % L::kStages * L::kStage;
      stage<typename L::A, T, kA, L::kSlice, L::kThreads>(shared, a, row0, m, step * L::kDepth, k);
      stage<typename L::B, T, kB, L::kSlice, L::kThreads>(shared + L::A::kCount, b, column0, n, step * L::kDepth, k);
    }
    simt::cp_async_commit();
  };

  float acc[kTile / 8][4];
  clear(acc);
#pragma unroll
  for (int step = 0; step < L::kStages - 1; ++step) fetch(step);
  for (int step = 0; step < steps; ++step) {
    simt::cp_async_wait<L::kStages - 2>();
    __syncthreads();  // the step's factors are there, and those of the one before have been read
    fetch(step + L::kStages - 1);
    if (step * L::kDepth + slice * L::kSlice < k) {
      const T* tile_a = stages + step % L::kStages * L::kStage;
      const T* tile_b = tile_a + L::A::kCount;
      tile_a += kA == Factor::kAlongK ? warp_row * L::A::kPitch + slice * L::kSlice
                                      : slice * L::kSlice * L::A::kPitch + warp_row;
      tile_b += kB == Factor::kAlongK ? slice * L::kSlice : slice * L::kSlice * L::B::kPitch;
      tile_mma<kA, kB>(acc, tile_a, L::A::kPitch, tile_b, L::B::kPitch, L::kSlice);
    }
  }
  __syncthreads();  // sums take the stages' memory

  // (kSlices, kTile, kTile) sums, then outputs in rows.
  float* sums = reinterpret_cast<float*>(bytes);
  const int lane = threadIdx.x & 31;
  float* own = sums + (slice * kTile + warp_row + (lane >> 2)) * L::kSumPitch + 2 * (lane & 3);
#pragma unroll
  for (int j = 0; j < kTile / 8; ++j) {
    own[8 * j] = acc[j][0];
    own[8 * j + 1] = acc[j][1];
    own[8 * j + 8 * L::kSumPitch] = acc[j][2];
    own[8 * j + 8 * L::kSumPitch + 1] = acc[j][3];
  }
  __syncthreads();
  const auto finish = [&]<int N>(int i) {
    const int row = i * N / kTile, column = i * N % kTile;
    if (row0 + row >= m || column0 + column >= n) return;
    float value[N] = {};
#pragma unroll
    for (int s = 0; s < L::kSlices; ++s) {
      float part[N];
      load_floats<N>(part, &sums[(s * kTile + row) * L::kSumPitch + column]);
#pragma unroll
      for (int j = 0; j < N; ++j) value[j] += part[j];
    }
    constexpr bool kActivates = kA == Factor::kAlongK;
    if (output.is_float) {
      write<float, kActivates>(output, row0 + row, column0 + column, value);
    } else {
      write<bf16, kActivates>(output, row0 + row, column0 + column, value);
    }
  };
  if (output.vectors) {
    for (int i = threadIdx.x; i < kTile * kTile / kNeighbours; i += L::kThreads) {
      finish.template operator()<kNeighbours>(i);
    }
  } else {
    for (int i = threadIdx.x; i < kTile * kTile; i += L::kThreads) finish.template operator()<1>(i);
  }
}

template <typename T>
Operand<T> operand(const void* data, int columns, int stride) {
  const T* pointer = static_cast<const T*>(data);
  return {pointer, stride, is_vectorizable<16 / sizeof(T)>(pointer, columns, stride)};
}

// Out: the type of all that is read and written.
template <typename Out>
Output output_of(const Context& context, const GemmArgs& args) {
  const auto fits = [&](const void* pointer, int64_t stride) {
    return is_vectorizable<kNeighbours>(static_cast<const Out*>(pointer), args.n, stride);
  };
  return {args.activated == args.out ? nullptr : args.out,
          args.bias,
          args.out_stride,
          args.out_type == Element::kFloat,
          args.add,
          fits(args.out, args.out_stride) && fits(args.bias, 0) && fits(args.saved, 0) &&
              fits(args.activated, args.activated_stride),
          args.activates(),
          args.activation,
          args.activates() ? context.rows(args.rows) : RowCount{},
          args.activated,
          args.activated_stride,
          args.saved,
          args.n};
}

template <typename T, int kTile, Factor kA, Factor kB>
void launch_product(Context& context, const GemmArgs& args) {
  using L = Layout<T, kTile, kA, kB>;
  const dim3 grid(ceil_div(args.n, kTile), ceil_div(args.m, kTile));
  context.launch(product<T, kTile, kA, kB>, grid, dim3(L::kThreads), L::kBytes, args.m, args.n, args.k,
                 operand<T>(args.a, args.transpose_a ? args.m : args.k, args.a_stride),
                 operand<T>(args.b, args.transpose_b ? args.k : args.n, args.b_stride),
                 args.out_type == Element::kFloat ? output_of<float>(context, args) : output_of<bf16>(context, args));
}

template <typename T, int kTile>
void launch_tile(Context& context, const GemmArgs& args) {
  constexpr Factor kAlong = Factor::kAlongK, kAcross = Factor::kAcrossK;
  if (args.transpose_a) {
    args.transpose_b ? launch_product<T, kTile, kAcross, kAlong>(context, args)
                     : launch_product<T, kTile, kAcross, kAcross>(context, args);
  } else {
    args.transpose_b ? launch_product<T, kTile, kAlong, kAlong>(context, args)
                     : launch_product<T, kTile, kAlong, kAcross>(context, args);
  }
}

// The largest tile that gives every multiprocessor a block.
template <typename T>
void launch(Context& context, const GemmArgs& args) {
  const auto is_enough = [&](int tile) {
    return static_cast<int64_t>(ceil_div(args.m, tile)) * ceil_div(args.n, tile) >= context.multiprocessors;
  };
  if (is_enough(64)) {
    launch_tile<T, 64>(context, args);
  } else if (is_enough(32)) {
    launch_tile<T, 32>(context, args);
  } else {
    launch_tile<T, 16>(context, args);
  }
}

}  // namespace

void small_gemm(Context& context, const GemmArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  args.inp == Element::kBf16 ? launch<bf16>(context, args) : launch<float>(context, args);
}

}  // namespace bertune::cuda
