// Attention over packed sequences, backward. Per sequence and head, with the probabilities made again from lse:
//
//   probs = exp(q · kᵀ / √HS − lse),  dprobs = dout · vᵀ,  D = Σ_HS dout ∘ out
//   dscores = probs ∘ (mask ∘ dprobs − D) / √HS
//   dq = dscores · k,  dk = dscoresᵀ · q,  dv = (mask ∘ probs)ᵀ · dout        k, v with the prefix
//
// Short: where a whole head of a sequence fits into shared memory, one block does all of it, each product cut into
// pieces of 16 rows that the warps share out.
// Long: a block makes dq of one tile of queries, going through the keys, or dk and dv of one tile of keys, going
// through the queries; both make the probabilities. Nothing is added up between blocks.
//
// What a sequence adds to the gradients of the prefix lies in prefix_partials, and is summed in order of sequences.
#include "cuda/attention.h"
#include "cuda/attention_first.h"
#include "cuda/attention_tiles.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

// What backward reads and writes beside AttentionInputs; gradients that are null are not wanted.
template <typename T>
struct BackwardArrays {
  const T* out;      // (tokens,C)
  const T* dout;     // (tokens,C)
  const float* lse;  // (tokens,NH)
  T* dq;             // like q
  T* dk;             // like k
  T* dv;             // like v
  float* partials;   // (B,P,2C)
};

// lse and D of queries `query_row` .. + n of a head, in units of log 2. Queries from n to `rows` get an lse that makes
// their probabilities zero. `rows` is a multiple of 16.
template <typename T, int kHS, bool kVectors>
__device__ __forceinline__ void read_statistics(const AttentionInputs<T>& in, const BackwardArrays<T>& arrays,
                                                int query_row, int head, int n, int rows, float* lse, float* D) {
  constexpr int kLanes = kHS / kAccess<T>;  // that share a row
  const HeadRows<const T> out = head_rows(arrays.out, in.C, query_row, head * in.HS);
  const HeadRows<const T> dout = head_rows(arrays.dout, in.C, query_row, head * in.HS);
  for (int i = static_cast<int>(threadIdx.x); i < rows * kLanes; i += static_cast<int>(blockDim.x)) {
    const int row = i / kLanes, column = i % kLanes * kAccess<T>;
    float a[kAccess<T>], b[kAccess<T>];
    load_part<kVectors>(a, out(row), column, in.HS, row < n);
    load_part<kVectors>(b, dout(row), column, in.HS, row < n);
    float sum = 0.f;
#pragma unroll
    for (int c = 0; c < kAccess<T>; ++c) sum += a[c] * b[c];
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(kAllLanes, sum, offset);
    if (column == 0) {
      D[row] = sum;
      lse[row] = row < n ? arrays.lse[static_cast<int64_t>(query_row + row) * in.NH + head] * kLog2e : -kNoScore;
    }
  }
}

// A tile of queries and a tile of keys, in shared memory.
template <typename T>
struct BackwardTile {
  T* q;        // (queries, pitch of kHS)
  T* dout;     // (queries, pitch of kHS)
  T* k;        // (keys, pitch of kHS)
  T* v;        // (keys, pitch of kHS)
  T* probs;    // (queries, pitch) mask ∘ probs
  T* dscores;  // (queries, pitch)
  int pitch;   // of keys
  float* lse;  // (queries)
  float* D;    // (queries)
  KeptTile kept;
};

template <typename T, int kHS>
__device__ __forceinline__ BackwardTile<T> take_tile(int queries, int keys, bool dropout) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  DYN_SHARED(shared);
  BackwardTile<T> tile;
  tile.q = shared.take<T>(queries * kPitch);
  tile.dout = shared.take<T>(queries * kPitch);
  tile.k = shared.take<T>(keys * kPitch);
  tile.v = shared.take<T>(keys * kPitch);
  tile.pitch = shared_pitch<T>(keys);
  tile.probs = shared.take<T>(queries * tile.pitch);
  tile.dscores = shared.take<T>(queries * tile.pitch);
  tile.lse = shared.take<float>(queries);
  tile.D = shared.take<float>(queries);
  tile.kept = {shared.take<uint8_t>(queries * keys / 4), keys / 4, dropout};
  return tile;
}

