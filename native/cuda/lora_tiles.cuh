// The tiles that low-rank updates are made of (lora.cu, mixed.cu), each the work of one block:
//
//   down   h (rows,r) = dropout(inp) (rows,k) · Aᵀ
//   up     out (rows,n) += scaling · h · Bᵀ
#pragma once

#include "cuda/context.h"
#include "cuda/mma.cuh"
#include "cuda/pick.cuh"

namespace bertune::cuda::low_rank {

constexpr int kWarps = 8, kThreads = 32 * kWarps;
constexpr int kRows = 16;         // of a tile of down and up, and of a warp's step of outer
constexpr int kWarpColumns = 16;  // of a warp's step of up
constexpr int kUpColumns = kWarps * kWarpColumns;

// In place of a DropoutMask where nothing is ever dropped: its code falls away.
struct NoMask {
  __device__ __forceinline__ constexpr bool on() const { return false; }
  __device__ __forceinline__ float4 factors(uint32_t, uint32_t) const { return make_float4(1.f, 1.f, 1.f, 1.f); }
  __device__ __forceinline__ float factor(uint32_t, uint32_t) const { return 1.f; }
};

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
  template <typename Mask>
  __device__ __forceinline__ void drop(const Mask& mask, int first_row, int first_column) {
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

template <typename T, typename Mask = DropoutMask>
struct Down {
  RowCount rows;
  int k, r, inp_stride;
  float scaling;
  Mask mask;
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

// The tile of kRows rows and kRank ranks from (row0, rank0) on, by one block. The warps take steps of k in turn; their
// sums are added up in order. Rows past the live ones are zero. staged: L::kStaged elements, sums: L::kSums as
// (kWarps, kRows, kRank).
template <typename T, Factor kWeight, int kRank, bool kVector, typename Mask>
__device__ __forceinline__ void down_tile(const Down<T, Mask>& args, int row0, int rank0, T* staged, float* sums) {
  using L = DownLayout<T, kWeight, kRank>;
  constexpr bool kAlong = kWeight == Factor::kAlongK;
  constexpr int kWideAccess = Access<T, kVector>::kWide, kRankAccess = Access<T, kVector>::kRank;
  const int warp = threadIdx.x >> 5;
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

// ---- up: out (rows,n) += scaling · mask of inp (rows,r) · weight (r,n), for each of the factors in turn

template <typename T, typename Mask = DropoutMask>
struct UpFactors {
  int r;
  float scaling;
  Mask mask;
  const T* inp;     // (rows,r)
  const T* weight;  // (n,r) where kAlongK, else (r,n)
};

// kMost: how many factors there may be.
template <typename T, typename Mask = DropoutMask, int kMost = 1>
struct Up {
  RowCount rows;
  int n, out_stride;
  T* out;  // (rows,n)
  int count;
  UpFactors<T, Mask> factors[kMost];
};

template <typename T, Factor kWeight, int kRank>
struct UpLayout {
  static constexpr int kInpPitch = shared_pitch<T>(kRank);
  static constexpr int kWeightPitch = shared_pitch<T>(kWeight == Factor::kAlongK ? kRank : kWarpColumns);
  static constexpr int kInpCount = kRows * kInpPitch;
  static constexpr int kWeightCount = (kWeight == Factor::kAlongK ? kWarpColumns : kRank) * kWeightPitch;
  static constexpr int kStaged = kWarps * (kInpCount + kWeightCount);
  static constexpr int kSumPitch = kWarpColumns + 4;
  static constexpr int kWarpSums = kRows * kSumPitch;
  static constexpr int kSums = kWarps * kWarpSums;
};

// Columns begin .. end of kRows rows from row0 on, by one block, kWarpColumns a warp at a time; warps do not meet.
// staged: L::kStaged elements, sums: L::kSums.
template <typename T, Factor kWeight, int kRank, bool kVector, typename Mask, int kMost>
__device__ __forceinline__ void up_rows(const Up<T, Mask, kMost>& args, int row0, int begin, int end, T* staged,
                                        float* sums) {
  using L = UpLayout<T, kWeight, kRank>;
  constexpr bool kAlong = kWeight == Factor::kAlongK;
  constexpr int kWideAccess = Access<T, kVector>::kWide, kRankAccess = Access<T, kVector>::kRank;
  constexpr int kOwn = kRows * kWarpColumns / 32;  // 8 outputs a lane
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  const int rows = args.rows.count() - row0;
  int column = begin + warp * kWarpColumns;
  if (rows <= 0 || column >= end) return;

  T* inp = staged + warp * (L::kInpCount + L::kWeightCount);
  T* weight = inp + L::kInpCount;
  sums += warp * L::kWarpSums;
  // The lane's outputs: neighbours, or where vectors are not possible every other one of half a row's.
  const int row = lane / 2, first = kVector ? lane % 2 * kOwn : lane % 2, step = kVector ? 1 : 2;
  T* out = args.out + static_cast<int64_t>(row0 + row) * args.out_stride;
  const float* sum = sums + row * L::kSumPitch;

  const auto load_outputs = [&](float (&value)[kOwn], int column) {
    if (row >= rows) return;
    if constexpr (kVector) {
      if (column + first < end) load_floats<kOwn>(value, out + column + first);
    } else {
#pragma unroll
      for (int i = 0; i < kOwn; ++i) {
        const int at = column + first + i * step;
        value[i] = at < end ? to_float(out[at]) : 0.f;
      }
    }
  };
  WarpTile<T, kRows, kRank, kRankAccess> inp_tile;
  WarpTile<T, kAlong ? kWarpColumns : kRank, kAlong ? kRank : kWarpColumns, kAlong ? kRankAccess : kWideAccess>
      weight_tile;
  const auto load_factors = [&](int f, int rank0, int column) {
    const UpFactors<T, Mask> factors = pick(args.factors, f);
    const int left = factors.r - rank0, columns = end - column;
    inp_tile.load(factors.inp + static_cast<int64_t>(row0) * factors.r + rank0, factors.r, rows, left);
    if constexpr (kAlong) {
      weight_tile.load(factors.weight + static_cast<int64_t>(column) * factors.r + rank0, factors.r, columns, left);
    } else {
      weight_tile.load(factors.weight + static_cast<int64_t>(rank0) * args.n + column, args.n, left, columns);
    }
  };

  int f = 0, rank0 = 0;
  float value[kOwn] = {}, acc[kWarpColumns / 8][4];
  clear(acc);
  load_outputs(value, column);
  load_factors(f, rank0, column);
  while (true) {
    const UpFactors<T, Mask> factors = pick(args.factors, f);
    const bool last_ranks = rank0 + kRank >= factors.r, last_factors = last_ranks && f + 1 == args.count;
    const int next_rank0 = last_ranks ? 0 : rank0 + kRank;
    const int next_f = last_factors ? 0 : last_ranks ? f + 1 : f;
    const int next_column = last_factors ? column + kUpColumns : column;
    __syncwarp();  // what was staged before has been read
    inp_tile.store(inp, L::kInpPitch);
    weight_tile.store(weight, L::kWeightPitch);
    __syncwarp();
    float next_value[kOwn] = {};
    if (next_column < end) {  // under way while this step is multiplied
      load_factors(next_f, next_rank0, next_column);
      if (last_factors) load_outputs(next_value, next_column);
    }
    tile_mma<Factor::kAlongK, kWeight>(acc, inp, L::kInpPitch, weight, L::kWeightPitch, kRank);
    if (last_ranks) {
      spill(acc, sums, L::kSumPitch, 1);
      clear(acc);
      __syncwarp();
      if constexpr (kVector) {
#pragma unroll
        for (int i = 0; i < kOwn; i += 4) {
          const float4 mask = factors.mask.factors(row0 + row, (column + first + i) / 4);
          value[i] += mask.x * (factors.scaling * sum[first + i]);
          value[i + 1] += mask.y * (factors.scaling * sum[first + i + 1]);
          value[i + 2] += mask.z * (factors.scaling * sum[first + i + 2]);
          value[i + 3] += mask.w * (factors.scaling * sum[first + i + 3]);
        }
      } else {
#pragma unroll
        for (int i = 0; i < kOwn; ++i) {
          const int at = first + i * step;
          value[i] += factors.mask.factor(row0 + row, column + at) * (factors.scaling * sum[at]);
        }
      }
    }
    if (last_factors) {
      if constexpr (kVector) {
        if (row < rows && column + first < end) store_floats<kOwn>(out + column + first, value);
      } else {
#pragma unroll
        for (int i = 0; i < kOwn; ++i) {
          const int at = column + first + i * step;
          if (row < rows && at < end) out[at] = from_float<T>(value[i]);
        }
      }
      if (next_column >= end) return;
#pragma unroll
      for (int i = 0; i < kOwn; ++i) value[i] = next_value[i];
    }
    f = next_f;
    rank0 = next_rank0;
    column = next_column;
  }
}

template <typename T>
size_t shared_bytes(int staged, int sums) {
  return simt::smem_bytes<T>(staged) + simt::smem_bytes<float>(sums);
}

}  // namespace bertune::cuda::low_rank
