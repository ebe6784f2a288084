// Embeddings + LayerNorm + dropout.
//
//   forward    x[t] = word[ids[t]] + token_type[types[t]] + position[P + positions[t]],  out = dropout(LayerNorm(x));
//              position −1 is padding's, another row of the table
//   backward   dsum = LayerNorm backward of dropout(dout); the rows of a table get the sums of dsum over their tokens
//
// Saved: x, mean and rstd (layernorm_row.cuh). Tokens sorted by id, and by position, lie in segments of equal keys: a
// warp adds up a segment in token order, so that no two add to one row. The warps of a block share a long one, each
// taking every so many tokens, and their sums are added up in order: which token goes where depends on nothing but its
// place in the segment. There are few token types: their sums are column sums of the rows of a type. Of the gradient of
// words only the rows that were met are written (met_rows.h), and rows of the table are brought up to date before they
// are read (lazy_rows.h).
#include "cuda/column_sums.cuh"
#include "cuda/column_sums.h"
#include "cuda/layernorm_row.cuh"
#include "cuda/lazy_rows.h"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

template <typename T>
struct EmbeddingInput {
  const int32_t* ids;          // (T)
  const int32_t* token_types;  // (T)
  const int32_t* positions;    // (T)
  const T* word;               // (V,C)
  const T* token_type;         // (types,C) or null
  const T* position;           // (positions,C) from the row of position 0 on
  int padding;                 // row of position −1, counted from that of position 0

  struct Raw {
    float word[kRowVector], token_type[kRowVector], position[kRowVector];
  };

  template <bool kVector>
  __device__ __forceinline__ void load(Raw& raw, int row, int column, int C) const {
    const size_t stride = C;
    load_columns<kVector>(raw.word, word + ids[row] * stride, column, C);
    if (token_type != nullptr) {
      load_columns<kVector>(raw.token_type, token_type + token_types[row] * stride, column, C);
    } else {
#pragma unroll
      for (int i = 0; i < kRowVector; ++i) raw.token_type[i] = 0.f;
    }
    const int place = positions[row];
    load_columns<kVector>(raw.position, position + (place < 0 ? padding : place) * static_cast<int64_t>(C), column, C);
  }

  __device__ __forceinline__ void combine(float (&x)[kRowVector], const Raw& raw, const KeptColumns&) const {
#pragma unroll
    for (int i = 0; i < kRowVector; ++i) x[i] = raw.word[i] + raw.token_type[i] + raw.position[i];
  }
};

// Grid: ceil(rows.padded / RowTeam::kRows); block: RowTeam::kThreads.
template <typename T, int K>
__global__ void embedding_forward_kernel(RowCount rows, LayernormForward<T> args, EmbeddingInput<T> input) {
  simt::wait_for_previous();
  const int row = RowTeam<K>::row();
  if (row >= rows.padded) return;
  layernorm_forward_row<T, K, DropoutAt::kOutput>(args, row, row < rows.count(), input);
}

// Grid: ceil(rows.padded / RowTeam::kRows); block: RowTeam::kThreads.
template <typename T, int K>
__global__ void embedding_backward_kernel(RowCount rows, LayernormBackward<T> args) {
  simt::wait_for_previous();
  const int row = RowTeam<K>::row();
  if (row >= rows.padded) return;
  layernorm_backward_row<T, K, DropoutAt::kOutput>(args, row, row < rows.count());
}

// A table's gradient, and which of its rows tokens belong to.
struct Table {
  const int32_t* sorted;  // (T) tokens by (key, index)
  const int32_t* keys;    // (T) row of each token
  int skip;               // key of the row that gets no gradient, or −1
  float* gradient;        // (rows,C) from that of key 0 on, or a compact one: see met_rows.h
};

constexpr int kSegmentWarps = 12;
constexpr int kSegmentRows = 4;  // that are loaded at a time
// Tokens that a warp adds up alone. Since a block has no more places than that, at most one longer segment starts in it.
constexpr int kWarpSegment = 64;
static_assert(kSegmentWarps <= kWarpSegment);

