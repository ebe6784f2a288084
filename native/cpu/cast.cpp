// Between the compute scalar and the statistics' scalar. On the CPU they are one type, so a cast is a copy or a sum.
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

template <typename T>
void cast(Context& context, int64_t count, bool accumulate, const T* inp, T* out) {
  context.pool.run([&](int thread) {
    const int64_t begin = count * thread / context.threads(), end = count * (thread + 1) / context.threads();
    if (accumulate) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) out[i] += inp[i];
    } else {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) out[i] = inp[i];
    }
  });
}

}  // namespace

template <typename T>
void cast_to_real(Context& context, const CastToReal& args) {
  cast(context, args.count, false, scalars<T>(args.inp), scalars<T>(args.out));
}

template <typename T>
void cast_to_acc(Context& context, const CastToAcc& args) {
  cast(context, args.count, args.accumulate, scalars<T>(args.inp), scalars<T>(args.out));
}

template void cast_to_real<float>(Context&, const CastToReal&);
template void cast_to_real<double>(Context&, const CastToReal&);
template void cast_to_acc<float>(Context&, const CastToAcc&);
template void cast_to_acc<double>(Context&, const CastToAcc&);

}  // namespace bertune
