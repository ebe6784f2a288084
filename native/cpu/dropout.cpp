#include "cpu/dropout.h"

#include "cpu/context.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {

template <typename T>
void dropout_apply(Context& context, const DropoutApply& args) {
  const T* inp = scalars<T>(args.inp);
  T* out = scalars<T>(args.out);
  context.for_rows(args.rows, [&](int thread, Range rows) {
    // What is added lies in scratch until then.
    T* scratch = args.add_to_out ? context.scratch<T>(thread, args.n) : nullptr;
    for (int row = rows.begin; row < rows.end; ++row) {
      const size_t at = static_cast<size_t>(row) * args.n;
      T* to = scratch ? scratch : out + at;
      dropout_row(context.step.seed, args.dropout, context.place(args.rows.kind, row), args.n, inp + at, to);
      for (int i = 0; scratch && i < args.n; ++i) out[at + i] += scratch[i];
    }
  });
}

template void dropout_apply<float>(Context&, const DropoutApply&);
template void dropout_apply<double>(Context&, const DropoutApply&);

}  // namespace bertune
