// Low-rank updates (Hu et al., "LoRA", 2021):
//
//   forward   down   h (rows,r) = dropout(inp) (rows,k) · Aᵀ
//             up     out (rows,n) += scaling · h · Bᵀ
//   backward  down   dh (rows,r) = scaling · dout (rows,n) · B
//             up     dinp (rows,k) += dropout mask of dh · A
//             outer  db (n,r) = scaling · doutᵀ · h,  da (r,k) = dhᵀ · dropout(inp)
//
// Each is a product in which one of three sizes is the rank, so that reading the wide factor once is all the work.
// inp is dropped as it is read: nothing of it is stored. A block does down and then up of its rows, so that a direction
// is one launch; outer, which sums over all rows, is blocks of the launch after it: the next call's, where it is put
// off, or one of its own. A LayerNorm that goes on from dinp is made by the same block, row by row. Updates that share an input share the launches: each has blocks of its own, but for the rows
// of dinp, to which a block adds them in turn. Ranks are cut into tiles of 16 or 32.
#include <algorithm>

#include "cuda/layernorm_row.cuh"
#include "cuda/lora_tiles.cuh"
#include "cuda/operations.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {
namespace {

using namespace low_rank;

// The second launch bounds below, of blocks a multiprocessor, keep the compiler from spilling registers for the sake of
// more.

// down and up of one tile of rows share memory.
template <typename T, Factor kWeight, int kRank>
struct DownAndUpLayout {
  using DownL = DownLayout<T, kWeight, kRank>;
  using UpL = UpLayout<T, kWeight, kRank>;
  static constexpr int kStaged = DownL::kStaged > UpL::kStaged ? DownL::kStaged : UpL::kStaged;
  static constexpr int kSums = DownL::kSums > UpL::kSums ? DownL::kSums : UpL::kSums;
};

// All ranks of down's tile of rows from row0 on. What it writes the block may read when this returns.
template <typename T, Factor kWeight, int kRank, bool kVector>
__device__ __forceinline__ void down_ranks(const Down<T>& args, int row0, T* staged, float* sums) {
  for (int rank0 = 0; rank0 < args.r; rank0 += kRank) {
    down_tile<T, kWeight, kRank, kVector>(args, row0, rank0, staged, sums);
    __syncthreads();
  }
}

constexpr int kWide = 32;  // columns of the wide factor in a tile of outer
// Rows that one block of outer sums up; where there are more, blocks share a tile and the last one adds their sums up,
// as long as a multiprocessor has no more than so many blocks.
constexpr int kOuterRows = 512;
constexpr int kOuterBlocks = 4;

// ---- forward

template <typename T>
struct Forward {
  Down<T> down[kMostLoraUpdates];
  Up<T> up[kMostLoraUpdates];
};

// Grid (tiles of kRows rows, updates), block kThreads.
template <typename T, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads, kVector ? 2 : 1) forward(Forward<T> args) {
  simt::wait_for_previous();
  using L = DownAndUpLayout<T, Factor::kAlongK, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  const int row0 = blockIdx.x * kRows;
  down_ranks<T, Factor::kAlongK, kRank, kVector>(pick(args.down, blockIdx.y), row0, staged, sums);
  const Up<T> up = pick(args.up, blockIdx.y);
  up_rows<T, Factor::kAlongK, kRank, kVector>(up, row0, 0, up.n, staged, sums);
}

// ---- outer: out (w,r), or (r,w) where transposed, = scaling · dropout(wide)ᵀ (w,rows) · narrow (rows,r)

template <typename T>
struct Outer {
  RowCount rows;
  int first_tile;  // of the launch
  int w, wide_stride, r;
  bool transposed;
  float scaling;
  DropoutMask mask;
  const T* wide;    // (rows,w)
  const T* narrow;  // (rows,r)
  float* out;       // (w,r) or (r,w)
};

