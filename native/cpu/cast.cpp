// From the statistics' scalar to the compute scalar. On the CPU they are one type, so a cast is a copy.
#include <algorithm>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
template <typename T>
void cast_to_real(Context& context, const CastToReal& args) {
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  context.pool.run([&](int thread) {
    const int64_t begin = args.count * thread / context.threads(), end = args.count * (thread + 1) / context.threads();
    std::copy(inp + begin, inp + end, out + begin);
  });
}

template void cast_to_real<float>(Context&, const CastToReal&);
template void cast_to_real<double>(Context&, const CastToReal&);

}  // namespace bertune
