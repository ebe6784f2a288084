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

#include "cuda/lora_tiles.cuh"
#include "cuda/operations.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {
namespace {

using namespace low_rank;

constexpr int kWide = 32;  // columns of the wide factor in a tile of outer
// Rows that one block of outer sums up; where there are more, blocks share a tile and the last one adds their sums up,
// as long as a multiprocessor has no more than so many blocks.
constexpr int kOuterRows = 512;
constexpr int kOuterBlocks = 4;

// ---- down: out (rows,r) = scaling · dropout(inp) (rows,k) · weight (k,r)

// Grid (tiles of kRows rows, tiles of kRank ranks), block kThreads.
template <typename T, Factor kWeight, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads, 1) down(Down<T> args) {
  using L = DownLayout<T, kWeight, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  down_tile<T, kWeight, kRank, kVector>(args, blockIdx.x * kRows, blockIdx.y * kRank, staged, sums);
}

// ---- up: out (rows,n) += scaling · mask of inp (rows,r) · weight (r,n)

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
