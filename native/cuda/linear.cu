// Linear layers, on padded rows:
//
//   forward          out = activation(inp (rows,k) · weightᵀ (k,n) + bias)
//   backward input   dinp (rows,k) = [dinp +] dout (rows,n) · weight (n,k), or (dout · weight) · activation'(saved)
//   backward weight  dweight (n,k) = [dweight +] doutᵀ (n,rows) · inp (rows,k),  dbias (n): column sums of dout
//
// Rows past the live ones: those of dout are zero, so sums over rows may run over all of them; those of out become the
// bias, which nothing reads.
#include "cuda/column_sums.h"
#include "cuda/gemm.h"
#include "cuda/operations.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

template <typename T>
constexpr Element element() {
  return sizeof(T) == 2 ? Element::kBf16 : Element::kFloat;
}

}  // namespace

template <typename T>
void linear_forward(Context& context, const LinearForward& args) {
  const int rows = args.rows.count;
  if (rows == 0) return;
  // The product goes where the preactivation is wanted, and otherwise straight to the output.
  const bool saves = args.preactivation != nullptr;
  gemm(context, {.m = rows,
                 .n = args.n,
                 .k = args.k,
                 .transpose_a = false,
                 .transpose_b = true,
                 .add = false,
                 .inp = element<T>(),
                 .out_type = element<T>(),
                 .a = args.inp,
                 .b = args.weight,
                 .out = saves ? args.preactivation : args.out,
                 .bias = args.bias,
                 .a_stride = args.inp_stride,
                 .b_stride = args.k,
                 .out_stride = saves ? args.n : args.out_stride,
                 .activation = args.activation,
                 .rows = args.rows,
                 .activated = saves || args.activation != Activation::kNone ? args.out : nullptr,
                 .activated_stride = args.out_stride});
}

template <typename T>
void linear_backward_input(Context& context, const LinearBackwardInput& args) {
  gemm(context, {.m = args.rows.count,
                 .n = args.k,
                 .k = args.n,
                 .transpose_a = false,
                 .transpose_b = false,
                 .add = args.add_to_dinp,
                 .inp = element<T>(),
                 .out_type = args.gradient ? Element::kFloat : element<T>(),
                 .a = args.dout,
                 .b = args.weight,
                 .out = args.gradient ? static_cast<void*>(args.gradient) : args.dinp,
                 .bias = nullptr,
                 .a_stride = args.dout_stride,
                 .b_stride = args.k,
                 .out_stride = args.gradient ? args.k : args.dinp_stride,
                 .activation = args.activation,
                 .rows = args.rows,
                 .saved = args.saved});
}

template <typename T>
void linear_backward_weight(Context& context, const LinearBackwardWeight& args) {
  if (args.dweight != nullptr) {
    gemm(context, {.m = args.n,
                   .n = args.k,
                   .k = args.rows.count,
                   .transpose_a = true,
                   .transpose_b = false,
                   .add = args.accumulate,
                   .inp = element<T>(),
                   .out_type = Element::kFloat,
                   .a = args.dout,
                   .b = args.inp,
                   .out = args.dweight,
                   .bias = nullptr,
                   .a_stride = args.dout_stride,
                   .b_stride = args.inp_stride,
                   .out_stride = args.k});
  }
  if (args.dbias != nullptr) {
    column_sums<T>(context, context.rows(args.rows), args.n, args.dout_stride, args.accumulate, scalars<T>(args.dout),
                   floats(args.dbias));
  }
}

template void linear_forward<float>(Context&, const LinearForward&);
template void linear_forward<bf16>(Context&, const LinearForward&);
template void linear_backward_input<float>(Context&, const LinearBackwardInput&);
template void linear_backward_input<bf16>(Context&, const LinearBackwardInput&);
template void linear_backward_weight<float>(Context&, const LinearBackwardWeight&);
template void linear_backward_weight<bf16>(Context&, const LinearBackwardWeight&);

}  // namespace bertune::cuda