template <typename T, int kHS>
size_t tile_bytes(int queries, int keys) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  return 2 * simt::smem_bytes<T>(queries * kPitch) + 2 * simt::smem_bytes<T>(keys * kPitch) +
         2 * simt::smem_bytes<T>(queries * shared_pitch<T>(keys)) + 2 * simt::smem_bytes<float>(queries) +
         simt::smem_bytes<uint8_t>(queries * keys / 4);
}

// Of queries `query` .. + 15 and keys `key` .. + 8N − 1 of the tile: (mask ∘ probs) and dscores. Keys from `keys` on
// are not there.
template <int N, int kHS, typename T>
__device__ __forceinline__ void make_dscores(const BackwardTile<T>& tile, int query, int key, int keys, float scale,
                                             float dropout_scale) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  const int lane = static_cast<int>(threadIdx.x & 31);
  float scores[N][4], dprobs[N][4];
  clear(scores);
  clear(dprobs);
  tile_mma<Factor::kAlongK, Factor::kAlongK>(scores, tile.q + query * kPitch, kPitch, tile.k + key * kPitch, kPitch,
                                             kHS);
  tile_mma<Factor::kAlongK, Factor::kAlongK>(dprobs, tile.dout + query * kPitch, kPitch, tile.v + key * kPitch, kPitch,
                                             kHS);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = query + lane / 4 + 8 * half;
    const float lse = tile.lse[row], D = tile.D[row];
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int column = key + 8 * j + 2 * (lane & 3);
      const unsigned keep = tile.kept.pair(row, column);
      float probs[2], dscores[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float p = column + i < keys ? exp2f(scores[j][2 * half + i] * (scale * kLog2e) - lse) : 0.f;
        const float factor = keep >> i & 1 ? dropout_scale : 0.f;
        probs[i] = p * factor;
        dscores[i] = p * (factor * dprobs[j][2 * half + i] - D) * scale;
      }
      store_pair(tile.probs + row * tile.pitch + column, probs[0], probs[1]);
      store_pair(tile.dscores + row * tile.pitch + column, dscores[0], dscores[1]);
    }
  }
}

// Rows of dq: accumulators of queries `query` .. + 15, of which there are n, and columns `column` .. + 8N − 1.
template <bool kVectors, int N, typename T>
__device__ __forceinline__ void store_queries(const float (&acc)[N][4], const HeadRows<T>& rows, int query, int n,
                                              int column, int HS) {
  const int lane = static_cast<int>(threadIdx.x & 31);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = query + lane / 4 + 8 * half;
    if (row >= n) continue;
    T* to = rows(row);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      store_pair<kVectors>(to, column + 8 * j + 2 * (lane & 3), HS, acc[j][2 * half], acc[j][2 * half + 1]);
    }
  }
}

// Where rows of dk or dv of one head go: those of the prefix to this sequence's partials.
template <typename T>
struct KeyGradients {
  HeadRows<T> own;          // null: not wanted
  HeadRows<float> partial;  // null: not wanted
};

template <typename T>
__device__ __forceinline__ KeyGradients<T> key_gradients(const AttentionInputs<T>& in, const BackwardArrays<T>& arrays,
                                                         const HeadTile& at, bool values) {
  const int column = at.head * in.HS;
  T* own = values ? arrays.dv : arrays.dk;
  float* partials = arrays.partials ? arrays.partials + (values ? in.C : 0) : nullptr;
  return {own ? head_rows(own, in.kv_stride, at.begin, column) : HeadRows<T>{nullptr, 0},
          partials ? head_rows(partials, 2 * in.C, at.sequence * in.P, column) : HeadRows<float>{nullptr, 0}};
}

