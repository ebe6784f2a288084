// sum[t] = word[id] + token_type[type] + position[P + p];   out = dropout(LayerNorm(sum))
//
// Tables (V,C), (types,C) or none, (positions,C) → (T,C). Saved: sum (T,C), mean and rstd (T).
// Backward: dsum is LayerNorm's backward of the dropout of dout; each row of a table's gradient is the sum of dsum over
// the tokens that met it, in token order. Threads take whole segments of equal ids or positions, so that the sums do
// not depend on their number. What is not zero in dword is known (met_rows.h), so that a step need not clear all of it;
// the table's own rows are brought up to date before they are read (lazy_rows.h).
#include <algorithm>

#include "cpu/dropout.h"
#include "cpu/layernorm.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

template <typename T>
void add_row(int C, const T* row, T* to) {
#pragma omp simd
  for (int i = 0; i < C; ++i) to[i] += row[i];
}

// Sets a thread's share of a table's gradient (rows,C) to zero. Null: nothing to do.
template <typename T>
void zero_share(int threads, int thread, int rows, int C, T* table) {
  if (table == nullptr) return;
  const Range share = even_split(rows, threads, thread);
  std::fill_n(table + static_cast<size_t>(share.begin) * C, static_cast<size_t>(share.size()) * C, T(0));
}

// The same for the rows of it that were met.
template <typename T>
void zero_met_rows(int threads, int thread, const MetRows& met, T* gradient) {
  const Range share = even_split(static_cast<int>(met.list().size()), threads, thread);
  for (int i = share.begin; i < share.end; ++i) {
    std::fill_n(gradient + static_cast<size_t>(met.place(met.list()[i])) * met.C(), met.C(), T(0));
  }
}

// Adds dsum (T,C) to the rows place(key(token)) of a table's gradient, but for the key `skip`. `tokens` (T) is sorted by
// key; a thread takes the segments of equal keys that begin in its share.
template <typename T, typename Key, typename Place>
void add_segments(int threads, int thread, int count, const int32_t* tokens, Key key, Place place, int skip, int C,
                  const T* dsum, T* gradient) {
  const auto segment_from = [&](int i) {
    while (i > 0 && i < count && key(tokens[i]) == key(tokens[i - 1])) ++i;
    return i;
  };
  const Range share = even_split(count, threads, thread);
  const int end = segment_from(share.end);
  for (int i = segment_from(share.begin); i < end; ++i) {
    if (key(tokens[i]) == skip) continue;
    add_row(C, dsum + static_cast<size_t>(tokens[i]) * C, gradient + static_cast<size_t>(place(key(tokens[i]))) * C);
  }
}

}  // namespace

template <typename T>
void embedding_forward(Context& context, const EmbeddingForward& args) {
  const Batch& batch = context.batch;
  const T* word = scalars<T>(args.word);
  const T* token_type = scalars<T>(args.token_type);
  const T* position = scalars<T>(args.position);
  const T* gamma = scalars<T>(args.gamma);
  const T* beta = scalars<T>(args.beta);
  T* sum = scalars<T>(args.sum);
  T* mean = scalars<T>(args.mean);
  T* rstd = scalars<T>(args.rstd);
  T* out = scalars<T>(args.out);
  const size_t C = args.C;
  context.lazy_rows.catch_up(word, args.V, args.C, batch.ids, batch.T);
  context.for_rows({RowKind::kTokens, batch.T}, [&](int, Range tokens) {
    for (int t = tokens.begin; t < tokens.end; ++t) {
      const T* w = word + batch.ids[t] * C;
      const int place = batch.positions[t];
      const T* p = position + (place < 0 ? args.padding_position : args.P + place) * C;
      T* x = sum + t * C;
      if (token_type != nullptr) {
        const T* y = token_type + batch.token_types[t] * C;
#pragma omp simd
        for (size_t i = 0; i < C; ++i) x[i] = w[i] + y[i] + p[i];
      } else {
#pragma omp simd
        for (size_t i = 0; i < C; ++i) x[i] = w[i] + p[i];
      }
      layernorm_row(args.C, T(args.eps), x, gamma, beta, mean + t, rstd + t, out + t * C);
      dropout_row(context.step.seed, args.dropout, context.place(RowKind::kTokens, t), args.C, out + t * C,
                  out + t * C);
    }
  });
}

