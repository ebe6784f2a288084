// Low-rank updates (Hu et al., "LoRA", 2021):
//
//   forward   down   h (rows,r) = dropout(inp) (rows,k) · Aᵀ
//             up     out (rows,n) += scaling · h · Bᵀ
//   backward  down   dh (rows,r) = scaling · dout (rows,n) · B
//             up     dinp (rows,k) += dropout mask of dh · A
//             outer  db (n,r) = scaling · doutᵀ · h,  da (r,k) = dhᵀ · dropout(inp)
//
// Each is a product in which one of three sizes is the rank, so that reading the wide factor once is all the work.
// inp is dropped as it is read: nothing of it is stored. Two launches forward; two backward, as up and outer, which
// need nothing of each other, are blocks of one launch. Ranks are cut into tiles of 16 or 32.
#include <algorithm>

#include "cuda/lora.h"
#include "cuda/mma.cuh"
#include "cuda/reduce.cuh"

namespace bertune::cuda {
namespace {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kRows = 16;        // of a tile of down and up, and of a warp's step of outer
constexpr int kUpColumns = 128;  // of a tile of up: 16 a warp
constexpr int kWide = 32;        // columns of the wide factor in a tile of outer
// Rows that one block of outer sums up; where there are more, blocks share a tile and the last one adds their sums up,
// as long as a multiprocessor has no more than so many blocks.
constexpr int kOuterRows = 512;
constexpr int kOuterBlocks = 4;

// How many neighbours are accessed at once: of rows of a wide matrix, and of rows of r.
template <typename T, bool kVector>
struct Access {
  static constexpr int kWide = kVector ? 16 / static_cast<int>(sizeof(T)) : 1;
  static constexpr int kRank = kVector ? 4 : 1;
};

// (kTileRows, kColumns) elements on their way from device memory to shared memory, in the registers of one warp.
template <typename T, int kTileRows, int kColumns, int N>
struct WarpTile {
  static constexpr int kAcross = kColumns / N;
  static constexpr int kPacks = kTileRows * kAcross / 32;
  static_assert(kTileRows * kAcross % 32 == 0);
  Pack<T, N> packs[kPacks];

  __device__ __forceinline__ static int row(int pack) { return (pack * 32 + (threadIdx.x & 31)) / kAcross; }
  __device__ __forceinline__ static int column(int pack) { return (pack * 32 + (threadIdx.x & 31)) % kAcross * N; }

  // Zero past `rows` and `columns`, counted from inp on.
  __device__ __forceinline__ void load(const T* inp, int64_t stride, int rows, int columns) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      if (row(i) < rows && column(i) < columns) {
        packs[i] = *reinterpret_cast<const Pack<T, N>*>(inp + row(i) * stride + column(i));
      } else {
#pragma unroll
        for (int j = 0; j < N; ++j) packs[i].value[j] = from_float<T>(0.f);
      }
    }
  }

  // Element (0, 0) is element (first_row, first_column) of the mask; first_column is a multiple of 4.
  __device__ __forceinline__ void drop(const DropoutMask& mask, int first_row, int first_column) {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      const uint32_t mask_row = first_row + row(i), mask_column = first_column + column(i);
      if constexpr (N % 4 == 0) {
#pragma unroll
        for (int j = 0; j < N; j += 4) {
          const float4 factors = mask.factors(mask_row, (mask_column + j) / 4);
          scale(packs[i].value[j], factors.x);
          scale(packs[i].value[j + 1], factors.y);
          scale(packs[i].value[j + 2], factors.z);
          scale(packs[i].value[j + 3], factors.w);
        }
      } else {
        scale(packs[i].value[0], mask.factor(mask_row, mask_column));
      }
    }
  }

  __device__ __forceinline__ void store(T* shared, int pitch) const {
#pragma unroll
    for (int i = 0; i < kPacks; ++i) {
      *reinterpret_cast<Pack<T, N>*>(shared + row(i) * pitch + column(i)) = packs[i];
    }
  }

 private:
  __device__ __forceinline__ static void scale(T& value, float factor) {
    value = from_float<T>(to_float(value) * factor);
  }
};

