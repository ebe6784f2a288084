// Between the compute scalar and the statistics' scalar, which is float: out = inp, or out += inp. Where the compute
// scalar is float as well, a cast is a copy or a sum.
#include "cuda/operations.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 4;

// Grid: a block for each kThreads · N elements; block: kThreads. A thread has N neighbours; inp, out (count).
template <int N, bool kAdd, typename Inp, typename Out>
__global__ void __launch_bounds__(kThreads) cast_kernel(int64_t count, const Inp* inp, Out* out) {
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (first + N <= count) {
    float values[N];
    load_floats<N>(values, inp + first);
    if constexpr (kAdd) {
      float sums[N];
      load_floats<N>(sums, out + first);
#pragma unroll
      for (int i = 0; i < N; ++i) values[i] += sums[i];
    }
    store_floats<N>(out + first, values);
    return;
  }
  for (int64_t i = first; i < count; ++i) {
    out[i] = from_float<Out>((kAdd ? to_float(out[i]) : 0.f) + to_float(inp[i]));
  }
}

template <bool kAdd, typename Inp, typename Out>
void cast(Context& context, int64_t count, const Inp* inp, Out* out) {
  if (count == 0) return;
  // What is left of the last vector is done one by one.
  if (is_vectorizable<kVector>(inp, 0, 0) && is_vectorizable<kVector>(out, 0, 0)) {
    context.launch(&cast_kernel<kVector, kAdd, Inp, Out>, ceil_div(count, kThreads * kVector), kThreads, 0, count, inp,
                   out);
  } else {
    context.launch(&cast_kernel<1, kAdd, Inp, Out>, ceil_div(count, kThreads), kThreads, 0, count, inp, out);
  }
}

}  // namespace

template <typename T>
void cast_to_real(Context& context, const CastToReal& args) {
  cast<false>(context, args.count, floats(args.inp), scalars<T>(args.out));
}

template <typename T>
void cast_to_acc(Context& context, const CastToAcc& args) {
  const T* inp = scalars<T>(args.inp);
  args.accumulate ? cast<true>(context, args.count, inp, floats(args.out))
                  : cast<false>(context, args.count, inp, floats(args.out));
}

template void cast_to_real<float>(Context&, const CastToReal&);
template void cast_to_real<bf16>(Context&, const CastToReal&);
template void cast_to_acc<float>(Context&, const CastToAcc&);
template void cast_to_acc<bf16>(Context&, const CastToAcc&);

}  // namespace bertune::cuda
