// Attention over packed sequences. Threads take heads of sequences, a head goes in tiles of queries:
//
//   q (n,HS) → qᵀ (HS,n);  k (S,HS) · qᵀ → scoresᵀ (S,n) → softmax over the rows, dropout → probsᵀ
//   out (n,HS) = probs · v (S,HS)
//
// The transposed scores hold a query a column, so that maximum, exponential, sum and mask run over neighbouring queries
// in vector registers and nothing is summed across one. Backward makes the probabilities again from the saved lse:
//
//   probsᵀ = exp(scoresᵀ − lse), dprobsᵀ (S,n) = v · doutᵀ,  dscoresᵀ = probsᵀ ∘ (mask ∘ dprobsᵀ − D) / √HS
//   dv = (mask ∘ probsᵀ) · dout,  dk = dscoresᵀ · q,  dq = dscores · k
//
// Keys lie in two places, the prefix and the sequence's own, and each product runs over the one and then the other.
// The gradients of the prefix are kept a sequence and summed in the order of sequences, whatever the threads.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention_draws.h"
#include "core/error.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"
#include "cpu/small_gemm.h"
#include "cpu/vector_math.h"

namespace bertune {
namespace {

// Queries whose softmax is computed at once.
constexpr int kLanes = 16;
// Queries of a tile: its scores stay in the second-level cache with 512 keys.
constexpr int kTile = 64;

int round_up_to_lanes(int count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Keys whose draws are made together.
constexpr int kDrawnKeys = 32;

// The dropout mask of one head: row = query row · NH + head, column = key.
struct Mask {
  const Context& context;
  uint32_t site;
  uint32_t threshold;  // of draws; 0: nothing is dropped
  uint32_t NH, head;
  RowKind kind;      // of queries
  uint32_t queries;  // of the batch

  // The draws of keys [first, min(first + kDrawnKeys, S)) for the queries from `query_row` on; `first` is a multiple of
  // kDrawnKeys.
  void draw(uint32_t query_row, int first, int S, uint32_t (&draws)[kDrawnKeys][kLanes]) const {
    uint32_t rows[kLanes], steps[kLanes];
    for (uint32_t i = 0; i < kLanes; ++i) {
      const DropoutPlace place = context.place(kind, std::min(query_row + i, queries - 1));
      rows[i] = place.row * NH + head;
      steps[i] = place.step;
    }
    for (int key = 0; key < 8 && first + key < S; key += 2) {
      const uint32_t group = attention_group(static_cast<uint32_t>(first + key));
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) {
        const PhiloxWords words = dropout_words(context.step.seed, steps[i], site, rows[i], group);
        for (int w = 0; w < 4; ++w) {
          draws[8 * w + key][i] = words.word[w] << 16;
          draws[8 * w + key + 1][i] = words.word[w];
        }
      }
    }
  }
};

// `count` keys and values that lie one after another, from key number `first` on.
template <typename T>
struct Keys {
  int first, count, stride;
  const T* k;
  const T* v;
};

// What one head of one sequence reads.
template <typename T>
struct Head {
  int HS, S, n;  // S keys with the prefix, n queries
  int parts;     // of keys: the prefix where there is one, the sequence's own
  Keys<T> keys[2];
  int q_stride;
  const T* q;          // (n,HS)
  uint32_t query_row;  // of the first query in q, out and lse
  uint32_t head;
  T scale;  // 1 / √HS
};

template <typename T>
Head<T> head_of(const AttentionForward& args, const Batch& batch, int sequence, int head) {
  const int HS = args.C / args.NH;
  const int begin = batch.cu_seqlens[sequence];
  const int length = batch.cu_seqlens[sequence + 1] - begin;
  const int query_row = args.first_only ? sequence : begin;
  const int64_t column = static_cast<int64_t>(head) * HS;
  const int64_t kv = static_cast<int64_t>(begin) * args.kv_stride + column;
  Head<T> h{};
  h.HS = HS;
  h.S = args.P + length;
  h.n = args.first_only ? 1 : length;
  if (args.P > 0) {
    h.keys[h.parts++] = {0, args.P, args.prefix_stride, scalars<T>(args.prefix_k) + column,
                         scalars<T>(args.prefix_v) + column};
  }
  h.keys[h.parts++] = {args.P, length, args.kv_stride, scalars<T>(args.k) + kv, scalars<T>(args.v) + kv};
  h.q_stride = args.q_stride;
  h.q = scalars<T>(args.q) + static_cast<int64_t>(query_row) * args.q_stride + column;
  h.query_row = static_cast<uint32_t>(query_row);
  h.head = static_cast<uint32_t>(head);
  h.scale = static_cast<T>(1.0 / std::sqrt(static_cast<double>(HS)));
  return h;
}

// out (columns,lanes) = inpᵀ of `rows` rows. The lanes beyond them repeat the last row, so that they hold numbers.
template <typename T>
void transpose(int rows, int columns, const T* inp, int stride, T* out, int lanes) {
  const auto row = [&](int i) { return inp + std::min(i, rows - 1) * stride; };
  for (int i = 0; i < lanes; i += 4) {
    const T *row0 = row(i), *row1 = row(i + 1), *row2 = row(i + 2), *row3 = row(i + 3);
    for (int c = 0; c < columns; ++c) {
      T* to = out + c * lanes + i;
      to[0] = row0[c];
      to[1] = row1[c];
      to[2] = row2[c];
      to[3] = row3[c];
    }
  }
}

// scores (S,lanes) → probabilities with dropout, in place, and lse, for kLanes queries.
template <typename T>
void softmax_forward(const Mask& mask, T dropout_scale, uint32_t query_row, int S, T scale, T* scores, int lanes,
                     T (&lse)[kLanes]) {
  T max[kLanes], sum[kLanes], factor[kLanes];
#pragma omp simd
  for (int i = 0; i < kLanes; ++i) {
    max[i] = -std::numeric_limits<T>::infinity();
    sum[i] = T(0);
  }
  for (int j = 0; j < S; ++j) {
    const T* s = scores + j * lanes;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) max[i] = s[i] > max[i] ? s[i] : max[i];
  }
  for (int j = 0; j < S; ++j) {
    T* s = scores + j * lanes;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const T p = vexp((s[i] - max[i]) * scale);
      s[i] = p;
      sum[i] += p;
    }
  }
#pragma omp simd
  for (int i = 0; i < kLanes; ++i) {
    lse[i] = max[i] * scale + std::log(sum[i]);
    factor[i] = dropout_scale / sum[i];
  }
  if (mask.threshold == 0) {
    for (int j = 0; j < S; ++j) {
      T* s = scores + j * lanes;
#pragma omp simd
      for (int i = 0; i < kLanes; ++i) s[i] *= factor[i];
    }
    return;
  }
  alignas(64) uint32_t draws[kDrawnKeys][kLanes];
  for (int j = 0; j < S; ++j) {
    if (j % kDrawnKeys == 0) mask.draw(query_row, j, S, draws);
    T* s = scores + j * lanes;
    const uint32_t* draw = draws[j % kDrawnKeys];
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) s[i] = draw[i] >= mask.threshold ? s[i] * factor[i] : T(0);
  }
}