// Writes a warp's accumulators of 16 rows to shared memory, row by row, or column by column where they are transposed.
template <int N>
__device__ __forceinline__ void spill(const float (&acc)[N][4], float* shared, int row_pitch, int column_pitch) {
  const int lane = threadIdx.x & 31;
  float* own = shared + (lane >> 2) * row_pitch + 2 * (lane & 3) * column_pitch;
#pragma unroll
  for (int j = 0; j < N; ++j) {
    own[8 * j * column_pitch] = acc[j][0];
    own[(8 * j + 1) * column_pitch] = acc[j][1];
    own[8 * row_pitch + 8 * j * column_pitch] = acc[j][2];
    own[8 * row_pitch + (8 * j + 1) * column_pitch] = acc[j][3];
  }
}

// ---- down: out (rows,r) = scaling · dropout(inp) (rows,k) · weight (k,r)

template <typename T>
struct Down {
  RowCount rows;
  int k, r, inp_stride;
  float scaling;
  DropoutMask mask;
  const T* inp;     // (rows,k)
  const T* weight;  // (r,k) where kAlongK, else (k,r)
  T* out;           // (rows,r)
};

template <typename T, Factor kWeight, int kRank>
struct DownLayout {
  static constexpr int kStep = 64 / static_cast<int>(sizeof(T));  // k of a warp's step
  static constexpr int kInpPitch = shared_pitch<T>(kStep);
  static constexpr int kWeightPitch = shared_pitch<T>(kWeight == Factor::kAlongK ? kStep : kRank);
  static constexpr int kInpCount = kRows * kInpPitch;
  static constexpr int kWeightCount = (kWeight == Factor::kAlongK ? kRank : kStep) * kWeightPitch;
  static constexpr int kStaged = kWarps * (kInpCount + kWeightCount);
  static constexpr int kSumPitch = kRank + 4;
  static constexpr int kSums = kWarps * kRows * kSumPitch;
};

// Grid (tiles of kRows rows, tiles of kRank ranks), block kThreads. The warps take steps of k in turn; their sums are
// added up in order. Rows past the live ones are zero.
template <typename T, Factor kWeight, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads) down(Down<T> args) {
  using L = DownLayout<T, kWeight, kRank>;
  constexpr bool kAlong = kWeight == Factor::kAlongK;
  constexpr int kWideAccess = Access<T, kVector>::kWide, kRankAccess = Access<T, kVector>::kRank;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);  // (kWarps, kRows, kRank)
  const int warp = threadIdx.x >> 5;
  const int row0 = blockIdx.x * kRows, rank0 = blockIdx.y * kRank;
  const int rows = args.rows.count() - row0, ranks = args.r - rank0;

  if (rows > 0) {
    T* inp = staged + warp * (L::kInpCount + L::kWeightCount);
    T* weight = inp + L::kInpCount;
    WarpTile<T, kRows, L::kStep, kWideAccess> inp_tile;
    WarpTile<T, kAlong ? kRank : L::kStep, kAlong ? L::kStep : kRank, kAlong ? kWideAccess : kRankAccess> weight_tile;
    auto load = [&](int at) {
      const int left = args.k - at;
      inp_tile.load(args.inp + static_cast<int64_t>(row0) * args.inp_stride + at, args.inp_stride, rows, left);
      if constexpr (kAlong) {
        weight_tile.load(args.weight + static_cast<int64_t>(rank0) * args.k + at, args.k, ranks, left);
      } else {
        weight_tile.load(args.weight + static_cast<int64_t>(at) * args.r + rank0, args.r, left, ranks);
      }
    };
    float acc[kRank / 8][4];
    clear(acc);
    load(warp * L::kStep);
    for (int at = warp * L::kStep; at < args.k; at += kWarps * L::kStep) {
      if (args.mask.on()) inp_tile.drop(args.mask, row0, at);
      inp_tile.store(inp, L::kInpPitch);
      weight_tile.store(weight, L::kWeightPitch);
      __syncwarp();
      load(at + kWarps * L::kStep);  // under way while this step is multiplied
      tile_mma<Factor::kAlongK, kWeight>(acc, inp, L::kInpPitch, weight, L::kWeightPitch, L::kStep);
      __syncwarp();
    }
    spill(acc, sums + warp * kRows * L::kSumPitch, L::kSumPitch, 1);
    __syncthreads();
  }
  for (int i = threadIdx.x; i < kRows * kRank; i += kThreads) {
    const int row = i / kRank, rank = i % kRank;
    if (row0 + row >= args.rows.padded || rank >= ranks) continue;
    float value = 0.f;
    if (row < rows) {
#pragma unroll
      for (int w = 0; w < kWarps; ++w) value += sums[(w * kRows + row) * L::kSumPitch + rank];
    }
    args.out[static_cast<int64_t>(row0 + row) * args.r + rank0 + rank] = from_float<T>(args.scaling * value);
  }
}