// Rows of dk or dv: accumulators of keys `key` .. + 15 of the S of the sequence.
template <bool kVectors, int N, typename T>
__device__ __forceinline__ void store_keys(const float (&acc)[N][4], const KeyGradients<T>& to, int key, int S, int P,
                                           int column, int HS) {
  const int lane = static_cast<int>(threadIdx.x & 31);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = key + lane / 4 + 8 * half;
    if (row >= S) continue;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const int c = column + 8 * j + 2 * (lane & 3);
      if (row < P) {
        if (to.partial.first) store_pair<kVectors>(to.partial(row), c, HS, acc[j][2 * half], acc[j][2 * half + 1]);
      } else {
        if (to.own.first) store_pair<kVectors>(to.own(row - P), c, HS, acc[j][2 * half], acc[j][2 * half + 1]);
      }
    }
  }
}

// Padding's share of a block: rows of no token, and the partials of a sequence that is not there.
template <typename T>
__device__ __forceinline__ void clear_padding(const AttentionInputs<T>& in, const BackwardArrays<T>& arrays,
                                              const HeadTile& at) {
  const int column = at.head * in.HS;
  clear_padding(arrays.dq, in.q_stride, in.tokens, in.HS, column, at, in.B);
  clear_padding(arrays.dk, in.kv_stride, in.tokens, in.HS, column, at, in.B);
  clear_padding(arrays.dv, in.kv_stride, in.tokens, in.HS, column, at, in.B);
  if (at.length == 0) clear_partials(arrays.partials, in.P, in.C, in.HS, at);
}

constexpr int kShortWarps = 8;
constexpr int kPiece = 32;  // columns of a piece of dq, dk or dv

// The second launch bound, of blocks a multiprocessor, keeps each instance's registers from spilling.
// grid (B · NH), block 256. `queries` and `keys`, multiples of 16, are the most that a sequence has.
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(32 * kShortWarps, sizeof(T) == 2 ? 4 : 2)
    attention_backward_short_kernel(AttentionInputs<T> in, BackwardArrays<T> arrays, DropoutMask dropout, int queries,
                                    int keys) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  const HeadTile at = head_tile(in, 1);
  clear_padding(in, arrays, at);
  if (at.length == 0) return;
  const int n = at.length, S = in.P + n, column = at.head * in.HS;
  const int query_groups = round_up(n, 16) / 16, key_groups = round_up(S, 16) / 16;
  const int warp = static_cast<int>(threadIdx.x >> 5);
  const BackwardTile<T> tile = take_tile<T, kHS>(queries, keys, dropout.on());

  copy_rows<T, kHS, kVectors>(tile.q, 16 * query_groups, n, in.HS, head_rows(in.q, in.q_stride, at.begin, column));
  copy_rows<T, kHS, kVectors>(tile.k, 16 * key_groups, S, in.HS, key_rows(in, at, in.k, in.prefix_k, 0));
  copy_rows<T, kHS, kVectors>(tile.v, 16 * key_groups, S, in.HS, key_rows(in, at, in.v, in.prefix_v, 0));
  copy_rows<T, kHS, kVectors>(tile.dout, 16 * query_groups, n, in.HS, head_rows(arrays.dout, in.C, at.begin, column));
  simt::cp_async_commit();
  read_statistics<T, kHS, kVectors>(in, arrays, at.begin, at.head, n, 16 * query_groups, tile.lse, tile.D);
  make_kept(tile.kept, dropout, n, S, at.begin, in.NH, at.head, 0);
  simt::cp_async_wait<0>();
  __syncthreads();

  for (int piece = warp; piece < query_groups * key_groups; piece += kShortWarps) {
    make_dscores<2, kHS>(tile, piece / key_groups * 16, piece % key_groups * 16, S, in.scale, dropout.scale);
  }
  __syncthreads();

  const int width = round_up(in.HS, kPiece) / kPiece;  // pieces of a row
  const int of_queries = arrays.dq ? query_groups * width : 0, of_keys = key_groups * width;
  for (int piece = warp; piece < of_queries + 2 * of_keys; piece += kShortWarps) {
    float acc[kPiece / 8][4];
    clear(acc);
    if (piece < of_queries) {
      const int query = piece / width * 16, c = piece % width * kPiece;
      tile_mma<Factor::kAlongK, Factor::kAcrossK>(acc, tile.dscores + query * tile.pitch, tile.pitch, tile.k + c,
                                                  kPitch, 16 * key_groups);
      store_queries<kVectors>(acc, head_rows(arrays.dq, in.q_stride, at.begin, column), query, n, c, in.HS);
    } else {
      const bool values = piece >= of_queries + of_keys;
      const int rest = piece - of_queries - (values ? of_keys : 0);
      const int key = rest / width * 16, c = rest % width * kPiece;
      tile_mma<Factor::kAcrossK, Factor::kAcrossK>(acc, (values ? tile.probs : tile.dscores) + key, tile.pitch,
                                                   (values ? tile.dout : tile.q) + c, kPitch, 16 * query_groups);
      store_keys<kVectors>(acc, key_gradients(in, arrays, at, values), key, S, in.P, c, in.HS);
    }
  }
}

