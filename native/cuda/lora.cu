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
// need nothing of each other, are blocks of one launch. Updates that share an input share the launches: each has blocks
// of its own, but for the rows of dinp, to which a block of up adds them in turn. Ranks are cut into tiles of 16 or 32.
#include <algorithm>

#include "cuda/lora_tiles.cuh"
#include "cuda/operations.h"
#include "cuda/reduce.cuh"

namespace bertune::cuda {
namespace {

using namespace low_rank;

// The second launch bounds below, of blocks a multiprocessor, keep the compiler from spilling registers for the sake of
// more.
constexpr int kWide = 32;  // columns of the wide factor in a tile of outer
// Rows that one block of outer sums up; where there are more, blocks share a tile and the last one adds their sums up,
// as long as a multiprocessor has no more than so many blocks.
constexpr int kOuterRows = 512;
constexpr int kOuterBlocks = 4;

// ---- down: out (rows,r) = scaling · dropout(inp) (rows,k) · weight (k,r)

template <typename T>
struct Downs {
  Down<T> of[kMostLoraUpdates];
};

// Grid (tiles of kRows rows, tiles of kRank ranks, updates), block kThreads.
template <typename T, Factor kWeight, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads, 1) down(Downs<T> downs) {
  using L = DownLayout<T, kWeight, kRank>;
  const Down<T> args = pick(downs.of, blockIdx.z);
  if (static_cast<int>(blockIdx.y) * kRank >= args.r) return;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  down_tile<T, kWeight, kRank, kVector>(args, blockIdx.x * kRows, blockIdx.y * kRank, staged, sums);
}

// ---- up: out (rows,n) += scaling · mask of inp (rows,r) · weight (r,n)

template <typename T>
struct Ups {
  Up<T> of[kMostLoraUpdates];
};

// Grid (tiles of kUpColumns columns, tiles of kRows rows, updates), block kThreads.
template <typename T, Factor kWeight, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads, kVector ? 2 : 1) up(Ups<T> ups) {
  using L = UpLayout<T, kWeight, kRank>;
  const Up<T> args = pick(ups.of, blockIdx.z);
  if (static_cast<int>(blockIdx.x) * kUpColumns >= args.n) return;
  DYN_SHARED(memory);
  T* staged = memory.take<T>(L::kStaged);
  float* sums = memory.take<float>(L::kSums);
  up_tile<T, kWeight, kRank, kVector>(args, blockIdx.y * kRows, blockIdx.x * kUpColumns, staged, sums);
}

// ---- outer: out (w,r), or (r,w) where transposed, = scaling · dropout(wide)ᵀ (w,rows) · narrow (rows,r)

template <typename T>
struct Outer {
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
  RowCount rows;
  bool accumulate;
  int splits;  // of the rows, kOuterRows or more each
  int tiles;   // of all products, one behind the other
  int rank_tiles;
  float* partials;    // (tiles, rank_tiles, splits, kRank · kWide), where splits > 1
  unsigned* tickets;  // (tiles, rank_tiles)
  int count;
  Outer<T> product[kMost];