// The outer products of one launch: db and da of each update.
template <typename T>
struct Outers {
  static constexpr int kMost = 2 * kMostLoraUpdates;
  bool accumulate;
  int splits;  // of the rows, kOuterRows or more each
  int tiles;   // of all products, one behind the other
  int rank_tiles;
  float* partials;    // (tiles, rank_tiles, splits, kRank · kWide), where splits > 1
  unsigned* tickets;  // (tiles, rank_tiles)
  int count;
  Outer<T> product[kMost];

  void add(const Outer<T>& outer) {
    if (outer.out == nullptr) return;
    product[count] = outer;
    product[count++].first_tile = tiles;
    tiles += ceil_div(outer.w, kWide);
  }
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
  int which = 0;
#pragma unroll
  for (int i = 1; i < Outers<T>::kMost; ++i) which = i < args.count && tile >= args.product[i].first_tile ? i : which;
  const Outer<T> product = pick(args.product, which);
  const int column0 = (tile - product.first_tile) * kWide, rank0 = rank_tile * kRank;
  const int columns = product.w - column0, ranks = product.r - rank0;
  if (ranks <= 0) return;
  const int warp = threadIdx.x >> 5;

  // Rows of the split, cut where live rows end.
  const int share = (product.rows.padded + args.splits - 1) / args.splits;
  const int begin = split * share;
  const int end = min(begin + share, product.rows.count());

  T* wide = staged + warp * (L::kWideCount + L::kNarrowCount);
  T* narrow = wide + L::kWideCount;
  WarpTile<T, kRows, kWide, kWideAccess> wide_tile;
  WarpTile<T, kRows, kRank, kRankAccess> narrow_tile;
  auto load = [&](int row) {
    wide_tile.load(product.wide + static_cast<int64_t>(row) * product.wide_stride + column0, product.wide_stride,
                   end - row, columns);
    narrow_tile.load(product.narrow + static_cast<int64_t>(row) * product.r + rank0, product.r, end - row, ranks);
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
                                          : static_cast<int64_t>(column0 + column) * product.r + rank0 + rank;
    const float sum = product.scaling * value[o];
    product.out[at] = args.accumulate ? product.out[at] + sum : sum;
  }
}

// ---- backward: down, up and a LayerNorm of each tile of rows, and outer of the call before

template <typename T>
struct Backward {
  int count;  // of updates whose dh is made
  Down<T> down[kMostLoraUpdates];
  Up<T, DropoutMask, kMostLoraUpdates> up;  // out is null where dinp is not wanted
  LayernormBackward<T> norm;                // of up's rows; dsum is null where there is none
};

template <typename T, int kRank>
struct BackwardLayout {
  using RowsL = DownAndUpLayout<T, Factor::kAcrossK, kRank>;
  using OuterL = OuterLayout<T, kRank>;
  static constexpr int kStaged = OuterL::kStaged > RowsL::kStaged ? OuterL::kStaged : RowsL::kStaged;
  static constexpr int kSums = OuterL::kSums > RowsL::kSums ? OuterL::kSums : RowsL::kSums;
};

// Grid (row_tiles + blocks of outer), block kThreads. Tiles of rows come first: what follows the launch waits for them.
template <typename T, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads, kVector ? 2 : 1)
    backward(Backward<T> args, int row_tiles, Outers<T> outers) {
  simt::wait_for_previous();
  using L = BackwardLayout<T, kRank>;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  const int index = blockIdx.x;
  if (index >= row_tiles) return outer_tile<T, kRank, kVector>(outers, index - row_tiles, staged, sums);
  for (int i = 0; i < args.count; ++i) {
    down_ranks<T, Factor::kAcrossK, kRank, kVector>(pick(args.down, i), index * kRows, staged, sums);
  }
  if (args.up.out == nullptr) return;
  up_rows<T, Factor::kAcrossK, kRank, kVector>(args.up, index * kRows, 0, args.up.n, staged, sums);
  if constexpr (kVector) {
    if (args.norm.dsum == nullptr) return;
    __syncthreads();  // warps made columns, and now take rows
    const int end = min((index + 1) * kRows, args.up.rows.padded);
    for (int row = index * kRows + (threadIdx.x >> 5); row < end; row += kWarps) {
      layernorm_backward_row<T, kRereadingWarp, DropoutAt::kInput>(args.norm, row, row < args.up.rows.count());
    }
  }
}

