// The first row of each sequence, [CLS]:
//
//   forward    out[b] = inp[cu_seqlens[b]]      (T,C) → (B,C)
//   backward   dinp[cu_seqlens[b]] += dout[b]   (B,C) → (T,C), the other rows zero or left as they are
#include <algorithm>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {

template <typename T>
void first_rows_forward(Context& context, const FirstRowsForward& args) {
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  for (int b = 0; b < context.batch.B; ++b) {
    std::copy_n(inp + static_cast<size_t>(context.batch.cu_seqlens[b]) * args.inp_stride, args.C,
                out + static_cast<size_t>(b) * args.C);
  }
}

template <typename T>
void first_rows_backward(Context& context, const FirstRowsBackward& args) {
  const T* dout = scalars<T>(args.dout);
  T* dinp = scalars<T>(args.dinp);
  const int C = args.C;
  context.for_sequences([&](int thread, Range sequences) {
    const Range tokens = context.partition.tokens(thread);
    if (!args.add_to_dinp)
      std::fill_n(dinp + static_cast<size_t>(tokens.begin) * C, static_cast<size_t>(tokens.size()) * C, T(0));
    for (int b = sequences.begin; b < sequences.end; ++b) {
      const T* from = dout + static_cast<size_t>(b) * C;
      T* to = dinp + static_cast<size_t>(context.batch.cu_seqlens[b]) * C;
#pragma omp simd
      for (int i = 0; i < C; ++i) to[i] += from[i];
    }
  });
}

template void first_rows_forward<float>(Context&, const FirstRowsForward&);
template void first_rows_forward<double>(Context&, const FirstRowsForward&);
template void first_rows_backward<float>(Context&, const FirstRowsBackward&);
template void first_rows_backward<double>(Context&, const FirstRowsBackward&);

}  // namespace bertune