constexpr int kLongWarps = 4;

// Queries, and keys, of a tile.
template <typename T, int kHS>
constexpr int kRows = sizeof(T) == 2 && kHS <= 64 ? 64 : 32;

// grid (B · (query_tiles + key_tiles) · NH), block 128. The first query_tiles tiles of a head are of dq, the others of
// dk and dv. A warp has 16 rows of the tile, and shares its columns with the other warps that have them.
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(32 * kLongWarps, 3)
    attention_backward_long_kernel(AttentionInputs<T> in, BackwardArrays<T> arrays, DropoutMask dropout,
                                   int query_tiles, int key_tiles) {
  constexpr int kPitch = shared_pitch<T>(kHS), kSize = kRows<T, kHS>;
  constexpr int kGroups = kSize / 16, kParts = kLongWarps / kGroups;
  constexpr int kPartKeys = kSize / kParts, kPartColumns = kHS / kParts;
  constexpr int kStep = kPartKeys < 32 ? kPartKeys : 32;  // keys at once
  const HeadTile at = head_tile(in, query_tiles + key_tiles);
  if (at.tile == 0) clear_padding(in, arrays, at);
  const bool of_queries = at.tile < query_tiles;
  const int S = in.P + at.length, column = at.head * in.HS;
  const int own = (of_queries ? at.tile : at.tile - query_tiles) * kSize;  // first row of the block's tile
  if (at.length == 0 || own >= (of_queries ? at.length : S)) return;
  const int warp = static_cast<int>(threadIdx.x >> 5);
  const int group = warp % kGroups * 16, part = warp / kGroups;
  const BackwardTile<T> tile = take_tile<T, kHS>(kSize, kSize, dropout.on());

  float acc[kPartColumns / 8][4], acc_values[kPartColumns / 8][4];
  clear(acc);
  clear(acc_values);
  const int others = of_queries ? S : at.length;  // rows to go through
  for (int other = 0; other < others; other += kSize) {
    const int query = of_queries ? own : other, key = of_queries ? other : own;
    const int n = min(kSize, at.length - query), keys = min(kSize, S - key);
    const int query_row = at.begin + query;
    if (other > 0) __syncthreads();  // all have done with the previous tile
    if (other == 0 || !of_queries) {
      copy_rows<T, kHS, kVectors>(tile.q, kSize, n, in.HS, head_rows(in.q, in.q_stride, query_row, column));
      copy_rows<T, kHS, kVectors>(tile.dout, kSize, n, in.HS, head_rows(arrays.dout, in.C, query_row, column));
    }
    if (other == 0 || of_queries) {
      copy_rows<T, kHS, kVectors>(tile.k, kSize, keys, in.HS, key_rows(in, at, in.k, in.prefix_k, key));
      copy_rows<T, kHS, kVectors>(tile.v, kSize, keys, in.HS, key_rows(in, at, in.v, in.prefix_v, key));
    }
    simt::cp_async_commit();
    if (other == 0 || !of_queries) {
      read_statistics<T, kHS, kVectors>(in, arrays, query_row, at.head, n, kSize, tile.lse, tile.D);
    }
    make_kept(tile.kept, dropout, n, keys, query_row, in.NH, at.head, key);
    simt::cp_async_wait<0>();
    __syncthreads();
    for (int first = part * kPartKeys; first < (part + 1) * kPartKeys; first += kStep) {
      if (group < n && first < keys) {
        make_dscores<kStep / 8, kHS>(tile, group, first, keys, in.scale, dropout.scale);
      }
    }
    __syncthreads();
    if (group >= (of_queries ? n : keys)) continue;
    const int c = part * kPartColumns;
    if (of_queries) {
      tile_mma<Factor::kAlongK, Factor::kAcrossK>(acc, tile.dscores + group * tile.pitch, tile.pitch, tile.k + c,
                                                  kPitch, round_up(keys, 16));
    } else {
      tile_mma<Factor::kAcrossK, Factor::kAcrossK>(acc, tile.dscores + group, tile.pitch, tile.q + c, kPitch,
                                                   round_up(n, 16));
      tile_mma<Factor::kAcrossK, Factor::kAcrossK>(acc_values, tile.probs + group, tile.pitch, tile.dout + c, kPitch,
                                                   round_up(n, 16));
    }
  }

  const int c = part * kPartColumns;
  if (of_queries) {
    store_queries<kVectors>(acc, head_rows(arrays.dq, in.q_stride, at.begin, column), own + group, at.length, c, in.HS);
  } else {
    store_keys<kVectors>(acc, key_gradients(in, arrays, at, false), own + group, S, in.P, c, in.HS);
    store_keys<kVectors>(acc_values, key_gradients(in, arrays, at, true), own + group, S, in.P, c, in.HS);
  }
}

