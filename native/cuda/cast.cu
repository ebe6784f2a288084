// From the statistics' scalar, which is float, to the compute scalar: out = inp.
#include "cuda/operations.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kCastThreads = 256;
constexpr int kCastVector = 4;

// Grid: a block for each kCastThreads · N elements; block: kCastThreads. A thread has N neighbours; inp, out (count).
template <int N, typename T>
__global__ void __launch_bounds__(kCastThreads) cast_kernel(int64_t count, const float* inp, T* out) {
  simt::wait_for_previous();
  const int64_t first = (static_cast<int64_t>(blockIdx.x) * kCastThreads + threadIdx.x) * N;
  if (first + N <= count) {
    float values[N];
    load_floats<N>(values, inp + first);
    store_floats<N>(out + first, values);
    return;
  }
  for (int64_t i = first; i < count; ++i) out[i] = from_float<T>(inp[i]);
}

}  // namespace

template <typename T>
void cast_to_real(Context& context, const CastToReal& args) {
  const float* inp = floats(args.inp);
  T* out = scalars<T>(args.out);
  if (args.count == 0) return;
  // What is left of the last vector is done one by one.
  if (is_vectorizable<kCastVector>(inp, 0, 0) && is_vectorizable<kCastVector>(out, 0, 0)) {
    context.launch(&cast_kernel<kCastVector, T>, ceil_div(args.count, kCastThreads * kCastVector), kCastThreads, 0,
                   args.count, inp, out);
  } else {
    context.launch(&cast_kernel<1, T>, ceil_div(args.count, kCastThreads), kCastThreads, 0, args.count, inp, out);
  }
}

template void cast_to_real<float>(Context&, const CastToReal&);
template void cast_to_real<bf16>(Context&, const CastToReal&);

}  // namespace bertune::cuda
