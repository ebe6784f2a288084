// Attention over packed sequences, backward. Per sequence and head, with the probabilities made again from lse:
//
//   probs = exp(q · kᵀ / √HS − lse),  dprobs = dout · vᵀ,  D = Σ_HS dout ∘ out
//   dscores = probs ∘ (mask ∘ dprobs − D) / √HS
//   dq = dscores · k,  dk = dscoresᵀ · q,  dv = (mask ∘ probs)ᵀ · dout        k, v with the prefix
//
// Short: where a whole head of a sequence fits into shared memory, one block does all of it, each product cut into
// pieces of 16 rows that the warps share out.
// Long: a block makes dq of one tile of queries, going through the keys, or dk and dv of one tile of keys, going
// through the queries; both make the probabilities, in registers (bf16), with the next tile on its way. Nothing is added
// up between blocks.
//
// Batches whose longest text is short have a kernel of their own. In the others each text goes its own way: one that is
// short enough for the memory of the long texts' blocks is done by the first of its blocks, and has the same bits.
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
  tile.kept = {shared.take<uint8_t>(queries * kept_pitch(keys)), kept_pitch(keys), dropout};
  return tile;
}

template <typename T, int kHS>
size_t tile_bytes(int queries, int keys) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  return 2 * simt::smem_bytes<T>(queries * kPitch) + 2 * simt::smem_bytes<T>(keys * kPitch) +
         2 * simt::smem_bytes<T>(queries * shared_pitch<T>(keys)) + 2 * simt::smem_bytes<float>(queries) +
         simt::smem_bytes<uint8_t>(queries * kept_pitch(keys));
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
      const unsigned keep = tile.kept.bits(row, column);
      float probs[2], dscores[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float p = column + i < keys ? exp2f(fmaf(scores[j][2 * half + i], scale * kLog2e, -lse)) : 0.f;
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

// All gradients of a head of a sequence, by a block of kWarps. `queries` and `keys`, multiples of 16, are what shared
// memory is divided by; the sequence has no more.
template <typename T, int kHS, bool kVectors, int kWarps>
__device__ __forceinline__ void make_short_gradients(const AttentionInputs<T>& in, const BackwardArrays<T>& arrays,
                                                     const AttentionDropout& dropout, const HeadTile& at, int queries,
                                                     int keys) {
  constexpr int kPitch = shared_pitch<T>(kHS);
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
  make_kept(tile.kept, dropout, n, 16 * query_groups, S, at.begin, in.NH, at.head, 0);
  simt::cp_async_wait<0>();
  __syncthreads();

  for (int piece = warp; piece < query_groups * key_groups; piece += kWarps) {
    make_dscores<2, kHS>(tile, piece / key_groups * 16, piece % key_groups * 16, S, in.scale, dropout.scale);
  }
  __syncthreads();

  const int width = round_up(in.HS, kPiece) / kPiece;  // pieces of a row
  const int of_queries = arrays.dq ? query_groups * width : 0, of_keys = key_groups * width;
  for (int piece = warp; piece < of_queries + 2 * of_keys; piece += kWarps) {
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

// The second launch bound, of blocks a multiprocessor, keeps each instance's registers from spilling.
// grid (B · NH), block 256. `queries` and `keys`, multiples of 16, are the most that a sequence has.
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(32 * kShortWarps, sizeof(T) == 2 ? 4 : 2)
    attention_backward_short_kernel(AttentionInputs<T> in, BackwardArrays<T> arrays, AttentionDropout dropout,
                                    int queries, int keys) {
  simt::wait_for_previous();
  const HeadTile at = head_tile(in, 1);
  clear_padding(in, arrays, at);
  if (at.length == 0) return;
  make_short_gradients<T, kHS, kVectors, kShortWarps>(in, arrays, dropout, at, queries, keys);
}

// How the long kernel divides its work: a block has `kOwn` rows, queries or keys, a warp 16 of them, and goes through
// the other ones by tiles of kOthers, kStages of which are in shared memory, in steps.
template <typename T, int kHS>
struct LongShape {
  static constexpr int kWarps = sizeof(T) * kHS > 256 ? 2 : 4;
  static constexpr int kOwn = 16 * kWarps;
  static constexpr int kOthers = sizeof(T) * kHS > 128 ? 32 : 64;
  static constexpr int kStages = sizeof(T) == 2 ? 2 : 1;
  // Keys of dq at once: as many as a lane's draws are of. Queries of dk and dv, whose sums take twice the registers.
  static constexpr int kKeyStep = 32, kQueryStep = 16;
  static constexpr int kBlocks = kHS > 64 ? 2 : 3;  // of a multiprocessor, which bound registers
  static constexpr int kPitch = shared_pitch<T>(kHS);
  static constexpr int kStatistics = kOwn > kStages* kOthers ? kOwn : kStages* kOthers;
  static constexpr int kKeptPitch = kept_pitch(kOwn);
  static constexpr int kScratch = WarpFactor<T, kKeyStep>::kScratch;  // of a warp
  // A warp's rows of q or k, a factor of every product; registers hold those of small heads.
  using Own = std::conditional_t<(kHS > 64), SharedFactor<T, kHS>, WarpFactor<T, kHS>>;

  static size_t bytes() {
    return 2 * simt::smem_bytes<T>(kOwn * kPitch) + 2 * simt::smem_bytes<T>(kStages * kOthers * kPitch) +
           2 * simt::smem_bytes<float>(kStatistics) + simt::smem_bytes<uint8_t>(kStages * kOthers * kKeptPitch) +
           simt::smem_bytes<T>(kWarps * kScratch);
  }
};

// dq of the block's own tile of queries, or dk and dv of its own tile of keys, `first` .. + kOwn − 1 of the sequence:
//
//   scores = a · other_aᵀ,  dprobs = b · other_bᵀ        of queries: a = q, b = dout, other_a = k, other_b = v
//   dq or dk += dscores · other_a,  dv += probs · other_b      of keys: a = k, b = v, other_a = q, other_b = dout
//
// so that probabilities and dscores are factors in the layout that they are made in.
template <bool kOfQueries, typename T, int kHS, bool kVectors>
__device__ __forceinline__ void make_long_gradients(const AttentionInputs<T>& in, const BackwardArrays<T>& arrays,
                                                    const AttentionDropout& dropout, const HeadTile& at, int first) {
  using Shape = LongShape<T, kHS>;
  constexpr int kPitch = Shape::kPitch, kOwn = Shape::kOwn, kOthers = Shape::kOthers;
  constexpr int kStep = kOfQueries ? Shape::kKeyStep : Shape::kQueryStep;
  const int S = in.P + at.length, column = at.head * in.HS;
  const int n = min(kOwn, (kOfQueries ? at.length : S) - first), others = kOfQueries ? S : at.length;
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int row = 16 * warp + lane / 4, pair = 2 * (lane & 3);  // of this lane in an accumulator

  DYN_SHARED(shared);
  T* own_a = shared.take<T>(kOwn * kPitch);
  T* own_b = shared.take<T>(kOwn * kPitch);
  T* all_a = shared.take<T>(Shape::kStages * kOthers * kPitch);
  T* all_b = shared.take<T>(Shape::kStages * kOthers * kPitch);
  float* all_lse = shared.take<float>(Shape::kStatistics);
  float* all_D = shared.take<float>(Shape::kStatistics);
  uint8_t* all_kept = shared.take<uint8_t>(Shape::kStages * kOthers * Shape::kKeptPitch);
  T* scratch = shared.take<T>(Shape::kWarps * Shape::kScratch) + warp * Shape::kScratch;

  const auto copy_queries = [&](T* q, T* dout, int rows, int query) {
    const int query_row = at.begin + query, valid = min(rows, at.length - query);
    copy_rows<T, kHS, kVectors>(q, rows, valid, in.HS, head_rows(in.q, in.q_stride, query_row, column));
    copy_rows<T, kHS, kVectors>(dout, rows, valid, in.HS, head_rows(arrays.dout, in.C, query_row, column));
  };
  const auto copy_keys = [&](T* k, T* v, int rows, int key) {
    const int valid = min(rows, S - key);
    copy_rows<T, kHS, kVectors>(k, rows, valid, in.HS, key_rows(in, at, in.k, in.prefix_k, key));
    copy_rows<T, kHS, kVectors>(v, rows, valid, in.HS, key_rows(in, at, in.v, in.prefix_v, key));
  };
  const auto kept_of = [&](int stage) {
    return KeptTile{all_kept + stage * kOthers * Shape::kKeptPitch, Shape::kKeptPitch, dropout.on()};
  };
  const auto start = [&](int other, int stage) {
    T* a = all_a + stage * kOthers * kPitch;
    T* b = all_b + stage * kOthers * kPitch;
    if constexpr (kOfQueries) {
      copy_keys(a, b, kOthers, other);
      simt::cp_async_commit();
    } else {
      const int query_row = at.begin + other, rows = min(kOthers, at.length - other);
      copy_queries(a, b, kOthers, other);
      simt::cp_async_commit();
      read_statistics<T, kHS, kVectors>(in, arrays, query_row, at.head, rows, kOthers, all_lse + stage * kOthers,
                                        all_D + stage * kOthers);
      make_kept(kept_of(stage), dropout, rows, kOthers, n, query_row, in.NH, at.head, first);
    }
  };

  const bool works = 16 * warp < n;
  float acc[kHS / 8][4], acc_values[kHS / 8][4];
  clear(acc);
  clear(acc_values);
  if constexpr (kOfQueries) {
    copy_queries(own_a, own_b, kOwn, first);
    read_statistics<T, kHS, kVectors>(in, arrays, at.begin + first, at.head, n, kOwn, all_lse, all_D);
  } else {
    copy_keys(own_a, own_b, kOwn, first);
  }
  start(0, 0);
  LaneDraws draws(dropout);
  if (kOfQueries) draws.set_rows(at.begin + first, row, n, in.NH, at.head);
  simt::cp_async_wait<0>();
  __syncthreads();
  typename Shape::Own a;
  SharedFactor<T, kHS> b;  // both would not fit the registers
  a.load(own_a + 16 * warp * kPitch, kPitch);
  b.load(own_b + 16 * warp * kPitch, kPitch);

  for (int other = 0, stage = 0;;) {
    const int next = other + kOthers, rows = min(kOthers, others - other);
    if (Shape::kStages > 1 && next < others) start(next, stage ^ 1);
    const T* other_a = all_a + stage * kOthers * kPitch;
    const T* other_b = all_b + stage * kOthers * kPitch;
    const KeptTile kept = kept_of(stage);
    for (int step = 0; works && step < rows; step += kStep) {
      if (kOfQueries && dropout.on()) draws.make(other + step);
      float scores[kStep / 8][4], dprobs[kStep / 8][4];
      clear(scores);
      clear(dprobs);
      tile_mma<Factor::kAlongK>(scores, a, other_a + step * kPitch, kPitch);
      tile_mma<Factor::kAlongK>(dprobs, b, other_b + step * kPitch, kPitch);
      float row_lse[2], row_D[2];
      if constexpr (kOfQueries) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          row_lse[half] = all_lse[row + 8 * half];
          row_D[half] = all_D[row + 8 * half];
        }
      }
#pragma unroll
      for (int j = 0; j < kStep / 8; ++j) {
        const int c = step + 8 * j + pair;
        float column_lse[2], column_D[2];
        unsigned bits[2];
        if constexpr (!kOfQueries) {
          load_floats(column_lse, all_lse + stage * kOthers + c);
          load_floats(column_D, all_D + stage * kOthers + c);
#pragma unroll
          for (int i = 0; i < 2; ++i) bits[i] = kept.bits(c + i, row);
        }
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int half = i / 2, neighbour = i % 2;
          const float lse = kOfQueries ? row_lse[half] : column_lse[neighbour];
          const float D = kOfQueries ? row_D[half] : column_D[neighbour];
          const bool keep = !dropout.on() || (kOfQueries ? draws.keeps(j, i) : (bits[neighbour] >> 2 * half & 1) != 0);
          // A query that is not there has an lse that makes this zero.
          const bool inside = !kOfQueries || c + neighbour < rows;
          const float p = inside ? exp2f(fmaf(scores[j][i], in.scale * kLog2e, -lse)) : 0.f;
          const float factor = keep ? dropout.scale : 0.f;
          scores[j][i] = p * factor;
          dprobs[j][i] = p * (factor * dprobs[j][i] - D) * in.scale;
        }
      }
      WarpFactor<T, kStep> made;
      made.set(dprobs, scratch);
      tile_mma<Factor::kAcrossK>(acc, made, other_a + step * kPitch, kPitch);
      if constexpr (!kOfQueries) {
        made.set(scores, scratch);
        tile_mma<Factor::kAcrossK>(acc_values, made, other_b + step * kPitch, kPitch);
      }
    }
    if (next >= others) break;
    other = next;
    turn_to_next_tile(Shape::kStages > 1, stage, [&] { start(next, 0); });
  }

  if (!works) return;
  const int from = first + 16 * warp;
  if constexpr (kOfQueries) {
    store_queries<kVectors>(acc, head_rows(arrays.dq, in.q_stride, at.begin, column), from, at.length, 0, in.HS);
  } else {
    store_keys<kVectors>(acc, key_gradients(in, arrays, at, false), from, S, in.P, 0, in.HS);
    store_keys<kVectors>(acc_values, key_gradients(in, arrays, at, true), from, S, in.P, 0, in.HS);
  }
}