// dprefix (P,C) = Σ over sequences of partials (B,P,2C), or += where `accumulate`.
// grid (ceil(P · C / 128), 2: keys and values), block 128
__global__ void __launch_bounds__(128)
    sum_prefix_partials_kernel(const float* partials, int B, int P, int C, bool accumulate, int stride,
                               float* dprefix_k /* (P,C) or null */, float* dprefix_v /* (P,C) or null */) {
  float* dprefix = blockIdx.y == 0 ? dprefix_k : dprefix_v;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (!dprefix || i >= P * C) return;
  const int p = i / C, c = i % C;
  float* to = dprefix + static_cast<int64_t>(p) * stride + c;
  const float* from = partials + (2LL * p + blockIdx.y) * C + c;
  float sum = accumulate ? *to : 0.f;
#pragma unroll 8
  for (int b = 0; b < B; ++b) sum += from[2LL * b * P * C];
  *to = sum;
}

// The same of all layers at once: dprefix (P,L,2C), partials (L,B,P,2C).
// grid ceil(P · L · 2C / 128), block 128
template <typename T>
__global__ void __launch_bounds__(128) sum_all_prefix_partials_kernel(SumPrefixPartials args, int B, T* real) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int C2 = 2 * args.C;
  const int64_t row = i / C2, sequence = static_cast<int64_t>(args.P) * C2;
  const int c = static_cast<int>(i % C2), p = static_cast<int>(row / args.L), l = static_cast<int>(row % args.L);
  if (p >= args.P) return;
  float* to = floats(args.dprefix) + i;
  const float* from = floats(args.partials) + l * B * sequence + static_cast<int64_t>(p) * C2 + c;
  float sum = args.accumulate ? *to : 0.f;
#pragma unroll 8
  for (int b = 0; b < B; ++b) sum += from[b * sequence];
  *to = sum;
  if (real) real[i] = from_float<T>(sum);
}