// Grid: (ceil(T / 12) · chunks, tables); block: 384, as many as have the registers that they need. A block has 32 · 8
// columns, a chunk, of the segments that start at 12 places of the sorted tokens, a warp each. `met`: rows of the first
// table, if they are known.
template <typename T, bool kVector>
__global__ void __launch_bounds__(32 * kSegmentWarps, 2)
    add_segments_kernel(RowCount tokens, int C, int chunks, bool accumulate, const T* dsum /* (T,C) */, Table first,
                        Table second, DeviceMetRows met) {
  simt::wait_for_previous();
  SHARED(shared_sums, float[kSegmentWarps][32 * kRowVector]);
  SHARED(shared_place, int);
  const bool is_first = blockIdx.y == 0;
  const int32_t* sorted = is_first ? first.sorted : second.sorted;
  const int32_t* keys = is_first ? first.keys : second.keys;
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  const int place = static_cast<int>(blockIdx.x) / chunks * kSegmentWarps + warp;
  const int own = lane * kRowVector, column = static_cast<int>(blockIdx.x) % chunks * 32 * kRowVector + own;
  const int count = tokens.count();
  const auto has_key = [&](int at, int key) { return at < count && keys[sorted[at]] == key; };

  float sum[kRowVector] = {};
  // Adds up 32 tokens of a segment from `from` on, and every `step` after them.
  const auto add_up = [&](int from, int step, int key) {
    for (int found = 32; found == 32; from += step) {
      // A lane each: those of the segment come first.
      const int token = from + lane < count ? sorted[from + lane] : -1;
      found = __popc(__ballot_sync(kAllLanes, token >= 0 && keys[max(token, 0)] == key));
      for (int i = 0; i < found; i += kSegmentRows) {
        float rows[kSegmentRows][kRowVector];
#pragma unroll
        for (int j = 0; j < kSegmentRows; ++j) {
          const int row = __shfl_sync(kAllLanes, token, i + j);
          if (i + j < found) load_columns<kVector>(rows[j], dsum + static_cast<size_t>(row) * C, column, C);
        }
#pragma unroll
        for (int j = 0; j < kSegmentRows; ++j) {
#pragma unroll
          for (int c = 0; c < kRowVector; ++c) sum[c] += i + j < found ? rows[j][c] : 0.f;
        }
      }
    }
  };
  const auto write = [&](int key) {
    const bool is_known = is_first && met.tokens != nullptr;
    float* gradient =
        (is_first ? first.gradient : second.gradient) + static_cast<size_t>(is_known ? met.place(key) : key) * C;
    if (accumulate && !(is_known && met.is_new(key))) {
      float before[kRowVector];
      load_columns<kVector>(before, gradient, column, C);
#pragma unroll
      for (int c = 0; c < kRowVector; ++c) sum[c] += before[c];
    }
    store_columns<kVector>(gradient, column, C, sum);
  };

  bool is_long = false;
  if (place < count) {
    const int key = keys[sorted[place]];
    if ((place == 0 || !has_key(place - 1, key)) && key != (is_first ? first.skip : second.skip)) {
      is_long = has_key(place + kWarpSegment, key);
      if (is_long) {
        if (lane == 0) shared_place = place;
      } else {
        add_up(place, 32, key);
        write(key);
      }
    }
  }
  if (__syncthreads_count(is_long) == 0) return;

  const int start = shared_place, key = keys[sorted[start]];
#pragma unroll
  for (int c = 0; c < kRowVector; ++c) sum[c] = 0.f;
  add_up(start + 32 * warp, 32 * kSegmentWarps, key);
  store_floats<kRowVector>(shared_sums[warp] + own, sum);
  __syncthreads();
  if (warp > 0) return;
  for (int w = 1; w < kSegmentWarps; ++w) {
    float part[kRowVector];
    load_floats<kRowVector>(part, shared_sums[w] + own);
#pragma unroll
    for (int c = 0; c < kRowVector; ++c) sum[c] += part[c];
  }
  write(key);
}

// dsum of the tokens whose type is blockIdx.z.
template <typename T, int N>
struct TokenTypeSource {
  static constexpr int kSums = 1;
  const T* dsum;               // (T,C)
  const int32_t* token_types;  // (T)

  struct Raw {
    float dsum[N];
    int32_t token_type;
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int C) const {
    load_floats<N>(raw.dsum, dsum + static_cast<size_t>(row) * C + column);
    raw.token_type = token_types[row];
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], const Raw& raw, int, int) const {
    const bool belongs = raw.token_type == static_cast<int32_t>(blockIdx.z);
#pragma unroll
    for (int i = 0; i < N; ++i) sums[0][i] += belongs ? raw.dsum[i] : 0.f;
  }
};

void zero_table(Context& context, float* table, int rows, int C) {
  if (!table) return;
  BERTUNE_CUDA(cudaMemsetAsync(table, 0, static_cast<size_t>(rows) * C * sizeof(float), context.stream));
}

template <typename T>
void add_segments(Context& context, const EmbeddingBackward& args, const T* dsum) {
  const Batch& batch = context.batch;
  const int C = args.C, chunks = static_cast<int>(ceil_div(C, 32 * kRowVector));
  float* dword = floats(args.dword);
  float* dposition = floats(args.dposition);
  if (!dword && !dposition) return;
  const bool knows_rows = context.met_rows && MetRows::suits(args.dword, args.V, C);
  BERTUNE_CHECK(knows_rows || !dword || args.word_rows == args.V);
  if (knows_rows) context.met_rows->meet(context, args);
  if (!args.accumulate) {
    if (!knows_rows) zero_table(context, dword, args.V, C);
    zero_table(context, dposition, args.positions, C);
  }
  const Table words{batch.tokens_by_id, batch.ids, args.padding_id, dword};
  const Table positions{batch.tokens_by_position, batch.positions, -1,
                        dposition ? dposition + static_cast<size_t>(args.P) * C : nullptr};
  const bool vectorizable = is_vectorizable<kRowVector>(dsum, C, C) && is_vectorizable<kRowVector>(dword, C, C) &&
                            is_vectorizable<kRowVector>(dposition, C, C);
  context.launch(vectorizable ? add_segments_kernel<T, true> : add_segments_kernel<T, false>,
                 dim3(ceil_div(batch.T, kSegmentWarps) * chunks, dword && dposition ? 2 : 1), 32 * kSegmentWarps, 0,
                 context.rows({RowKind::kTokens, batch.T}), C, chunks, args.accumulate, dsum, dword ? words : positions,
                 positions, knows_rows ? context.met_rows->rows() : DeviceMetRows{});
}