// grid (B · (query_tiles + key_tiles) · NH), block 32 · kWarps. The first query_tiles tiles of a head are of dq, the
// others of dk and dv. Of sequences of at most `short_queries` queries the first tile is all.
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(32 * LongShape<T, kHS>::kWarps, LongShape<T, kHS>::kBlocks)
    attention_backward_long_kernel(AttentionInputs<T> in, BackwardArrays<T> arrays, AttentionDropout dropout,
                                   int query_tiles, int key_tiles, int short_queries) {
  simt::wait_for_previous();
  using Shape = LongShape<T, kHS>;
  constexpr int kOwn = Shape::kOwn;
  const HeadTile at = head_tile(in, query_tiles + key_tiles);
  if (at.tile == 0) clear_padding(in, arrays, at);
  if (at.length == 0) return;
  if (at.length <= short_queries) {
    if (at.tile == 0) {
      make_short_gradients<T, kHS, kVectors, Shape::kWarps>(in, arrays, dropout, at, round_up(at.length, 16),
                                                            round_up(in.P + at.length, 16));
    }
  } else if (at.tile < query_tiles) {
    const int first = at.tile * kOwn;
    if (first < at.length) make_long_gradients<true, T, kHS, kVectors>(in, arrays, dropout, at, first);
  } else {
    const int first = (at.tile - query_tiles) * kOwn;
    if (first < in.P + at.length) make_long_gradients<false, T, kHS, kVectors>(in, arrays, dropout, at, first);
  }
}

