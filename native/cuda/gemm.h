// Matrix products on the device: cuBLASLt where it is good at them, our own kernel for shapes that are small or not
// aligned (gemm.cpp decides). Row-major.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/context.h"

namespace bertune::cuda {

enum class Element { kFloat, kBf16 };

// What the library's fast kernels want pointers and rows to be a multiple of, in bytes: it is given no others.
constexpr size_t kLibraryAlignment = 16;

inline size_t element_bytes(Element element) { return element == Element::kBf16 ? 2 : 4; }

// out (m,n) = [out +] a · b [+ bias]
//   a is (m,k), or stored (k,m) where transpose_a;  b is (k,n), or stored (n,k) where transpose_b.
// Rows that the live count of a batch leaves out are zero in at least one factor, or their products are not read.
struct GemmArgs {
  int m, n, k;
  bool transpose_a, transpose_b;
  bool add;  // to out
  Element inp, out_type;
  const void* a;
  const void* b;
  void* out;
  const void* bias;                    // (n) of out's type, or null
  int a_stride, b_stride, out_stride;  // elements between stored rows
  // Then, with types all one, and zeros in rows that are not live:
  //   activated = activation(out), where `activated` is not null; it may be out
  //   out = out · activation'(saved), where `saved` is not null
  Activation activation = Activation::kNone;
  Rows rows{};
  void* activated = nullptr;  // (m,n)
  int activated_stride = 0;
  const void* saved = nullptr;  // (m,n) dense

  bool activates() const { return activated != nullptr || saved != nullptr; }
};

// The library behind large products. One a backend.
class Gemm {
 public:
  virtual ~Gemm() = default;
  // Runs on the context's stream, an activation as a kernel behind the product. Returns false where the library has no
  // algorithm for the arguments, or our own kernel, which has the activation in it, is faster. While operations are
  // captured it may be given what it was given before alone.
  virtual bool run(Context& context, const GemmArgs& args) = 0;
  virtual size_t workspace_bytes() const = 0;
};

// cuBLASLt. `tf32`: floats are multiplied as tf32. Throws CUDA_UNAVAILABLE where the library is missing.
std::unique_ptr<Gemm> make_gemm(bool tf32);

// The library that make_gemm would use: its version, or where it was looked for.
struct BlasLibrary {
  std::string version;  // with its name; "" where it is missing
  std::string missing;
};
BlasLibrary find_blas();

// The product by whichever is right for its shape.
void gemm(Context& context, const GemmArgs& args);

// The product by our own kernel: any shape, any alignment.
void small_gemm(Context& context, const GemmArgs& args);

// The activation of a product that has been made; matrices are dense.
void activate(Context& context, const GemmArgs& args);

}  // namespace bertune::cuda