// ---- up: out (rows,n) += scaling · mask of inp (rows,r) · weight (r,n)

template <typename T>
struct Up {
  RowCount rows;
  int n, r, out_stride;
  float scaling;
  DropoutMask mask;
  const T* inp;     // (rows,r)
  const T* weight;  // (n,r) where kAlongK, else (r,n)
  T* out;           // (rows,n)
};

template <typename T, Factor kWeight, int kRank>
struct UpLayout {
  static constexpr int kInpPitch = shared_pitch<T>(kRank);
  static constexpr int kWeightPitch = shared_pitch<T>(kWeight == Factor::kAlongK ? kRank : 16);
  static constexpr int kInpCount = kRows * kInpPitch;
  static constexpr int kWeightCount = (kWeight == Factor::kAlongK ? 16 : kRank) * kWeightPitch;  // of a warp
  static constexpr int kStaged = kWarps * (kInpCount + kWeightCount);
  static constexpr int kSumPitch = kUpColumns + 4;
  static constexpr int kSums = kRows * kSumPitch;
};

// The tile of kRows rows and kUpColumns columns from (row0, column0) on, by one block. staged: L::kStaged elements,
// sums: L::kSums.
template <typename T, Factor kWeight, int kRank, bool kVector>
__device__ __forceinline__ void up_tile(const Up<T>& args, int row0, int column0, T* staged, float* sums) {
  using L = UpLayout<T, kWeight, kRank>;
  constexpr bool kAlong = kWeight == Factor::kAlongK;
  constexpr int kWideAccess = Access<T, kVector>::kWide, kRankAccess = Access<T, kVector>::kRank;
  constexpr int kNeighbours = kUpColumns * kRows / kThreads;  // 8 outputs a thread
  const int warp = threadIdx.x >> 5;
  const int rows = args.rows.count() - row0;
  if (rows <= 0) return;

  // The thread's outputs: neighbours, or where vectors are not possible every 16th of a row.
  const int row = threadIdx.x / 16, lane = threadIdx.x % 16;
  const int first = kVector ? lane * kNeighbours : lane, step = kVector ? 1 : 16;
  T* out = args.out + static_cast<int64_t>(row0 + row) * args.out_stride + column0;
  const bool writes = row < rows && (!kVector || column0 + first < args.n);
  float value[kNeighbours];
  if (writes) {
    if constexpr (kVector) {
      load_floats<kNeighbours>(value, out + first);
    } else {
#pragma unroll
      for (int i = 0; i < kNeighbours; ++i) {
        const int column = first + i * step;
        value[i] = column0 + column < args.n ? to_float(out[column]) : 0.f;
      }
    }
  }

  T* inp = staged + warp * (L::kInpCount + L::kWeightCount);
  T* weight = inp + L::kInpCount;
  const int warp_column = column0 + warp * 16;
  float acc[2][4];
  clear(acc);
  for (int rank0 = 0; rank0 < args.r; rank0 += kRank) {
    const int left = args.r - rank0, columns = args.n - warp_column;
    WarpTile<T, kRows, kRank, kRankAccess> inp_tile;
    inp_tile.load(args.inp + static_cast<int64_t>(row0) * args.r + rank0, args.r, rows, left);
    WarpTile<T, kAlong ? 16 : kRank, kAlong ? kRank : 16, kAlong ? kRankAccess : kWideAccess> weight_tile;
    if constexpr (kAlong) {
      weight_tile.load(args.weight + static_cast<int64_t>(warp_column) * args.r + rank0, args.r, columns, left);
    } else {
      weight_tile.load(args.weight + static_cast<int64_t>(rank0) * args.n + warp_column, args.n, left, columns);
    }
    __syncwarp();  // the previous ranks' tiles have been read
    inp_tile.store(inp, L::kInpPitch);
    weight_tile.store(weight, L::kWeightPitch);
    __syncwarp();
    tile_mma<Factor::kAlongK, kWeight>(acc, inp, L::kInpPitch, weight, L::kWeightPitch, kRank);
  }
  spill(acc, sums + warp * 16, L::kSumPitch, 1);
  __syncthreads();
  if (!writes) return;

  const float* sum = sums + row * L::kSumPitch;
  if constexpr (kVector) {
#pragma unroll
    for (int i = 0; i < kNeighbours; i += 4) {
      const float4 factors = args.mask.factors(row0 + row, (column0 + first + i) / 4);
      value[i] += factors.x * (args.scaling * sum[first + i]);
      value[i + 1] += factors.y * (args.scaling * sum[first + i + 1]);
      value[i + 2] += factors.z * (args.scaling * sum[first + i + 2]);
      value[i + 3] += factors.w * (args.scaling * sum[first + i + 3]);
    }
    store_floats<kNeighbours>(out + first, value);
  } else {
#pragma unroll
    for (int i = 0; i < kNeighbours; ++i) {
      const int column = first + i * step;
      if (column0 + column >= args.n) continue;
      const float factor = args.mask.factor(row0 + row, column0 + column);
      out[column] = from_float<T>(value[i] + factor * (args.scaling * sum[column]));
    }
  }
}

