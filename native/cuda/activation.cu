// Activations by themselves, element by element over dense (rows,n): functions.cuh has their formulas.
#include "cuda/columns.cuh"
#include "cuda/functions.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kActivationThreads = 256;

// The elements of a thread, all rows one after the other: those behind the last whole vector one by one.
template <bool kVector, int N, typename T>
__device__ __forceinline__ void load_elements(float (&out)[N], const T* inp, int64_t at, int64_t count) {
  if (kVector && at + N <= count) {
    load_floats<N>(out, inp + at);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = at + i < count ? to_float(inp[at + i]) : 0.f;
  }
}

template <bool kVector, int N, typename T>
__device__ __forceinline__ void store_elements(T* out, int64_t at, int64_t count, const float (&inp)[N]) {
  if (kVector && at + N <= count) {
    store_floats<N>(out + at, inp);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (at + i < count) out[at + i] = from_float<T>(inp[i]);
    }
  }
}

// Grid: ceil(rows.padded · n / (256 · N)); block: 256.
template <typename T, bool kVector, typename F>
__global__ void activation_forward_kernel(RowCount rows, int n, const T* inp /* (rows,n) */,
                                          T* out /* (rows,n); may be inp */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kActivationThreads + threadIdx.x) * N;
  const int64_t count = static_cast<int64_t>(rows.padded) * n, live = static_cast<int64_t>(rows.count()) * n;
  float values[N];
  load_elements<kVector>(values, inp, at, count);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = at + i < live ? F::value(values[i]) : 0.f;
  store_elements<kVector>(out, at, count, values);
}

// Grid: ceil(rows.padded · n / (256 · N)); block: 256.
template <typename T, bool kVector, typename F>
__global__ void activation_backward_kernel(RowCount rows, int n, DropoutMask mask, const T* saved /* (rows,n) */,
                                           const T* dout /* (rows,n) */, T* dinp /* (rows,n); may be dout */) {
  simt::wait_for_previous();
  constexpr int N = kVectorColumns<T>;
  const int64_t at = (static_cast<int64_t>(blockIdx.x) * kActivationThreads + threadIdx.x) * N;
  const int64_t count = static_cast<int64_t>(rows.padded) * n, live = static_cast<int64_t>(rows.count()) * n;
  float values[N], gradient[N];
  load_elements<kVector>(values, saved, at, count);
  load_elements<kVector>(gradient, dout, at, count);
  if (mask.on()) {
#pragma unroll
    for (int i = 0; i < N; ++i) gradient[i] *= mask.factor((at + i) / n, (at + i) % n);
#pragma unroll
    for (int i = 0; i < N; ++i) gradient[i] = rounded<T>(gradient[i]);  // as dropout by itself leaves it
  }
#pragma unroll
  for (int i = 0; i < N; ++i) gradient[i] = at + i < live ? gradient[i] * F::slope(values[i]) : 0.f;
  store_elements<kVector>(dinp, at, count, gradient);
}

template <typename T>
unsigned activation_grid(const Rows& rows, int n) {
  return ceil_div(static_cast<int64_t>(rows.count) * n, kActivationThreads * kVectorColumns<T>);
}

template <typename T>
bool is_vector_aligned(const T* pointer) {
  constexpr int N = kVectorColumns<T>;
  return is_vectorizable<N>(pointer, N, N);
}

}  // namespace

template <typename T>
void activation_forward(Context& context, const ActivationForward& args) {
  if (args.rows.count == 0) return;
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  const bool vectors = is_vector_aligned(inp) && is_vector_aligned(out);
  with_activation(args.activation, [&](auto activation) {
    using F = decltype(activation);
    context.launch(vectors ? activation_forward_kernel<T, true, F> : activation_forward_kernel<T, false, F>,
                   activation_grid<T>(args.rows, args.n), kActivationThreads, 0, context.rows(args.rows), args.n, inp,
                   out);
  });
}

template <typename T>
void activation_backward(Context& context, const ActivationBackward& args) {
  if (args.rows.count == 0) return;
  const T* saved = scalars<T>(args.saved);
  const T* dout = scalars<T>(args.dout);
  T* dinp = scalars<T>(args.dinp);
  const bool vectors = is_vector_aligned(saved) && is_vector_aligned(dout) && is_vector_aligned(dinp);
  with_activation(args.activation, [&](auto activation) {
    using F = decltype(activation);
    context.launch(vectors ? activation_backward_kernel<T, true, F> : activation_backward_kernel<T, false, F>,
                   activation_grid<T>(args.rows, args.n), kActivationThreads, 0, context.rows(args.rows), args.n,
                   context.dropout(args.dropout, args.rows.kind), saved, dout, dinp);
  });
}

template void activation_forward<float>(Context&, const ActivationForward&);
template void activation_forward<bf16>(Context&, const ActivationForward&);
template void activation_backward<float>(Context&, const ActivationBackward&);
template void activation_backward<bf16>(Context&, const ActivationBackward&);

}  // namespace bertune::cuda
