// Attention over packed sequences, forward: per sequence and head
//
//   q (n,HS) · [prefix_k; k] (S,HS)ᵀ / √HS → scores (n,S) → softmax → probs (n,S)
//   dropout(probs) · [prefix_v; v] (S,HS) → out (n,HS)
//
// A block takes 64 queries of a head, or as many as the longest text has, a warp 16 of them, which stay in its registers
// (bf16). Keys and values pass through
// shared memory by tiles, short texts in one, the next on its way while one is used. A warp goes through a tile by steps
// of 32 keys with the softmax of the keys so far: its maximum m and sum l of exponentials; what was added up to `out`
// before is scaled down whenever m grows. Probabilities are never stored, as they are a factor in the layout that they
// are made in; lse = m + log l brings them back.
#include "cuda/attention.h"
#include "cuda/attention_first.h"
#include "cuda/attention_tiles.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kMaxWarps = 4;
constexpr int kQueries = 16 * kMaxWarps;  // of a block, at most
constexpr int kStep = 32;                 // keys that a warp takes at once

// Keys of a tile, and tiles in shared memory: as much as leaves room for other blocks.
template <int kHS>
constexpr int kKeys = kHS > 64 ? 32 : 64;
template <typename T>
constexpr int kStages = sizeof(T) == 2 ? 2 : 1;

// Blocks of a multiprocessor, which bound registers.
template <typename T, int kHS>
constexpr int kBlocks = kHS > 64         ? 2
                        : sizeof(T) == 4 ? 3
                        : kHS > 32       ? 4
                                         : 5;

// Shared memory of a block.
struct ForwardTiles {
  int queries;  // rows, a multiple of 16
  int keys;     // rows of a tile, a multiple of 32
  int stages;   // tiles of keys and of values

  constexpr __host__ __device__ int warps() const { return queries / 16; }
};

template <typename T, int kHS>
size_t forward_bytes(const ForwardTiles& tiles) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  return simt::smem_bytes<T>(tiles.queries * kPitch) + 2 * simt::smem_bytes<T>(tiles.stages * tiles.keys * kPitch) +
         simt::smem_bytes<T>(tiles.warps() * WarpFactor<T, kStep>::kScratch);
}