template <typename T>
void embedding_backward(Context& context, const EmbeddingBackward& args) {
  const Batch& batch = context.batch;
  const T* dout = scalars<T>(args.dout);
  const T* sum = scalars<T>(args.sum);
  const T* mean = scalars<T>(args.mean);
  const T* rstd = scalars<T>(args.rstd);
  const T* gamma = scalars<T>(args.gamma);
  T* dsum = scalars<T>(args.dsum);
  T* dword = scalars<T>(args.dword);
  T* dtoken_type = scalars<T>(args.dtoken_type);
  T* dposition = scalars<T>(args.dposition);
  const int C = args.C, threads = context.threads();
  const bool affine = args.dgamma != nullptr || args.dbeta != nullptr;
  T* partials = affine ? affine_partials<T>(context, C) : nullptr;

  MetRows& met = context.met_rows;
  const bool was_known = met.know(dword, args.V, C), is_known = was_known || !args.accumulate;
  BERTUNE_CHECK(dword == nullptr || is_known || args.word_rows == args.V);

  context.pool.run([&](int thread) {
    if (!args.accumulate) {
      if (was_known) {
        zero_met_rows(threads, thread, met, dword);
      } else {
        zero_share(threads, thread, args.word_rows, C, dword);
      }
      zero_share(threads, thread, args.types, C, dtoken_type);
      zero_share(threads, thread, args.positions, C, dposition);
    }
    T* dgamma = affine ? partials + static_cast<size_t>(thread) * 2 * C : nullptr;
    T* dbeta = affine ? dgamma + C : nullptr;
    const Range tokens = context.partition.rows({RowKind::kTokens, batch.T}, thread);
    for (int t = tokens.begin; t < tokens.end; ++t) {
      const size_t at = static_cast<size_t>(t) * C;
      dropout_row(context.step.seed, args.dropout, context.place(RowKind::kTokens, t), C, dout + at, dsum + at);
      layernorm_row_backward(C, dsum + at, sum + at, mean[t], rstd[t], gamma, dsum + at, dgamma, dbeta);
    }
  });

  if (dword != nullptr) {
    if (!args.accumulate) met.assign(dword, args.word_rows, args.V, C);
    if (is_known) met.add(batch, args.padding_id);
  }
  context.pool.run([&](int thread) {
    if (dword != nullptr) {
      const auto id = [&](int token) { return batch.ids[token]; };
      const auto place = [&](int row) { return is_known ? met.place(row) : row; };
      add_segments(threads, thread, batch.T, batch.tokens_by_id, id, place, args.padding_id, C, dsum, dword);
    }
    if (dposition != nullptr) {
      const auto position = [&](int token) { return batch.positions[token]; };
      const auto place = [](int row) { return row; };
      add_segments(threads, thread, batch.T, batch.tokens_by_position, position, place, -1, C, dsum,
                   dposition + static_cast<size_t>(args.P) * C);
    }
    if (dtoken_type != nullptr) {
      const Range columns = even_split(C, threads, thread, 16);
      for (int t = 0; t < batch.T; ++t) {
        add_row(columns.size(), dsum + static_cast<size_t>(t) * C + columns.begin,
                dtoken_type + static_cast<size_t>(batch.token_types[t]) * C + columns.begin);
      }
    }
  });
  if (affine) {
    add_affine_partials(context, C, partials, args.accumulate, scalars<T>(args.dgamma), scalars<T>(args.dbeta));
  }
}

template void embedding_forward<float>(Context&, const EmbeddingForward&);
template void embedding_forward<double>(Context&, const EmbeddingForward&);
template void embedding_backward<float>(Context&, const EmbeddingBackward&);
template void embedding_backward<double>(Context&, const EmbeddingBackward&);

}  // namespace bertune
