// Products of activations with a weight W (n,k), forward and backward:
//
//   forward    out (rows,n) = inp (rows,k) · Wᵀ
//   backward   dinp (rows,k) = dout (rows,n) · W, or dinp +=
//
// They are oneDNN's where it is there and fast, and the BLAS's otherwise. Products of few rows are faster with a weight
// laid out for them, which is done once for a weight that does not change; of many rows, oneDNN lays out what it needs on
// the way. A weight that trains is different in each step: laying it out would cost more than it saves, so it is
// multiplied as it is, or from a copy in the element type of products.
//
// A weight that is laid out need not be there twice: the pages of the weight itself go back to the system, and are filled
// again when somebody reads or changes the weight. In bytes a weight does not come back as it was, so reading it is an
// error then.
//
// Element types: float; bfloat16, with sums in float; or bytes, with sums in int32, for prediction alone:
//   a row x of activations is x ≈ s · (q − z), q in 0 .. 255 by the row's own range; a row w of the weight is w ≈ t · p,
//   p in −127 .. 127 and t of 17 bits, so that t · p is exact:   x · w ≈ s · t · (Σ q · p − z · Σ p)
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "cpu/memory_range.h"
#include "cpu/onednn.h"
#include "cpu/parallel.h"

namespace bertune {

class Context;

// Rows a thread below which a product is split by columns: each thread would take in the whole weight otherwise.
constexpr int kFewRows = 32;

enum class Direction { kForward, kBackward };

// A weight in the forms that products want it in.
struct WeightForms {
  // For the products of one direction.
  struct Form {
    bool is_used = false;    // since the weight changed
    bool is_packed = false;  // so that the slabs hold it
    // Each thread's slab of the columns by itself; null where that is empty.
    std::vector<std::unique_ptr<onednn::Packed>> slabs;
  };

  const float* weight = nullptr;  // (n,k)
  int n = 0, k = 0;
  bool trains = false;     // adamw has changed it
  size_t released = 0;     // bytes of its pages, which forward's slabs stand for
  bool is_wanted = false;  // somebody has wanted it as it is since it was released
  Form forward, backward;
  bool is_rounded = false;     // so that bf16 holds it
  std::vector<uint16_t> bf16;  // (n,k) or empty
  std::vector<float> scales;   // (n) t of bytes
  std::vector<int32_t> sums;   // (n) Σ p of bytes

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
  // Whether oneDNN makes this product with a weight of this size.
  bool takes(Direction direction, int n, int k) const;

  // To be called before the product, outside of a parallel section.
  const WeightForms& prepare(Context& context, Direction direction, const float* weight, int n, int k, int rows);
  // a (rows, depth) · the operand's columns: those of one thread's slab, or all. Calls finish(columns, product) for each
  // part of it, (rows,columns) without gaps: `c`, where that is not null and all of it is one part, or scratch. By one
  // thread.
  template <typename Finish>
  void multiply(Context& context, int thread, const WeightForms& forms, Direction direction, int rows, Range columns,
                const float* a, int lda, float* c, Finish&& finish);
  // Rows of one call of multiply at most.
  static int most_rows(const WeightForms& forms, Direction direction);

  // dweight (columns of n, k) = or += doutᵀ · inp in bfloat16, see linear.cpp
  onednn::Products& of_thread(int thread) { return products_[thread]; }

  // The columns of a thread: the same split for all of a session's products with an operand of that many.
  Range slab(int columns, int thread) const;

  // What the forms of the weights take, and what of the weights themselves has been given back for it.
  size_t bytes() const;
  size_t released_bytes() const { return released_; }

  // What is there is about to be read outside of products. Throws INVALID_OPTION where bytes have taken its place.
  void read(MemoryRange memory);
  // Weights there are about to be written, or are gone; adamw is about to change them.
  void written(MemoryRange memory);
  void trained(MemoryRange memory);
  // Makes weights there readable, within what bytes keep of them.
  void restore(MemoryRange memory);

 private:
  // Rows of activations as products take them, and where a product goes: a thread's scratch.
  struct Operand {
    const void* rows;  // (rows, depth) in the element type of products
    float* tile;       // (rows, columns)
    // Of bytes:
    int32_t* sums = nullptr;     // (rows, columns)
    RowRange* ranges = nullptr;  // (rows)
  };
  Operand take_in(Context& context, int thread, int rows, int depth, int most_columns, const float* a, int lda);
  void multiply_slab(int thread, const WeightForms& forms, Direction direction, int rows, int part,
                     const Operand& operand);
  // With columns of a weight that is not packed; backward with all of them.
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
  std::vector<MemoryRange> quantized_;  // weights that bytes have taken the place of
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