// scores (S,lanes) → mask ∘ probs and dprobs (S,lanes) → dscores, both in place, for kLanes queries.
template <typename T>
void softmax_backward(const Mask& mask, T dropout_scale, uint32_t query_row, int S, T scale, const T (&lse)[kLanes],
                      const T (&D)[kLanes], T* scores, T* dprobs, int lanes) {
  alignas(64) uint32_t draws[kDrawnKeys][kLanes] = {};
  for (int j = 0; j < S; ++j) {
    if (mask.threshold != 0 && j % kDrawnKeys == 0) mask.draw(query_row, j, S, draws);
    const uint32_t* draw = draws[j % kDrawnKeys];
    T* s = scores + j * lanes;
    T* d = dprobs + j * lanes;
#pragma omp simd
    for (int i = 0; i < kLanes; ++i) {
      const T p = vexp(s[i] * scale - lse[i]);
      const T kept = draw[i] >= mask.threshold ? dropout_scale : T(0);
      s[i] = p * kept;
      d[i] = p * (kept * d[i] - D[i]) * scale;
    }
  }
}

template <typename T>
T dot(int n, const T* a, const T* b) {
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// Queries begin .. begin + n of a head, in `lanes` columns of its scratch.
struct Tile {
  int begin, n, lanes;
};

// Lanes of the widest tile of `n` queries.
int widest_tile(int n) { return round_up_to_lanes(std::min(n, kTile)); }

template <typename Visit>
void for_tiles(int n, Visit visit) {
  for (int begin = 0; begin < n; begin += kTile) {
    const int count = std::min(kTile, n - begin);
    visit(Tile{begin, count, round_up_to_lanes(count)});
  }
}

// The head that needs most scratch is one of the longest sequence.
int longest(const Batch& batch, int NH, Range heads) {
  int length = 0;
  for (int b = heads.begin / NH; b * NH < heads.end; ++b) {
    length = std::max(length, batch.cu_seqlens[b + 1] - batch.cu_seqlens[b]);
  }
  return length;
}

// out (S,lanes) = keys or values (S,HS) · inp (HS,lanes)
template <typename T>
void keys_product(const Head<T>& head, const T* Keys<T>::* rows, const T* inp, T* out, int lanes) {
  for (int part = 0; part < head.parts; ++part) {
    const Keys<T>& keys = head.keys[part];
    small_gemm(false, keys.count, lanes, head.HS, keys.*rows, keys.stride, 1, inp, lanes, out + keys.first * lanes,
               lanes);
  }
}

// out (n,HS) = weights (S,lanes)ᵀ · keys or values (S,HS)
template <typename T>
void queries_product(const Head<T>& head, const T* Keys<T>::* rows, int n, const T* weights, int lanes, T* out,
                     int out_stride) {
  for (int part = 0; part < head.parts; ++part) {
    const Keys<T>& keys = head.keys[part];
    small_gemm(part > 0, n, head.HS, keys.count, weights + keys.first * lanes, 1, lanes, keys.*rows, keys.stride, out,
               out_stride);
  }
}

template <typename T>
void forward_head(const AttentionForward& args, const Head<T>& head, const Mask& mask, T* scratch) {
  T* out = scalars<T>(args.out) + static_cast<int64_t>(head.query_row) * args.C + head.head * head.HS;
  T* lse = scalars<T>(args.lse) + static_cast<int64_t>(head.query_row) * args.NH + head.head;
  const T dropout_scale = static_cast<T>(attention_dropout_scale(args.dropout.p));
  for_tiles(head.n, [&](const Tile& tile) {
    T* qt = scratch;                        // (HS,lanes)
    T* scores = qt + head.HS * tile.lanes;  // (S,lanes)
    transpose(tile.n, head.HS, head.q + tile.begin * head.q_stride, head.q_stride, qt, tile.lanes);
    keys_product(head, &Keys<T>::k, qt, scores, tile.lanes);
    for (int lane = 0; lane < tile.lanes; lane += kLanes) {
      T lane_lse[kLanes];
      const int first = tile.begin + lane;
      softmax_forward(mask, dropout_scale, head.query_row + static_cast<uint32_t>(first), head.S, head.scale,
                      scores + lane, tile.lanes, lane_lse);
      for (int i = 0; i < kLanes && lane + i < tile.n; ++i) lse[(first + i) * args.NH] = lane_lse[i];
    }
    queries_product(head, &Keys<T>::v, tile.n, scores, tile.lanes, out + tile.begin * args.C, args.C);
  });
}

// Where the gradients of one part of the keys and values go; null: not wanted.
template <typename T>
struct KeyGradients {
  T* dk;
  T* dv;
  int stride;
};

template <typename T>
void backward_head(const AttentionBackward& args, const Head<T>& head, const Mask& mask,
                   const KeyGradients<T> (&grads)[2], T* scratch) {
  const AttentionForward& forward = args.forward;
  const int64_t row = static_cast<int64_t>(head.query_row);
  const int64_t column = static_cast<int64_t>(head.head) * head.HS;
  const T* out = scalars<T>(static_cast<const Real*>(forward.out)) + row * forward.C + column;
  const T* dout = scalars<T>(args.dout) + row * forward.C + column;
  const T* lse = scalars<T>(static_cast<const Acc*>(forward.lse)) + row * forward.NH + head.head;
  T* dq = args.dq ? scalars<T>(args.dq) + row * forward.q_stride + column : nullptr;
  const T dropout_scale = static_cast<T>(attention_dropout_scale(forward.dropout.p));
  for_tiles(head.n, [&](const Tile& tile) {
    const int lanes = tile.lanes;
    T* qt = scratch;                      // (HS,lanes)
    T* doutt = qt + head.HS * lanes;      // (HS,lanes)
    T* scores = doutt + head.HS * lanes;  // (S,lanes), then mask ∘ probs
    T* dprobs = scores + head.S * lanes;  // (S,lanes), then dscores
    const T* tile_q = head.q + tile.begin * head.q_stride;
    const T* tile_out = out + tile.begin * forward.C;
    const T* tile_dout = dout + tile.begin * forward.C;
    transpose(tile.n, head.HS, tile_q, head.q_stride, qt, lanes);
    transpose(tile.n, head.HS, tile_dout, forward.C, doutt, lanes);
    keys_product(head, &Keys<T>::k, qt, scores, lanes);
    keys_product(head, &Keys<T>::v, doutt, dprobs, lanes);
    for (int lane = 0; lane < lanes; lane += kLanes) {
      T lane_lse[kLanes] = {}, D[kLanes] = {};
      for (int i = 0; i < kLanes && lane + i < tile.n; ++i) {
        lane_lse[i] = lse[(tile.begin + lane + i) * forward.NH];
        D[i] = dot(head.HS, tile_dout + (lane + i) * forward.C, tile_out + (lane + i) * forward.C);
      }
      softmax_backward(mask, dropout_scale, head.query_row + static_cast<uint32_t>(tile.begin + lane), head.S,
                       head.scale, lane_lse, D, scores + lane, dprobs + lane, lanes);
    }
    for (int part = 0; part < head.parts; ++part) {
      const Keys<T>& keys = head.keys[part];
      const KeyGradients<T>& grad = grads[part];
      const bool add = tile.begin > 0;
      if (grad.dk) {
        small_gemm(add, keys.count, head.HS, tile.n, dprobs + keys.first * lanes, lanes, 1, tile_q, head.q_stride,
                   grad.dk, grad.stride);
      }
      if (grad.dv) {
        small_gemm(add, keys.count, head.HS, tile.n, scores + keys.first * lanes, lanes, 1, tile_dout, forward.C,
                   grad.dv, grad.stride);
      }
    }
    if (dq) {
      queries_product(head, &Keys<T>::k, tile.n, dprobs, lanes, dq + tile.begin * forward.q_stride, forward.q_stride);
    }
  });
}

Mask mask_of(const Context& context, const AttentionForward& args, int head) {
  const RowKind kind = args.first_only ? RowKind::kSequences : RowKind::kTokens;
  return {.context = context,
          .site = args.dropout.site,
          .threshold = attention_threshold(args.dropout.p),
          .NH = static_cast<uint32_t>(args.NH),
          .head = static_cast<uint32_t>(head),
          .kind = kind,
          .queries = static_cast<uint32_t>(args.first_only ? context.batch.B : context.batch.T)};
}

// dprefix (P,C) = Σ over sequences of partials (B,P,2C), or += where `accumulate`: elements [begin, end) of P·C.
template <typename T>
void sum_partials(const AttentionBackward& args, int B, const T* partials, int offset, Range elements, T* dprefix) {
  const int C = args.forward.C;
  const int64_t sequence_stride = 2LL * args.forward.P * C;
  for (int begin = elements.begin; begin < elements.end;) {
    const int p = begin / C, c = begin % C;
    const int count = std::min(elements.end - begin, C - c);
    T* to = dprefix + static_cast<int64_t>(p) * args.dprefix_stride + c;
    const T* from = partials + 2LL * p * C + offset + c;
    if (!args.accumulate) std::fill(to, to + count, T(0));
    for (int b = 0; b < B; ++b, from += sequence_stride) {
      for (int i = 0; i < count; ++i) to[i] += from[i];
    }
    begin += count;
  }
}

}  // namespace