// dprefix (P,C) = Σ over sequences of partials (B,P,2C), or += where `accumulate`.
// grid (ceil(P · C / 128), 2: keys and values), block 128
__global__ void __launch_bounds__(128)
    sum_prefix_partials_kernel(const float* partials, int B, int P, int C, bool accumulate, int stride,
                               float* dprefix_k /* (P,C) or null */, float* dprefix_v /* (P,C) or null */) {
  simt::wait_for_previous();
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
  simt::wait_for_previous();
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
    constexpr int kHS = decltype(size)::value;
    using Long = LongShape<T, kHS>;
    constexpr bool kVectors = decltype(with_vectors)::value;
    const AttentionDropout dropout = attention_dropout(context, forward);
    const size_t bytes = tile_bytes<T, kHS>(queries, keys);
    if (bytes <= kMaxSharedBytes) {
      context.launch(attention_backward_short_kernel<T, kHS, kVectors>, dim3(static_cast<unsigned>(in.B * in.NH)),
                     dim3(32 * kShortWarps), bytes, in, arrays, dropout, queries, keys);
      return;
    }
    const int query_tiles = arrays.dq ? round_up(queries, Long::kOwn) / Long::kOwn : 0;
    const int key_tiles = arrays.dk || arrays.dv || partials ? round_up(keys, Long::kOwn) / Long::kOwn : 0;
    const int blocks = in.B * (query_tiles + key_tiles) * in.NH;
    if (blocks == 0) return;
    int short_queries = 0;
    while (tile_bytes<T, kHS>(short_queries + 16, round_up(in.P + short_queries + 16, 16)) <= Long::bytes()) {
      short_queries += 16;
    }
    context.launch(attention_backward_long_kernel<T, kHS, kVectors>, dim3(static_cast<unsigned>(blocks)),
                   dim3(32 * Long::kWarps), Long::bytes(), in, arrays, dropout, query_tiles, key_tiles, short_queries);
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