// Grid (tiles of kUpColumns columns, tiles of kRows rows), block kThreads.
template <typename T, Factor kWeight, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads) up(Up<T> args) {
  using L = UpLayout<T, kWeight, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  up_tile<T, kWeight, kRank, kVector>(args, blockIdx.y * kRows, blockIdx.x * kUpColumns, staged, sums);
}

// ---- outer: out (w,r), or (r,w) where transposed, = scaling · dropout(wide)ᵀ (w,rows) · narrow (rows,r)

template <typename T>
struct Outer {
  int w, wide_stride;
  bool transposed;
  float scaling;
  DropoutMask mask;
  const T* wide;    // (rows,w)
  const T* narrow;  // (rows,r)
  float* out;       // (w,r) or (r,w)
};

// The outer products of one launch.
template <typename T>
struct Outers {
  RowCount rows;
  int r;
  bool accumulate;
  int splits;       // of the rows, kOuterRows or more each
  int tiles;        // of both products: those of the first, then those of the second
  int first_tiles;  // of the first
  int rank_tiles;
  float* partials;    // (tiles, rank_tiles, splits, kRank · kWide), where splits > 1
  unsigned* tickets;  // (tiles, rank_tiles)
  Outer<T> product[2];
};

template <typename T, int kRank>
struct OuterLayout {
  static constexpr int kWidePitch = shared_pitch<T>(kWide), kNarrowPitch = shared_pitch<T>(kRank);
  static constexpr int kWideCount = kRows * kWidePitch, kNarrowCount = kRows * kNarrowPitch;
  static constexpr int kStaged = kWarps * (kWideCount + kNarrowCount);
  static constexpr int kSumPitch = kWide + 1;  // of a rank's sums
  static constexpr int kWarpSums = kRank * kSumPitch;
  static constexpr int kSums = kWarps * kWarpSums;
};

