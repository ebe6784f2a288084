// Attention over packed sequences, forward: per sequence and head
//
//   q (n,HS) · [prefix_k; k] (S,HS)ᵀ / √HS → scores (n,S) → softmax → probs (n,S)
//   dropout(probs) · [prefix_v; v] (S,HS) → out (n,HS)
//
// A block takes 64 queries of a head, a warp 16 of them. Keys and values pass through shared memory by tiles, short
// texts in one, and a warp goes through a tile by steps of 32 keys with the softmax of the keys so far: its maximum m
// and sum l of exponentials; what was added up to `out` before is scaled down whenever m grows. Probabilities are never
// stored; lse = m + log l brings them back.
#include "cuda/attention.h"
#include "cuda/attention_first.h"
#include "cuda/attention_tiles.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kQueries = 16 * kWarps;  // of a block
constexpr int kStep = 32;              // keys that a warp takes at once

// Keys of a tile: as many as fit.
template <typename T, int kHS>
constexpr int kKeys = sizeof(T) * kHS > 256 ? 32 : 64;

// Shared memory of a block: rows of queries and of keys that its tiles hold.
struct ForwardTiles {
  int queries;  // a multiple of 16
  int keys;     // a multiple of 32
};

template <typename T, int kHS>
size_t forward_bytes(const ForwardTiles& tiles) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  return simt::smem_bytes<T>(tiles.queries * kPitch) + 2 * simt::smem_bytes<T>(tiles.keys * kPitch) +
         simt::smem_bytes<T>(kQueries * shared_pitch<T>(kStep)) +
         simt::smem_bytes<uint8_t>(tiles.queries * tiles.keys / 4);
}

// grid (B · tiles of queries · NH), block 128. out (tokens,C), lse (tokens,NH)
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(32 * kWarps, sizeof(T) == 2 && kHS <= 64 ? 5 : 3)
    attention_forward_kernel(AttentionInputs<T> in, DropoutMask dropout, ForwardTiles tiles, int query_tiles, T* out,
                             float* lse) {
  constexpr int kPitch = shared_pitch<T>(kHS), kProbsPitch = shared_pitch<T>(kStep);
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
  T* k = shared.take<T>(tiles.keys * kPitch);
  T* v = shared.take<T>(tiles.keys * kPitch);
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int row = 16 * warp + lane / 4, pair = 2 * (lane & 3);  // of this lane in an accumulator
  T* probs = shared.take<T>(kQueries * kProbsPitch) + 16 * warp * kProbsPitch;
  const KeptTile kept{shared.take<uint8_t>(tiles.queries * tiles.keys / 4), tiles.keys / 4, dropout.on()};
  const float scale = in.scale * kLog2e;

  float m[2] = {kNoScore, kNoScore}, l[2] = {0.f, 0.f};
  float acc[kHS / 8][4];
  clear(acc);
  copy_rows<T, kHS, kVectors>(q, round_up(n, 16), n, in.HS, head_rows(in.q, in.q_stride, query_row, column));
  for (int first_key = 0; first_key < S; first_key += tiles.keys) {
    const int keys = min(tiles.keys, S - first_key);
    if (first_key > 0) __syncthreads();  // all have done with the previous tile
    copy_rows<T, kHS, kVectors>(k, round_up(keys, kStep), keys, in.HS, key_rows(in, at, in.k, in.prefix_k, first_key));
    copy_rows<T, kHS, kVectors>(v, round_up(keys, kStep), keys, in.HS, key_rows(in, at, in.v, in.prefix_v, first_key));
    simt::cp_async_commit();
    make_kept(kept, dropout, n, keys, query_row, in.NH, at.head, first_key);
    simt::cp_async_wait<0>();
    __syncthreads();
    if (16 * warp >= n) continue;
    for (int step = 0; step < keys; step += kStep) {
      float scores[kStep / 8][4];
      clear(scores);
      tile_mma<Factor::kAlongK, Factor::kAlongK>(scores, q + 16 * warp * kPitch, kPitch, k + step * kPitch, kPitch,
                                                 kHS);
      float most[2] = {m[0], m[1]};
#pragma unroll
      for (int j = 0; j < kStep / 8; ++j) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          scores[j][i] = step + 8 * j + pair + i % 2 < keys ? scores[j][i] * scale : kNoScore;
          most[i / 2] = fmaxf(most[i / 2], scores[j][i]);
        }
      }
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        most[half] = quad_max(most[half]);
        const float shrink = exp2f(m[half] - most[half]);
        m[half] = most[half];
        l[half] *= shrink;
#pragma unroll
        for (int j = 0; j < kHS / 8; ++j) {
          acc[j][2 * half] *= shrink;
          acc[j][2 * half + 1] *= shrink;
        }
#pragma unroll
        for (int j = 0; j < kStep / 8; ++j) {
          const float left = exp2f(scores[j][2 * half] - most[half]);
          const float right = exp2f(scores[j][2 * half + 1] - most[half]);
          l[half] += left + right;
          const unsigned keep = kept.pair(row + 8 * half, step + 8 * j + pair);
          store_pair(probs + (lane / 4 + 8 * half) * kProbsPitch + 8 * j + pair, keep & 1 ? left : 0.f,
                     keep & 2 ? right : 0.f);
        }
      }
      __syncwarp();
      tile_mma<Factor::kAlongK, Factor::kAcrossK>(acc, probs, kProbsPitch, v + step * kPitch, kPitch, kStep);
      __syncwarp();  // before the next step's probabilities
    }
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
    const int query_tiles = static_cast<int>(ceil_div(std::max(batch.max_length, 1), kQueries));
    const ForwardTiles tiles{std::min(kQueries, round_up(batch.max_length, 16)),
                             std::min(kKeys<T, kHS>, round_up(args.P + batch.max_length, kStep))};
    context.launch(attention_forward_kernel<T, kHS, decltype(with_vectors)::value>,
                   dim3(static_cast<unsigned>(batch.B * query_tiles * args.NH)), dim3(32 * kWarps),
                   forward_bytes<T, kHS>(tiles), in, context.dropout(args.dropout, RowKind::kTokens, args.NH), tiles,
                   query_tiles, out, floats(args.lse));
  });
}

template void attention_forward<float>(Context&, const AttentionForward&);
template void attention_forward<bf16>(Context&, const AttentionForward&);

}  // namespace bertune::cuda