// grid (B · tiles of queries · NH), block 32 · tiles.warps(). out (tokens,C), lse (tokens,NH)
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(32 * kMaxWarps, kBlocks<T, kHS>)
    attention_forward_kernel(AttentionInputs<T> in, AttentionDropout dropout, ForwardTiles tiles, int query_tiles,
                             T* out, float* lse) {
  simt::wait_for_previous();
  constexpr int kPitch = shared_pitch<T>(kHS);
  const HeadTile at = head_tile(in, query_tiles);
  const int column = at.head * in.HS;
  if (at.tile == 0) {
    clear_padding(out, in.C, in.tokens, in.HS, column, at, in.B);
    clear_padding(lse, in.NH, in.tokens, 1, at.head, at, in.B);
  }
  const int n = min(kQueries, at.length - at.tile * kQueries);
  if (n <= 0) return;
  const int query_row = at.begin + at.tile * kQueries;
  const int S = in.P + at.length;

  DYN_SHARED(shared);
  T* q = shared.take<T>(tiles.queries * kPitch);
  T* all_k = shared.take<T>(tiles.stages * tiles.keys * kPitch);
  T* all_v = shared.take<T>(tiles.stages * tiles.keys * kPitch);
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int row = 16 * warp + lane / 4, pair = 2 * (lane & 3);  // of this lane in an accumulator
  T* scratch = shared.take<T>(tiles.warps() * WarpFactor<T, kStep>::kScratch) + warp * WarpFactor<T, kStep>::kScratch;
  const float scale = in.scale * kLog2e;

  float m[2] = {kNoScore, kNoScore}, l[2] = {0.f, 0.f};
  float acc[kHS / 8][4];
  clear(acc);
  LaneDraws draws(dropout);
  draws.set_rows(query_row, row, n, in.NH, at.head);
  const auto start_copies = [&](int first_key, int stage) {
    const int keys = min(tiles.keys, S - first_key), rows = round_up(keys, kStep);
    const int offset = stage * tiles.keys * kPitch;
    copy_rows<T, kHS, kVectors>(all_k + offset, rows, keys, in.HS, key_rows(in, at, in.k, in.prefix_k, first_key));
    copy_rows<T, kHS, kVectors>(all_v + offset, rows, keys, in.HS, key_rows(in, at, in.v, in.prefix_v, first_key));
    simt::cp_async_commit();
  };
  copy_rows<T, kHS, kVectors>(q, round_up(n, 16), n, in.HS, head_rows(in.q, in.q_stride, query_row, column));
  start_copies(0, 0);
  const bool works = 16 * warp < n;
  if (works && dropout.on()) draws.make(0);
  simt::cp_async_wait<0>();
  __syncthreads();
  WarpFactor<T, kHS> queries;
  if (works) queries.load(q + 16 * warp * kPitch, kPitch);

  for (int first_key = 0, stage = 0;;) {
    const int next = first_key + tiles.keys, keys = min(tiles.keys, S - first_key);
    if (tiles.stages > 1 && next < S) start_copies(next, stage ^ 1);
    const T* k = all_k + stage * tiles.keys * kPitch;
    const T* v = all_v + stage * tiles.keys * kPitch;
    for (int step = 0; works && step < keys; step += kStep) {
      float scores[kStep / 8][4];
      clear(scores);
      tile_mma<Factor::kAlongK>(scores, queries, k + step * kPitch, kPitch);
      if (step + kStep > keys) {
#pragma unroll
        for (int j = 0; j < kStep / 8; ++j) {
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            if (step + 8 * j + pair + i % 2 >= keys) scores[j][i] = kNoScore;
          }
        }
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = scores[0][2 * half];
#pragma unroll
        for (int j = 0; j < kStep / 8; ++j) most = fmaxf(most, fmaxf(scores[j][2 * half], scores[j][2 * half + 1]));
        most = fmaxf(m[half], quad_max(most) * scale);
        const float shrink = exp2f(m[half] - most);
        m[half] = most;
        l[half] *= shrink;
#pragma unroll
        for (int j = 0; j < kHS / 8; ++j) {
          acc[j][2 * half] *= shrink;
          acc[j][2 * half + 1] *= shrink;
        }
#pragma unroll
        for (int j = 0; j < kStep / 8; ++j) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) {
            scores[j][i] = exp2f(fmaf(scores[j][i], scale, -most));
            l[half] += scores[j][i];
          }
        }
      }
      if (dropout.on()) {
#pragma unroll
        for (int j = 0; j < kStep / 8; ++j) {
#pragma unroll
          for (int i = 0; i < 4; ++i) scores[j][i] = draws.keeps(j, i) ? scores[j][i] : 0.f;
        }
        if (first_key + step + kStep < S) draws.make(first_key + step + kStep);
      }
      WarpFactor<T, kStep> probs;
      probs.set(scores, scratch);
      tile_mma<Factor::kAcrossK>(acc, probs, v + step * kPitch, kPitch);
    }
    if (next >= S) break;
    first_key = next;
    turn_to_next_tile(tiles.stages > 1, stage, [&] { start_copies(next, 0); });
  }

  const HeadRows<T> out_rows = head_rows(out, in.C, query_row, column);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float sum = quad_sum(l[half]);
    const int query = row + 8 * half;
    if (query >= n) continue;
    const float factor = dropout.scale / sum;
    T* to = out_rows(query);
#pragma unroll
    for (int j = 0; j < kHS / 8; ++j) {
      store_pair<kVectors>(to, 8 * j + pair, in.HS, acc[j][2 * half] * factor, acc[j][2 * half + 1] * factor);
    }
    if (pair == 0) lse[static_cast<int64_t>(query_row + query) * in.NH + at.head] = m[half] * kLn2 + logf(sum);
  }
}

}  // namespace

template <typename T>
void attention_forward(Context& context, const AttentionForward& args) {
  BERTUNE_CHECK(args.NH > 0 && args.C % args.NH == 0 && args.C / args.NH <= kMaxHeadSize);
  if (args.first_only) return attention_first_forward<T>(context, args);
  const Batch& batch = context.batch;
  const AttentionInputs<T> in = attention_inputs<T>(batch, args);
  T* out = scalars<T>(args.out);
  const bool vectors = heads_are_vectorizable(in) && is_vectorizable<kAccess<T>>(out, in.HS, in.C);
  with_head_size(in.HS, vectors, [&](auto size, auto with_vectors) {
    constexpr int kHS = decltype(size)::value;
    const int queries = round_up(std::max(batch.max_length, 1), 16);
    const int query_tiles = static_cast<int>(ceil_div(queries, kQueries));
    const ForwardTiles tiles{std::min(kQueries, queries),
                             std::min(kKeys<kHS>, round_up(args.P + batch.max_length, kStep)),
                             args.P + batch.max_length > kKeys<kHS> ? kStages<T> : 1};
    context.launch(attention_forward_kernel<T, kHS, decltype(with_vectors)::value>,
                   dim3(static_cast<unsigned>(batch.B * query_tiles * args.NH)), dim3(32 * tiles.warps()),
                   forward_bytes<T, kHS>(tiles), in, attention_dropout(context, args), tiles, query_tiles, out,
                   floats(args.lse));
  });
}

template void attention_forward<float>(Context&, const AttentionForward&);
template void attention_forward<bf16>(Context&, const AttentionForward&);

}  // namespace bertune::cuda
