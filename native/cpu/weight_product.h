// Products of activations with a weight W (n,k), forward and backward:
//
//   forward    out (rows,n) = inp (rows,k) · Wᵀ
//   backward   dinp (rows,k) = dout (rows,n) · W, or dinp +=
//
// oneDNN makes them if it is available and fast, the BLAS otherwise. Products of few rows are faster with a weight laid out
// for them, which is done once for a weight that does not change; for many rows, oneDNN lays out what it needs on the way.
// A weight that trains is different in each step: laying it out would cost more than it saves, so it is multiplied as it
// is, or from a copy in the element type of products.
//
// A weight that is laid out need not be in memory twice: the pages of the weight itself go back to the system, and are
// filled again when the weight is read or changed. A weight turned into bytes cannot be restored exactly, so reading it is
// then an error.
//
// Element types: float; bfloat16, with sums in float; or bytes, with sums in int32, for prediction alone:
//   a row x of activations is x ≈ s · (q − z), q in 0 .. 255 by the row's own range; a row w of the weight is w ≈ t · p,
//   p in −127 .. 127 and t of 17 bits, so that t · p is exact:   x · w ≈ s · t · (Σ q · p − z · Σ p)
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/memory_range.h"
#include "cpu/onednn.h"
#include "cpu/parallel.h"

namespace bertune {

class Context;

// With fewer rows per thread than this, a product is split by columns; otherwise each thread would read the whole weight.
// Bytes are read soon, and threads that share rows quantize each row once and read what they wrote themselves: where one
// core is slow to see what another wrote, 17 rows take two threads a tenth less time, 30 rows a sixth.
constexpr int kFewRows = 32;
constexpr int kFewRowsOfBytes = 8;
// Columns of a slab, but for the last one, are a multiple of this.
constexpr int kSlabMultiple = 64;

enum class Direction { kForward, kBackward };

// A weight in the forms that products need.
struct WeightForms {
  // For the products of one direction.
  struct Form {
    bool is_used = false;    // since the weight changed
    bool is_packed = false;  // the slabs hold it
    // Each thread's slab of the columns; null if that is empty.
    std::vector<std::unique_ptr<onednn::Packed>> slabs;
  };

  const float* weight = nullptr;  // (n,k)
  int n = 0, k = 0;
  bool trains = false;     // adamw has changed it
  size_t released = 0;     // bytes of its pages that were given back because forward's slabs hold the same
  bool is_wanted = false;  // it has been needed as it is since it was released
  Form forward, backward;
  bool is_rounded = false;     // bf16 holds it
  std::vector<uint16_t> bf16;  // (n,k) or empty
  std::vector<float> scales;   // (n) for bytes: t
  std::vector<int32_t> sums;   // (n) for bytes: Σ p

  MemoryRange memory() const { return {weight, sizeof(float) * n * k}; }
  Form& form(Direction direction) { return direction == Direction::kForward ? forward : backward; }
  const Form& form(Direction direction) const { return direction == Direction::kForward ? forward : backward; }
};

// A row of activations in bytes: x ≈ scale · (q − zero).
struct RowRange {
  float scale, inverse;
  int32_t zero;
};

// The products of one session.
class WeightProducts {
 public:
  WeightProducts(onednn::Element element, int threads);

  onednn::Element element() const { return element_; }
  // Whether oneDNN makes this product for a weight of this size.
  bool takes(Direction direction, int n, int k) const;

  // With fewer rows than this, a product is split by columns.
  int few_rows() const { return (element_ == onednn::Element::kInt8 ? kFewRowsOfBytes : kFewRows) * threads_; }