// ---- launchers

// Where there is one: the tiles of rows, and the outer products.
template <typename T, int kRank, bool kVector>
void launch_backward(Context& context, const Backward<T>& args, Outers<T> outers) {
  int most_r = 0, most_rows = 0;
  for (int i = 0; i < outers.count; ++i) {
    most_r = std::max(most_r, outers.product[i].r);
    most_rows = std::max(most_rows, outers.product[i].rows.padded);
  }
  outers.rank_tiles = ceil_div(most_r, kRank);
  const int groups = outers.tiles * outers.rank_tiles;
  outers.splits = 1;
  if (groups > 0) {
    const int most = std::max(1u, ceil_div(kOuterBlocks * context.multiprocessors, groups));
    outers.splits = std::clamp<int>(ceil_div(most_rows, kOuterRows), 1, most);
  }
  if (outers.splits > 1) {
    outers.partials = context.scratch.floats(static_cast<size_t>(groups) * outers.splits * kRank * kWide);
    outers.tickets = context.scratch.tickets(groups);
  }
  const int row_tiles = args.count > 0 ? ceil_div(args.up.rows.padded, kRows) : 0;
  const int blocks = row_tiles + groups * outers.splits;
  if (blocks == 0) return;
  using L = BackwardLayout<T, kRank>;
  context.launch(backward<T, kRank, kVector>, dim3(blocks), dim3(kThreads), shared_bytes<T>(L::kStaged, L::kSums), args,
                 row_tiles, outers);
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

// What a launch is given, with the shape of kernel that it takes.
template <typename T>
struct BackwardLaunch {
  Backward<T> backward{};
  Outers<T> outers{};
  bool vectors = true;
  int most_r = 0;

  // db and da of the updates.
  void add_outers(const Context& context, const LoraBackward& args) {
    const RowCount rows = context.rows(args.rows);
    const T* inp = scalars<T>(args.inp);
    outers.accumulate = args.accumulate;
    for (int i = 0; i < args.count; ++i) {
      const LoraBackwardUpdate& update = args.updates[i];
      const int n = update.n, r = update.r;
      const T* dout = scalars<T>(update.dout);
      const T* h = scalars<T>(update.h);
      const T* dh = scalars<T>(update.dh);
      const float scaling = static_cast<float>(update.scaling);
      vectors = vectors && is_wide(dout, n, update.dout_stride) && is_ranks(h, r) && is_ranks(dh, r) &&
                (update.da == nullptr || is_wide(inp, args.k, args.inp_stride));
      most_r = std::max(most_r, r);
      outers.add({rows, 0, n, update.dout_stride, r, false, scaling, context.dropout({}, args.rows.kind), dout, h,
                  floats(update.db)});
      outers.add({rows, 0, args.k, args.inp_stride, r, true, 1.f, context.dropout(update.dropout, args.rows.kind), inp,
                  dh, floats(update.da)});
    }
  }

  // dh and dinp of the updates.
  void add_rows(const Context& context, const LoraBackward& args) {
    const RowCount rows = context.rows(args.rows);
    T* dinp = scalars<T>(args.dinp);
    backward.up.rows = rows;
    backward.up.n = args.k;
    backward.up.out_stride = args.dinp_stride;
    backward.up.out = dinp;
    vectors = vectors && (dinp == nullptr || is_wide(dinp, args.k, args.dinp_stride));
    for (int i = 0; i < args.count; ++i) {
      const LoraBackwardUpdate& update = args.updates[i];
      if (update.da == nullptr && dinp == nullptr) continue;
      const int n = update.n, r = update.r;
      const T* dout = scalars<T>(update.dout);
      const T* a = scalars<T>(update.a);
      const T* b = scalars<T>(update.b);
      T* dh = scalars<T>(update.dh);
      vectors = vectors && is_wide(dout, n, update.dout_stride) && is_ranks(b, r) && is_ranks(dh, r) &&
                (dinp == nullptr || is_wide(a, args.k, args.k));
      most_r = std::max(most_r, r);
      backward.up.factors[backward.count] = {r, 1.f, context.dropout(update.dropout, args.rows.kind), dh, a};
      backward.down[backward.count++] = {
          rows, n, r, update.dout_stride, static_cast<float>(update.scaling), context.dropout({}, args.rows.kind),
          dout, b, dh};
    }
    backward.up.count = backward.count;
  }

  // The LayerNorm that dinp goes on to. False where the kernel cannot make it.
  bool add_norm(const Context& context, const DropoutResidualLayernormBackward& args) {
    const LayernormBackward<T> norm = layernorm_backward_of<T>(context, args);
    if (!vectors || !backward_is_vectorizable(norm)) return false;
    backward.norm = norm;
    return true;
  }

  void run(Context& context) const {
    with_shape(most_r, vectors,
               [&]<int kRank, bool kVector>() { launch_backward<T, kRank, kVector>(context, backward, outers); });
  }
};

}  // namespace