template <typename T>
void attention_forward(Context& context, const AttentionForward& args) {
  BERTUNE_CHECK(args.NH > 0 && args.C % args.NH == 0);
  const Batch& batch = context.batch;
  context.for_heads(args.NH, [&](int thread, Range heads) {
    const int length = longest(batch, args.NH, heads);
    const size_t lanes = widest_tile(args.first_only ? 1 : length);
    T* scratch = context.scratch<T>(thread, (args.C / args.NH + args.P + length) * lanes);
    for (int i = heads.begin; i < heads.end; ++i) {
      const int sequence = i / args.NH, head = i % args.NH;
      forward_head(args, head_of<T>(args, batch, sequence, head), mask_of(context, args, head), scratch);
    }
  });
}

template <typename T>
void attention_backward(Context& context, const AttentionBackward& args) {
  const AttentionForward& forward = args.forward;
  BERTUNE_CHECK(forward.NH > 0 && forward.C % forward.NH == 0);
  const int C = forward.C, P = forward.P, HS = C / forward.NH;
  const Batch& batch = context.batch;
  T* partials = scalars<T>(args.prefix_partials);
  context.for_heads(forward.NH, [&](int thread, Range heads) {
    const int length = longest(batch, forward.NH, heads);
    const size_t lanes = widest_tile(forward.first_only ? 1 : length);
    T* scratch = context.scratch<T>(thread, 2 * (HS + P + length) * lanes);
    for (int i = heads.begin; i < heads.end; ++i) {
      const int sequence = i / forward.NH, head = i % forward.NH;
      const int64_t first_row = static_cast<int64_t>(batch.cu_seqlens[sequence]) * forward.kv_stride;
      const int64_t column = static_cast<int64_t>(head) * HS;
      const KeyGradients<T> own{args.dk ? scalars<T>(args.dk) + first_row + column : nullptr,
                                args.dv ? scalars<T>(args.dv) + first_row + column : nullptr, forward.kv_stride};
      KeyGradients<T> prefix{nullptr, nullptr, 2 * C};
      if (partials) {
        prefix.dk = partials + 2LL * P * C * sequence + column;
        prefix.dv = prefix.dk + C;
      }
      const KeyGradients<T> grads[2] = {P > 0 ? prefix : own, own};
      backward_head(args, head_of<T>(forward, batch, sequence, head), mask_of(context, forward, head), grads, scratch);
    }
  });
  if (!partials || P == 0) return;
  context.for_columns(P * C, [&](int, Range elements) {
    if (args.dprefix_k) sum_partials(args, batch.B, partials, 0, elements, scalars<T>(args.dprefix_k));
    if (args.dprefix_v) sum_partials(args, batch.B, partials, C, elements, scalars<T>(args.dprefix_v));
  });
}