template <typename T>
void sum_token_types(Context& context, const EmbeddingBackward& args, const T* dsum) {
  if (!args.dtoken_type) return;
  const Batch& batch = context.batch;
  const auto launch = [&](auto columns) {
    constexpr int N = decltype(columns)::value;
    launch_column_sums<N>(context, context.rows({RowKind::kTokens, batch.T}), args.C, args.types,
                          TokenTypeSource<T, N>{dsum, batch.token_types},
                          {{floats(args.dtoken_type)}, args.accumulate});
  };
  constexpr int N = kVectorColumns<T>;
  if (is_vectorizable<N>(dsum, args.C, args.C)) return launch(std::integral_constant<int, N>{});
  launch(std::integral_constant<int, 1>{});
}

}  // namespace

template <typename T>
void embedding_forward(Context& context, const EmbeddingForward& args) {
  const Batch& batch = context.batch;
  const int C = args.C;
  if (context.lazy_rows) context.lazy_rows->catch_up(context, scalars<T>(args.word), args.V, C);
  const LayernormForward<T> norm{C,
                                 static_cast<float>(args.eps),
                                 scalars<T>(args.gamma),
                                 scalars<T>(args.beta),
                                 scalars<T>(args.sum),
                                 floats(args.mean),
                                 floats(args.rstd),
                                 scalars<T>(args.out),
                                 context.dropout(args.dropout, RowKind::kTokens)};
  const EmbeddingInput<T> input{batch.ids,
                                batch.token_types,
                                batch.positions,
                                scalars<T>(args.word),
                                scalars<T>(args.token_type),
                                scalars<T>(args.position) + static_cast<size_t>(args.P) * C,
                                args.padding_position - args.P};
  const bool vectorizable =
      is_vectorizable<kRowVector>(input.word, C, C) && is_vectorizable<kRowVector>(input.token_type, C, C) &&
      is_vectorizable<kRowVector>(input.position, C, C) && is_vectorizable<kRowVector>(norm.gamma, C, C) &&
      is_vectorizable<kRowVector>(norm.beta, C, C) && is_vectorizable<kRowVector>(norm.sum, C, C) &&
      is_vectorizable<kRowVector>(norm.out, C, C);
  with_row_team(C, vectorizable, [&](auto vectors) {
    constexpr int K = decltype(vectors)::value;
    context.launch(embedding_forward_kernel<T, K>, ceil_div(batch.T, RowTeam<K>::kRows), RowTeam<K>::kThreads, 0,
                   context.rows({RowKind::kTokens, batch.T}), norm, input);
  });
}

template <typename T>
void embedding_backward(Context& context, const EmbeddingBackward& args) {
  const int C = args.C;
  const RowCount tokens = context.rows({RowKind::kTokens, context.batch.T});
  const LayernormBackward<T> norm{C,
                                  scalars<T>(args.dout),
                                  scalars<T>(args.sum),
                                  floats(args.mean),
                                  floats(args.rstd),
                                  scalars<T>(args.gamma),
                                  scalars<T>(args.dsum),
                                  nullptr,
                                  context.dropout(args.dropout, RowKind::kTokens)};
  layernorm_parameter_sums(context, tokens, C, args.accumulate, norm.mask, norm.dout, norm.sum, norm.mean, norm.rstd,
                           floats(args.dgamma), floats(args.dbeta));
  const bool vectorizable =
      is_vectorizable<kRowVector>(norm.dout, C, C) && is_vectorizable<kRowVector>(norm.sum, C, C) &&
      is_vectorizable<kRowVector>(norm.gamma, C, C) && is_vectorizable<kRowVector>(norm.dsum, C, C);
  with_row_team(C, vectorizable, [&](auto vectors) {
    constexpr int K = decltype(vectors)::value;
    context.launch(embedding_backward_kernel<T, K>, ceil_div(tokens.padded, RowTeam<K>::kRows), RowTeam<K>::kThreads, 0,
                   tokens, norm);
  });
  add_segments(context, args, norm.dsum);
  sum_token_types(context, args, norm.dsum);
}

template void embedding_forward<float>(Context&, const EmbeddingForward&);
template void embedding_forward<bf16>(Context&, const EmbeddingForward&);
template void embedding_backward<float>(Context&, const EmbeddingBackward&);
template void embedding_backward<bf16>(Context&, const EmbeddingBackward&);

}  // namespace bertune::cuda