// Block `index` of tiles · rank_tiles · splits. staged: L::kStaged elements, sums: L::kSums.
template <typename T, int kRank, bool kVector>
__device__ __forceinline__ void outer_tile(const Outers<T>& args, int index, T* staged, float* sums) {
  using L = OuterLayout<T, kRank>;
  constexpr int kWideAccess = Access<T, kVector>::kWide, kRankAccess = Access<T, kVector>::kRank;
  const int split = index % args.splits, group = index / args.splits;
  const int rank_tile = group % args.rank_tiles, tile = group / args.rank_tiles;
  const bool second = tile >= args.first_tiles;
  const Outer<T>& product = second ? args.product[1] : args.product[0];
  const int column0 = (second ? tile - args.first_tiles : tile) * kWide, rank0 = rank_tile * kRank;
  const int columns = product.w - column0, ranks = args.r - rank0;
  const int warp = threadIdx.x >> 5;

  // Rows of the split, cut where live rows end.
  const int share = (args.rows.padded + args.splits - 1) / args.splits;
  const int begin = split * share;
  const int end = min(begin + share, args.rows.count());

  T* wide = staged + warp * (L::kWideCount + L::kNarrowCount);
  T* narrow = wide + L::kWideCount;
  WarpTile<T, kRows, kWide, kWideAccess> wide_tile;
  WarpTile<T, kRows, kRank, kRankAccess> narrow_tile;
  auto load = [&](int row) {
    wide_tile.load(product.wide + static_cast<int64_t>(row) * product.wide_stride + column0, product.wide_stride,
                   end - row, columns);
    narrow_tile.load(product.narrow + static_cast<int64_t>(row) * args.r + rank0, args.r, end - row, ranks);
  };
  float left[kRank / 8][4], right[kRank / 8][4];  // of columns 0..15 and 16..31
  clear(left);
  clear(right);
  load(begin + warp * kRows);
  for (int row = begin + warp * kRows; row < end; row += kWarps * kRows) {
    if (product.mask.on()) wide_tile.drop(product.mask, row, column0);
    wide_tile.store(wide, L::kWidePitch);
    narrow_tile.store(narrow, L::kNarrowPitch);
    __syncwarp();
    load(row + kWarps * kRows);  // under way while this step is multiplied
    tile_mma<Factor::kAcrossK, Factor::kAcrossK>(left, wide, L::kWidePitch, narrow, L::kNarrowPitch, kRows);
    tile_mma<Factor::kAcrossK, Factor::kAcrossK>(right, wide + 16, L::kWidePitch, narrow, L::kNarrowPitch, kRows);
    __syncwarp();
  }
  spill(left, sums + warp * L::kWarpSums, 1, L::kSumPitch);
  spill(right, sums + warp * L::kWarpSums + 16, 1, L::kSumPitch);
  __syncthreads();

  constexpr int kOutputs = kRank * kWide, kOwn = kOutputs / kThreads;
  // Output i of the tile: neighbours are neighbours in device memory.
  const auto rank_of = [&](int i) { return product.transposed ? i / kWide : i % kRank; };
  const auto column_of = [&](int i) { return product.transposed ? i % kWide : i / kRank; };
  float value[kOwn];
#pragma unroll
  for (int o = 0; o < kOwn; ++o) {
    const int i = o * kThreads + threadIdx.x;
    const float* sum = sums + rank_of(i) * L::kSumPitch + column_of(i);
    value[o] = 0.f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) value[o] += sum[w * L::kWarpSums];
  }

  if (args.splits > 1) {
    // Sums of all splits are stored; the block that comes last adds them up in order.
    SHARED(is_last, bool);
    float* partials = args.partials + static_cast<int64_t>(group) * args.splits * kOutputs;
#pragma unroll
    for (int o = 0; o < kOwn; ++o) partials[split * kOutputs + o * kThreads + threadIdx.x] = value[o];
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      const unsigned ticket = atomicAdd(args.tickets + group, 1u);
      is_last = ticket + 1 == static_cast<unsigned>(args.splits);
      if (is_last) args.tickets[group] = 0;
    }
    __syncthreads();
    if (!is_last) return;
    __threadfence();
#pragma unroll
    for (int o = 0; o < kOwn; ++o) {
      value[o] = 0.f;
      for (int s = 0; s < args.splits; ++s) value[o] += partials[s * kOutputs + o * kThreads + threadIdx.x];
    }
  }