  void add(const Outer<T>& outer) {
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

template <typename T, int kRank>
struct OuterAndUpLayout {
  using UpL = UpLayout<T, Factor::kAcrossK, kRank>;
  using OuterL = OuterLayout<T, kRank>;
  static constexpr int kStaged = OuterL::kStaged > UpL::kStaged ? OuterL::kStaged : UpL::kStaged;
  static constexpr int kSums = OuterL::kSums > UpL::kSums ? OuterL::kSums : UpL::kSums;
};

// Grid (outer_blocks + blocks of up), block kThreads.
template <typename T, int kRank, bool kVector>
__global__ void __launch_bounds__(kThreads, kVector ? 2 : 1)
    outer_and_up(Outers<T> outers, int outer_blocks, Up<T, DropoutMask, kMostLoraUpdates> up, int up_columns) {
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

// The largest of a size of the first `count` elements.
template <typename Element>
int most_of(const Element* elements, int count, int Element::* size) {
  int most = 0;
  for (int i = 0; i < count; ++i) most = std::max(most, elements[i].*size);
  return most;
}

template <typename T, Factor kWeight, int kRank, bool kVector>
void launch_down(Context& context, const Downs<T>& downs, int count) {
  const int r = most_of(downs.of, count, &Down<T>::r);
  const dim3 grid(ceil_div(downs.of[0].rows.padded, kRows), ceil_div(r, kRank), count);
  using L = DownLayout<T, kWeight, kRank>;
  context.launch(down<T, kWeight, kRank, kVector>, grid, dim3(kThreads), shared_bytes<T>(L::kStaged, L::kSums), downs);
}

template <typename T, Factor kWeight, int kRank, bool kVector>
void launch_up(Context& context, const Ups<T>& ups, int count) {
  const int n = most_of(ups.of, count, &Up<T>::n);
  const dim3 grid(ceil_div(n, kUpColumns), ceil_div(ups.of[0].rows.padded, kRows), count);
  using L = UpLayout<T, kWeight, kRank>;
  context.launch(up<T, kWeight, kRank, kVector>, grid, dim3(kThreads), shared_bytes<T>(L::kStaged, L::kSums), ups);
}

template <typename T, int kRank, bool kVector>
void launch_outer_and_up(Context& context, Outers<T> outers, const Up<T, DropoutMask, kMostLoraUpdates>& up) {
  outers.rank_tiles = ceil_div(most_of(outers.product, outers.count, &Outer<T>::r), kRank);
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
  const int k = args.k;
  const RowCount rows = context.rows(args.rows);
  if (rows.padded == 0) return;
  const T* inp = scalars<T>(args.inp);
  bool vectors = is_wide(inp, k, args.inp_stride);
  int most_r = 0;
  Downs<T> downs{};
  Ups<T> ups{};
  for (int i = 0; i < args.count; ++i) {
    const LoraForwardUpdate& update = args.updates[i];
    const int n = update.n, r = update.r, out_stride = update.out_stride;
    const T* a = scalars<T>(update.a);
    const T* b = scalars<T>(update.b);
    T* h = scalars<T>(update.h);
    T* out = scalars<T>(update.out);
    vectors = vectors && is_wide(a, k, k) && is_wide(out, n, out_stride) && is_ranks(b, r) && is_ranks(h, r);
    most_r = std::max(most_r, r);
    downs.of[i] = {rows, k, r, args.inp_stride, 1.f, context.dropout(update.dropout), inp, a, h};
    ups.of[i] = {rows, n, out_stride, out, 1, {{r, static_cast<float>(update.scaling), context.dropout({}), h, b}}};
  }
  with_shape(most_r, vectors, [&]<int kRank, bool kVector>() {
    launch_down<T, Factor::kAlongK, kRank, kVector>(context, downs, args.count);
    launch_up<T, Factor::kAlongK, kRank, kVector>(context, ups, args.count);
  });
}

template <typename T>
void lora_backward(Context& context, const LoraBackward& args) {
  const int k = args.k;
  const RowCount rows = context.rows(args.rows);
  if (rows.padded == 0) return;
  const T* inp = scalars<T>(args.inp);
  T* dinp = scalars<T>(args.dinp);
  const DropoutMask no_mask = context.dropout({});
  bool vectors = dinp == nullptr || is_wide(dinp, k, args.dinp_stride);
  int most_r = 0, count = 0;  // `count`: of updates whose dh is wanted
  Downs<T> downs{};
  Up<T, DropoutMask, kMostLoraUpdates> up{};
  up.rows = rows;
  up.n = k;
  up.out_stride = args.dinp_stride;
  up.out = dinp;
  Outers<T> outers{};
  outers.rows = rows;
  outers.accumulate = args.accumulate;
  for (int i = 0; i < args.count; ++i) {
    const LoraBackwardUpdate& update = args.updates[i];
    const int n = update.n, r = update.r;
    const T* dout = scalars<T>(update.dout);
    const T* h = scalars<T>(update.h);
    const T* a = scalars<T>(update.a);
    const T* b = scalars<T>(update.b);
    T* dh = scalars<T>(update.dh);
    const float scaling = static_cast<float>(update.scaling);
    const DropoutMask mask = context.dropout(update.dropout);
    vectors = vectors && is_wide(dout, n, update.dout_stride) && is_ranks(b, r) && is_ranks(h, r) && is_ranks(dh, r) &&
              (update.da == nullptr || is_wide(inp, k, args.inp_stride)) && (dinp == nullptr || is_wide(a, k, k));
    most_r = std::max(most_r, r);
    if (update.db != nullptr)
      outers.add({0, n, update.dout_stride, r, false, scaling, no_mask, dout, h, floats(update.db)});
    if (update.da != nullptr) outers.add({0, k, args.inp_stride, r, true, 1.f, mask, inp, dh, floats(update.da)});
    if (update.da == nullptr && dinp == nullptr) continue;
    up.factors[count] = {r, 1.f, mask, dh, a};
    downs.of[count++] = {rows, n, r, update.dout_stride, scaling, no_mask, dout, b, dh};
  }
  up.count = count;
  with_shape(most_r, vectors, [&]<int kRank, bool kVector>() {
    if (count > 0) launch_down<T, Factor::kAcrossK, kRank, kVector>(context, downs, count);
    if (outers.tiles > 0 || dinp != nullptr) launch_outer_and_up<T, kRank, kVector>(context, outers, up);
  });
}

template void lora_forward_add<float>(Context&, const LoraForwardAdd&);
template void lora_forward_add<bf16>(Context&, const LoraForwardAdd&);
template void lora_backward<float>(Context&, const LoraBackward&);
template void lora_backward<bf16>(Context&, const LoraBackward&);

}  // namespace bertune::cuda
