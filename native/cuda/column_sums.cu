// Sums over the rows of a matrix, a column each (column_sums.cuh has how):
//
//   column_sums               dbias = Σ dout
//   layernorm_parameter_sums  dgamma = Σ dout · (sum − mean) · rstd,  dbeta = Σ dout          over live rows
#include "cuda/column_sums.cuh"
#include "cuda/column_sums.h"

namespace bertune::cuda {
namespace {

template <typename T, int N>
struct ColumnSource {
  static constexpr int kSums = 1;
  const T* inp;  // (rows,n)
  int stride;

  struct Raw {
    float inp[N];
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int) const {
    load_floats<N>(raw.inp, inp + static_cast<size_t>(row) * stride + column);
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], const Raw& raw, int, int) const {
#pragma unroll
    for (int i = 0; i < N; ++i) sums[0][i] += raw.inp[i];
  }
};

template <typename T, int N>
struct LayernormSource {
  static constexpr int kSums = 2;  // dgamma, dbeta
  const T* dout;                   // (rows,C)
  const T* sum;                    // (rows,C)
  const float* mean;               // (rows)
  const float* rstd;               // (rows)
  DropoutMask mask;

  struct Raw {
    float dout[N], sum[N], mean, rstd;
  };

  __device__ __forceinline__ void load(Raw& raw, int row, int column, int C) const {
    const size_t at = static_cast<size_t>(row) * C + column;
    load_floats<N>(raw.dout, dout + at);
    load_floats<N>(raw.sum, sum + at);
    raw.mean = mean[row];
    raw.rstd = rstd[row];
  }
  __device__ __forceinline__ void add(float (&sums)[kSums][N], Raw& raw, int row, int column) const {
    if constexpr (N == 1) {
      raw.dout[0] *= mask.factor(row, column);
    } else {
      kept_columns<N>(mask, row, column).apply(raw.dout);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
      sums[0][i] += raw.dout[i] * ((raw.sum[i] - raw.mean) * raw.rstd);
      sums[1][i] += raw.dout[i];
    }
  }
};

}  // namespace

template <typename T>
void column_sums(Context& context, RowCount rows, int n, int stride, bool accumulate, const T* dout, float* dbias) {
  const auto launch = [&](auto columns) {
    constexpr int N = decltype(columns)::value;
    launch_column_sums<N>(context, rows, n, 1, ColumnSource<T, N>{dout, stride}, {{dbias}, accumulate});
  };
  constexpr int N = kVectorColumns<T>;
  if (is_vectorizable<N>(dout, n, stride)) return launch(std::integral_constant<int, N>{});
  launch(std::integral_constant<int, 1>{});
}

template <typename T>
void layernorm_parameter_sums(Context& context, RowCount rows, int C, bool accumulate, const DropoutMask& mask,
                              const T* dout, const T* sum, const float* mean, const float* rstd, float* dgamma,
                              float* dbeta) {
  if (!dgamma && !dbeta) return;
  const auto launch = [&](auto columns) {
    constexpr int N = decltype(columns)::value;
    launch_column_sums<N>(context, rows, C, 1, LayernormSource<T, N>{dout, sum, mean, rstd, mask},
                          {{dgamma, dbeta}, accumulate});
  };
  constexpr int N = kVectorColumns<T>;
  if (is_vectorizable<N>(dout, C, C) && is_vectorizable<N>(sum, C, C)) {
    return launch(std::integral_constant<int, N>{});
  }
  launch(std::integral_constant<int, 1>{});
}

template <typename T>
void layernorm_parameter_sums(Context& context, RowCount rows, int C, bool accumulate, const T* dout, const T* sum,
                              const float* mean, const float* rstd, float* dgamma, float* dbeta) {
  const DropoutMask none{nullptr, 0, 0, 1.f};
  layernorm_parameter_sums(context, rows, C, accumulate, none, dout, sum, mean, rstd, dgamma, dbeta);
}

#define BERTUNE_INSTANTIATE(T)                                                                                     \
  template void column_sums<T>(Context&, RowCount, int, int, bool, const T*, float*);                              \
  template void layernorm_parameter_sums<T>(Context&, RowCount, int, bool, const T*, const T*, const float*,       \
                                            const float*, float*, float*);                                         \
  template void layernorm_parameter_sums<T>(Context&, RowCount, int, bool, const DropoutMask&, const T*, const T*, \
                                            const float*, const float*, float*, float*);
BERTUNE_INSTANTIATE(float)
BERTUNE_INSTANTIATE(bf16)
#undef BERTUNE_INSTANTIATE

}  // namespace bertune::cuda
