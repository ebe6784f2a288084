// Which kernel multiplies: cuBLASLt where a product is large and lies as its kernels like it, ours otherwise.
#include "cuda/gemm.h"

#include "cuda/operations.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

// Multiply-adds below which one launch of ours takes no longer than the library's (and often less: it splits a small
// product with a long k into two launches).
constexpr int64_t kLibraryProducts = int64_t{1} << 20;

bool is_aligned(const void* pointer, int64_t stride, Element element) {
  return reinterpret_cast<uintptr_t>(pointer) % kLibraryAlignment == 0 &&
         stride * element_bytes(element) % kLibraryAlignment == 0;
}

bool suits_library(const GemmArgs& args) {
  const int64_t unit = static_cast<int64_t>(kLibraryAlignment / element_bytes(args.inp));
  const bool is_dense = args.out_stride == args.n && (args.saved != nullptr || args.activated_stride == args.n);
  return static_cast<int64_t>(args.m) * args.n * args.k >= kLibraryProducts && args.n % unit == 0 &&
         args.k % unit == 0 && (!args.activates() || is_dense) && is_aligned(args.a, args.a_stride, args.inp) &&
         is_aligned(args.b, args.b_stride, args.inp) && is_aligned(args.out, args.out_stride, args.out_type) &&
         is_aligned(args.bias, 0, args.out_type);
}

template <typename T>
void activate_as(Context& context, const GemmArgs& args) {
  Real* product = static_cast<Real*>(args.out);
  if (args.saved != nullptr) {
    activation_backward<T>(
        context, {args.rows, args.n, args.activation, static_cast<const Real*>(args.saved), product, product, {}});
  } else {
    activation_forward<T>(context, {args.rows, args.n, args.activation, product, static_cast<Real*>(args.activated)});
  }
}

}  // namespace

void activate(Context& context, const GemmArgs& args) {
  args.inp == Element::kBf16 ? activate_as<bf16>(context, args) : activate_as<float>(context, args);
}

void gemm(Context& context, const GemmArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  if (context.gemm != nullptr && suits_library(args) && context.gemm->run(context, args)) return;
  small_gemm(context, args);
}

}  // namespace bertune::cuda