template <typename T>
void lora_forward_add(Context& context, const LoraForwardAdd& args) {
  const int k = args.k;
  const RowCount rows = context.rows(args.rows);
  if (rows.padded == 0) return;
  const T* inp = scalars<T>(args.inp);
  bool vectors = is_wide(inp, k, args.inp_stride);
  int most_r = 0;
  Forward<T> all{};
  for (int i = 0; i < args.count; ++i) {
    const LoraForwardUpdate& update = args.updates[i];
    const int n = update.n, r = update.r, out_stride = update.out_stride;
    const T* a = scalars<T>(update.a);
    const T* b = scalars<T>(update.b);
    T* h = scalars<T>(update.h);
    T* out = scalars<T>(update.out);
    vectors = vectors && is_wide(a, k, k) && is_wide(out, n, out_stride) && is_ranks(b, r) && is_ranks(h, r);
    most_r = std::max(most_r, r);
    all.down[i] = {rows, k, r, args.inp_stride, 1.f, context.dropout(update.dropout, args.rows.kind), inp, a, h};
    all.up[i] = {rows, n, out_stride,
                 out,  1, {{r, static_cast<float>(update.scaling), context.dropout({}, args.rows.kind), h, b}}};
  }
  with_shape(most_r, vectors, [&]<int kRank, bool kVector>() {
    using L = DownAndUpLayout<T, Factor::kAlongK, kRank>;
    context.launch(forward<T, kRank, kVector>, dim3(ceil_div(rows.padded, kRows), args.count), dim3(kThreads),
                   shared_bytes<T>(L::kStaged, L::kSums), all);
  });
}

template <typename T>
void lora_backward(Context& context, const LoraBackward& args) {
  BackwardLaunch<T> own;
  if (args.earlier) own.add_outers(context, *args.earlier);
  own.add_rows(context, args);
  const bool has_norm = args.norm != nullptr && own.add_norm(context, *args.norm);
  own.run(context);
  if (!args.later) {
    BackwardLaunch<T> rest;
    rest.add_outers(context, args);
    rest.run(context);
  }
  if (args.norm != nullptr && !has_norm) dropout_residual_layernorm_backward<T>(context, *args.norm);
}

template void lora_forward_add<float>(Context&, const LoraForwardAdd&);
template void lora_forward_add<bf16>(Context&, const LoraForwardAdd&);
template void lora_backward<float>(Context&, const LoraBackward&);
template void lora_backward<bf16>(Context&, const LoraBackward&);

}  // namespace bertune::cuda