#pragma unroll
  for (int o = 0; o < kOwn; ++o) {
    const int i = o * kThreads + threadIdx.x;
    const int rank = rank_of(i), column = column_of(i);
    if (rank >= ranks || column >= columns) continue;
    const int64_t at = product.transposed ? static_cast<int64_t>(rank0 + rank) * product.w + column0 + column
                                          : static_cast<int64_t>(column0 + column) * args.r + rank0 + rank;
    const float sum = product.scaling * value[o];
    product.out[at] = args.accumulate ? product.out[at] + sum : sum;
  }
}

template <typename T, int kRank>
struct OuterAndUpLayout {
  using UpL = UpLayout<T, Factor::kAcrossK, kRank>;
  using OuterL = OuterLayout<T, kRank>;
  static constexpr int kStaged = OuterL::kStaged > UpL::kStaged ? OuterL::kStaged : UpL::kStaged;
  static constexpr int kSums = OuterL::kSums > UpL::kSums ? OuterL::kSums : UpL::kSums;
};

// Grid (outer_blocks + blocks of up), block kThreads.
template <typename T, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads) outer_and_up(Outers<T> outers, int outer_blocks, Up<T> up, int up_columns) {
  using L = OuterAndUpLayout<T, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  const int index = blockIdx.x;
  if (index < outer_blocks) {
    outer_tile<T, kRank, kVector>(outers, index, staged, sums);
  } else {
    const int tile = index - outer_blocks;
    up_tile<T, Factor::kAcrossK, kRank, kVector>(up, tile / up_columns * kRows, tile % up_columns * kUpColumns, staged,
                                                 sums);
  }
}

// ---- launchers

template <typename T>
size_t shared_bytes(int staged, int sums) {
  return simt::smem_bytes<T>(staged) + simt::smem_bytes<float>(sums);
}

template <typename T, Factor kWeight, int kRank, bool kVector>
void launch_down(Context& context, const Down<T>& args) {
  const dim3 grid(ceil_div(args.rows.padded, kRows), ceil_div(args.r, kRank));
  using L = DownLayout<T, kWeight, kRank>;
  context.launch(down<T, kWeight, kRank, kVector>, grid, dim3(kThreads), shared_bytes<T>(L::kStaged, L::kSums), args);
}

template <typename T, Factor kWeight, int kRank, bool kVector>
void launch_up(Context& context, const Up<T>& args) {
  const dim3 grid(ceil_div(args.n, kUpColumns), ceil_div(args.rows.padded, kRows));
  using L = UpLayout<T, kWeight, kRank>;
  context.launch(up<T, kWeight, kRank, kVector>, grid, dim3(kThreads), shared_bytes<T>(L::kStaged, L::kSums), args);
}

template <typename T, int kRank, bool kVector>
void launch_outer_and_up(Context& context, Outers<T> outers, const Up<T>& up) {
  outers.rank_tiles = ceil_div(outers.r, kRank);
  const int groups = outers.tiles * outers.rank_tiles;
  outers.splits = 1;
  if (groups > 0) {
    const int most = std::max(1u, ceil_div(kOuterBlocks * context.multiprocessors, groups));
    outers.splits = std::min<int>(ceil_div(outers.rows.padded, kOuterRows), most);
  }
  if (outers.splits > 1) {
    outers.partials = context.scratch.floats(static_cast<size_t>(groups) * outers.splits * kRank * kWide);
    outers.tickets = context.scratch.tickets(groups);
  }
  const int outer_blocks = groups * outers.splits;
  const int up_columns = up.out != nullptr ? ceil_div(up.n, kUpColumns) : 0;
  const int blocks = outer_blocks + up_columns * ceil_div(outers.rows.padded, kRows);
  using L = OuterAndUpLayout<T, kRank>;
  context.launch(outer_and_up<T, kRank, kVector>, dim3(blocks), dim3(kThreads), shared_bytes<T>(L::kStaged, L::kSums),
                 outers, outer_blocks, up, up_columns);
}

// Calls launch.operator()<kRank, kVector>().
template <typename Launch>
void with_shape(int r, bool vectors, Launch&& launch) {
  if (vectors) {
    r <= 16 ? launch.template operator()<16, true>() : launch.template operator()<32, true>();
  } else {
    r <= 16 ? launch.template operator()<16, false>() : launch.template operator()<32, false>();
  }
}