template <typename T>
void launch_heads(Context& context, const AttentionBackward& args, float* partials) {
  const AttentionForward& forward = args.forward;
  const Batch& batch = context.batch;
  const AttentionInputs<T> in = attention_inputs<T>(batch, forward);
  const BackwardArrays<T> arrays{scalars<T>(static_cast<const Real*>(forward.out)),
                                 scalars<T>(args.dout),
                                 floats(static_cast<const Acc*>(forward.lse)),
                                 scalars<T>(args.dq),
                                 scalars<T>(args.dk),
                                 scalars<T>(args.dv),
                                 partials};
  constexpr int N = kAccess<T>;
  const bool vectors =
      heads_are_vectorizable(in) && is_vectorizable<N>(arrays.out, in.HS, in.C) &&
      is_vectorizable<N>(arrays.dout, in.HS, in.C) && is_vectorizable<2>(arrays.dq, in.HS, in.q_stride) &&
      is_vectorizable<2>(arrays.dk, in.HS, in.kv_stride) && is_vectorizable<2>(arrays.dv, in.HS, in.kv_stride);
  const int queries = round_up(batch.max_length, 16), keys = round_up(in.P + batch.max_length, 16);
  with_head_size(in.HS, vectors, [&](auto size, auto with_vectors) {
    constexpr int kHS = decltype(size)::value, kSize = kRows<T, kHS>;
    constexpr bool kVectors = decltype(with_vectors)::value;
    const DropoutMask dropout = context.dropout(forward.dropout, RowKind::kTokens, forward.NH);
    const size_t bytes = tile_bytes<T, kHS>(queries, keys);
    if (bytes <= kMaxSharedBytes) {
      context.launch(attention_backward_short_kernel<T, kHS, kVectors>, dim3(static_cast<unsigned>(in.B * in.NH)),
                     dim3(32 * kShortWarps), bytes, in, arrays, dropout, queries, keys);
      return;
    }
    const int query_tiles = arrays.dq ? round_up(queries, kSize) / kSize : 0;
    const int key_tiles = arrays.dk || arrays.dv || partials ? round_up(keys, kSize) / kSize : 0;
    const int blocks = in.B * (query_tiles + key_tiles) * in.NH;
    if (blocks == 0) return;
    context.launch(attention_backward_long_kernel<T, kHS, kVectors>, dim3(static_cast<unsigned>(blocks)),
                   dim3(32 * kLongWarps), tile_bytes<T, kHS>(kSize, kSize), in, arrays, dropout, query_tiles,
                   key_tiles);
  });
}

}  // namespace

template <typename T>
void attention_backward(Context& context, const AttentionBackward& args) {
  const AttentionForward& forward = args.forward;
  const int C = forward.C, P = forward.P;
  BERTUNE_CHECK(forward.NH > 0 && C % forward.NH == 0 && C / forward.NH <= kMaxHeadSize);
  float* partials = P > 0 ? floats(args.prefix_partials) : nullptr;
  if (forward.first_only) {
    attention_first_backward<T>(context, args);
  } else {
    launch_heads<T>(context, args, partials);
  }
  if (!partials || (!args.dprefix_k && !args.dprefix_v)) return;
  context.launch(sum_prefix_partials_kernel, dim3(ceil_div(static_cast<int64_t>(P) * C, 128), 2), dim3(128), 0,
                 partials, context.batch.B, P, C, args.accumulate, args.dprefix_stride, floats(args.dprefix_k),
                 floats(args.dprefix_v));
}

template <typename T>
void sum_prefix_partials(Context& context, const SumPrefixPartials& args) {
  const int64_t count = 2LL * args.P * args.L * args.C;
  if (count == 0) return;
  context.launch(sum_all_prefix_partials_kernel<T>, dim3(ceil_div(count, 128)), dim3(128), 0, args, context.batch.B,
                 scalars<T>(args.dprefix_real));
}

template void sum_prefix_partials<float>(Context&, const SumPrefixPartials&);
template void sum_prefix_partials<bf16>(Context&, const SumPrefixPartials&);
template void attention_backward<float>(Context&, const AttentionBackward&);
template void attention_backward<bf16>(Context&, const AttentionBackward&);

}  // namespace bertune::cuda