  // Call it before the product, outside of a parallel section.
  const WeightForms& prepare(Context& context, Direction direction, const float* weight, int n, int k, int rows);
  // a (rows, depth) · the operand's columns: those of one thread's slab, or all. Calls finish(columns, product) for each
  // part, (rows,columns) without gaps, which is in `c` if that is not null and takes the whole product, else in scratch
  // memory. For one thread.
  template <typename Finish>
  void multiply(Context& context, int thread, const WeightForms& forms, Direction direction, int rows, Range columns,
                const float* a, int lda, float* c, Finish&& finish);
  // The most rows of one call of multiply.
  static int most_rows(const WeightForms& forms, Direction direction);

  // dweight (columns of n, k) = or += doutᵀ · inp in bfloat16, see linear.cpp
  onednn::Products& of_thread(int thread) { return products_[thread]; }

  // The columns of a thread: the same split for all of a session's products with an operand of that many columns.
  Range slab(int columns, int thread) const;

  // The bytes that the forms of the weights take, and those of the weights themselves that were given back in exchange.
  size_t bytes() const;
  size_t released_bytes() const { return released_; }

  // The memory is about to be read outside of products. Throws INVALID_OPTION if bytes have replaced a weight there.
  void read(MemoryRange memory);
  // Weights in the memory are about to be written, or are gone; adamw is about to change them.
  void written(MemoryRange memory);
  void trained(MemoryRange memory);
  // Makes weights in the memory readable, as exactly as their bytes allow.
  void restore(MemoryRange memory);

 private:
  // Rows of activations in the form that products need, and where a product goes: a thread's scratch memory.
  struct Operand {
    const void* rows;  // (rows, depth) in the element type of products
    float* tile;       // (rows, columns)
    // For bytes:
    int32_t* sums = nullptr;     // (rows, columns)
    RowRange* ranges = nullptr;  // (rows)
  };
  Operand take_in(Context& context, int thread, int rows, int depth, int most_columns, const float* a, int lda);
  void multiply_slab(int thread, const WeightForms& forms, Direction direction, int rows, int part,
                     const Operand& operand);
  // Multiplies by columns of a weight that is not packed; backward by all of them.
  void multiply_plain(int thread, const WeightForms& forms, Direction direction, int rows, Range columns, const void* a,
                      float* c);
  WeightForms& find(const float* weight, int n, int k);
  void pack(Context& context, WeightForms& forms, Direction direction);
  void round(Context& context, WeightForms& forms);
  void release(WeightForms& forms);
  void restore(WeightForms& forms);

  onednn::Element element_;
  bool is_fast_;
  int threads_;
  std::vector<onednn::Products> products_;  // one a thread
  std::vector<std::unique_ptr<WeightForms>> forms_;
  size_t released_ = 0;                 // of all forms
  std::vector<MemoryRange> quantized_;  // weights that bytes have replaced
};

template <typename Finish>
void WeightProducts::multiply(Context& context, int thread, const WeightForms& forms, Direction direction, int rows,
                              Range columns, const float* a, int lda, float* c, Finish&& finish) {
  const bool forward = direction == Direction::kForward;
  const int all = forward ? forms.n : forms.k, depth = forward ? forms.k : forms.n;
  const bool is_packed = forms.form(direction).is_packed;
  int widest = is_packed || c ? 0 : columns.size();
  for (int part = 0; is_packed && part < threads_; ++part) widest = std::max(widest, slab(all, part).size());
  const Operand operand = take_in(context, thread, rows, depth, widest, a, lda);
  if (!is_packed) {
    float* to = c ? c : operand.tile;
    multiply_plain(thread, forms, direction, rows, columns, operand.rows, to);
    return finish(columns, static_cast<const float*>(to));
  }
  for (int part = 0; part < threads_; ++part) {
    const Range here = slab(all, part);
    if (here.empty() || here.begin < columns.begin || here.end > columns.end) continue;
    multiply_slab(thread, forms, direction, rows, part, operand);
    finish(here, static_cast<const float*>(operand.tile));
  }
}

// out = inp, rounded to nearest, ties to even.
void to_bfloat_row(int count, const float* inp, uint16_t* out);

}  // namespace bertune
