// gradients = Σ over the ranks of their gradients
//
// They lie in one arena and go as one piece; of a table of which a step meets few rows, those that some rank met alone.
#include "cpu/all_reduce.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/collective.h"
#include "core/gradient_runs.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

template <typename T>
constexpr Dtype kDtype = std::is_same_v<T, float> ? Dtype::kF32 : Dtype::kF64;

template <typename T>
void reduce_segments(Collective& ranks, const OptimizerSegment* segments, int begin, int end) {
  for_gradient_runs<T>(segments, begin, end,
                       [&](T* first, int64_t count) { ranks.all_reduce(first, count, kDtype<T>); });
}

// Every rank comes to know the rows that any of them met.
void share_rows(Collective& ranks, MetRows& met) {
  const std::vector<int32_t>& own = met.list();
  for (const std::vector<uint8_t>& bytes : ranks.all_gather(own.data(), own.size() * sizeof(int32_t))) {
    std::vector<int32_t> rows(bytes.size() / sizeof(int32_t));
    std::memcpy(rows.data(), bytes.data(), bytes.size());
    met.add(rows);
  }
}

}  // namespace

template <typename T>
void all_reduce(Context& context, Collective& ranks, const OptimizerSegment* segments, int count, T* loss) {
  MetRows& met = context.met_rows;
  const int table = met.find(segments, count);
  reduce_segments<T>(ranks, segments, 0, table);
  const bool has_table = table < count;
  if (has_table) {
    share_rows(ranks, met);
    reduce_segments<T>(ranks, segments, table + 1, count);
  }
  // The rows of the table, and whether the loss is a number.
  const size_t rows = has_table ? met.list().size() : 0, C = met.C();
  T* staged = context.shared_scratch<T>(rows * C + 1);
  T* grad = has_table ? scalars<T>(segments[table].grad) : nullptr;
  const auto row_of = [&](size_t i) { return grad + met.place(met.list()[i]) * C; };
  for (size_t i = 0; i < rows; ++i) std::copy_n(row_of(i), C, staged + i * C);
  staged[rows * C] = std::isfinite(*loss) ? T(0) : T(1);
  ranks.all_reduce(staged, static_cast<int64_t>(rows * C + 1), kDtype<T>);
  for (size_t i = 0; i < rows; ++i) std::copy_n(staged + i * C, C, row_of(i));
  if (!(staged[rows * C] == T(0))) *loss = std::numeric_limits<T>::quiet_NaN();
}

template void all_reduce<float>(Context&, Collective&, const OptimizerSegment*, int, float*);
template void all_reduce<double>(Context&, Collective&, const OptimizerSegment*, int, double*);

}  // namespace bertune