template <typename T>
void sum_prefix_partials(Context& context, const SumPrefixPartials& args) {
  const int C2 = 2 * args.C, B = context.batch.B;
  const int64_t sequence = static_cast<int64_t>(args.P) * C2;
  const T* partials = scalars<T>(args.partials);
  T* dprefix = scalars<T>(args.dprefix);
  context.for_columns(args.P * args.L, [&](int, Range rows) {
    for (int row = rows.begin; row < rows.end; ++row) {
      const int p = row / args.L, l = row % args.L;
      const T* from = partials + l * B * sequence + static_cast<int64_t>(p) * C2;
      T* to = dprefix + static_cast<int64_t>(row) * C2;
      if (!args.accumulate) std::fill_n(to, C2, T(0));
      for (int b = 0; b < B; ++b, from += sequence) {
        for (int i = 0; i < C2; ++i) to[i] += from[i];
      }
      if (args.dprefix_real) std::copy_n(to, C2, scalars<T>(args.dprefix_real) + static_cast<int64_t>(row) * C2);
    }
  });
}

template void sum_prefix_partials<float>(Context&, const SumPrefixPartials&);
template void sum_prefix_partials<double>(Context&, const SumPrefixPartials&);
template void attention_forward<float>(Context&, const AttentionForward&);
template void attention_forward<double>(Context&, const AttentionForward&);
template void attention_backward<float>(Context&, const AttentionBackward&);
template void attention_backward<double>(Context&, const AttentionBackward&);

}  // namespace bertune
