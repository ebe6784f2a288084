// Matrix products by oneDNN, on the calling thread alone, with element types and layouts that a BLAS does not have:
//
//   c (m,n) = a (m,k) · b (k,n), or c += with `add`
//
// a and b are float, bfloat16, or unsigned and signed bytes; c is float, or int32 for bytes. a and c have no gaps between
// rows, because code for matrices with gaps is slow.
//
// Code for a product is generated when its sizes first occur, and kept. On processors for which is_fast holds, the order of
// the sums over k depends on n and k alone: a row of c has the same bits in a product of any number of rows, with b packed
// or not (in fp32, with oneDNN 2 and 3; test/operations/products.test.ts and test/model/products.test.ts).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace bertune::onednn {

enum class Element { kF32, kBF16, kInt8 };

// How b lies in memory: rows of k, rows of n (that is, bᵀ), or as oneDNN likes it best.
enum class Layout { kRows, kColumns, kPacked };

// Whether this processor has instructions for such products that oneDNN uses; false if built without it.
bool is_fast(Element element);

// E.g. "2.6.3 avx512_core_bf16"; empty if built without it.
std::string version();

// b, laid out for products of any m.
class Packed {
 public:
  // Room for b (k,n), which comes in `layout` with rows `ldb` apart. Throws OUT_OF_MEMORY.
  Packed(Element element, int n, int k, Layout layout, int ldb);
  ~Packed();

  size_t bytes() const;
  // Copies b in: float for kF32 and kBF16, int8 for kInt8.
  void fill(const void* b);
  // Copies b out, exactly unless it was rounded, as for kBF16.
  void read(void* b) const;

 private:
  friend class Products;
  struct Memory;
  std::unique_ptr<Memory> memory_;
};

struct Product {
  Element element;
  int m, n, k;
  bool transpose_a;  // a is stored (k,m)
  bool add;

  bool operator==(const Product&) const = default;
};

// The most rows of one product, so that few different sizes occur: with b packed, and with b as it is, which is packed
// again each time.
constexpr int kPackedRows = 64;
constexpr int kPlainRows = 256;

// Products that keep their code; for one thread at a time.
class Products {
 public:
  Products();
  ~Products();

  void multiply(const Product& product, const void* a, const Packed& b, void* c);
  // b not packed: `layout` is kRows or kColumns.
  void multiply(const Product& product, const void* a, Layout layout, const void* b, int ldb, void* c);

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

// Whether there is a fast sgemm.
bool has_sgemm();
// c (m,n) = alpha · op(a) · op(b) + beta · c in float, as in gemm.h: gaps between rows are allowed, and no code is kept.
void sgemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
           const float* b, int ldb, float beta, float* c, int ldc);

}  // namespace bertune::onednn