// 8 neighbours: what a thread of up writes.
template <typename T>
bool is_wide(const T* pointer, int columns, int stride) {
  return is_vectorizable<8>(pointer, columns, stride);
}
template <typename T>
bool is_ranks(const T* pointer, int r) {
  return is_vectorizable<4>(pointer, r, r);
}

}  // namespace

template <typename T>
void lora_forward_add(Context& context, const LoraForwardAdd& args) {
  const int n = args.n, k = args.k, r = args.r;
  const RowCount rows = context.rows(args.rows);
  if (rows.padded == 0) return;
  const T* inp = scalars<T>(args.inp);
  const T* a = scalars<T>(args.a);
  const T* b = scalars<T>(args.b);
  T* h = scalars<T>(args.h);
  T* out = scalars<T>(args.out);
  const bool vectors = is_wide(inp, k, args.inp_stride) && is_wide(a, k, k) && is_wide(out, n, args.out_stride) &&
                       is_ranks(b, r) && is_ranks(h, r);
  const Down<T> down{rows, k, r, args.inp_stride, 1.f, context.dropout(args.dropout), inp, a, h};
  const Up<T> up{rows, n, r, args.out_stride, static_cast<float>(args.scaling), context.dropout({}), h, b, out};
  with_shape(r, vectors, [&]<int kRank, bool kVector>() {
    launch_down<T, Factor::kAlongK, kRank, kVector>(context, down);
    launch_up<T, Factor::kAlongK, kRank, kVector>(context, up);
  });
}

template <typename T>
void lora_backward(Context& context, const LoraBackward& args) {
  const int n = args.n, k = args.k, r = args.r;
  const RowCount rows = context.rows(args.rows);
  if (rows.padded == 0) return;
  const T* dout = scalars<T>(args.dout);
  const T* inp = scalars<T>(args.inp);
  const T* h = scalars<T>(args.h);
  const T* a = scalars<T>(args.a);
  const T* b = scalars<T>(args.b);
  T* dh = scalars<T>(args.dh);
  T* dinp = scalars<T>(args.dinp);
  float* da = floats(args.da);
  float* db = floats(args.db);
  const float scaling = static_cast<float>(args.scaling);
  const DropoutMask mask = context.dropout(args.dropout), no_mask = context.dropout({});
  const bool vectors = is_wide(dout, n, args.dout_stride) && is_ranks(b, r) && is_ranks(h, r) && is_ranks(dh, r) &&
                       (da == nullptr || is_wide(inp, k, args.inp_stride)) &&
                       (dinp == nullptr || (is_wide(dinp, k, args.dinp_stride) && is_wide(a, k, k)));

  const Down<T> down{rows, n, r, args.dout_stride, scaling, no_mask, dout, b, dh};
  const Up<T> up{rows, k, r, args.dinp_stride, 1.f, mask, dh, a, dinp};
  Outers<T> outers{};
  outers.rows = rows;
  outers.r = r;
  outers.accumulate = args.accumulate;
  outers.first_tiles = db != nullptr ? ceil_div(n, kWide) : 0;
  outers.tiles = outers.first_tiles + (da != nullptr ? ceil_div(k, kWide) : 0);
  outers.product[0] = {n, args.dout_stride, false, scaling, no_mask, dout, h, db};
  outers.product[1] = {k, args.inp_stride, true, 1.f, mask, inp, dh, da};
  with_shape(r, vectors, [&]<int kRank, bool kVector>() {
    if (da != nullptr || dinp != nullptr) launch_down<T, Factor::kAcrossK, kRank, kVector>(context, down);
    if (outers.tiles > 0 || dinp != nullptr) launch_outer_and_up<T, kRank, kVector>(context, outers, up);
  });
}

template void lora_forward_add<float>(Context&, const LoraForwardAdd&);
template void lora_forward_add<bf16>(Context&, const LoraForwardAdd&);
template void lora_backward<float>(Context&, const LoraBackward&);
template void lora_backward<bf16>(Context&, const LoraBackward&);

}  // namespace bertune::cuda
