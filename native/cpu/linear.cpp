// out = activation(inp · weightᵀ + bias)
//
//   forward           inp (rows,k), weight (n,k), bias (n) → out (rows,n); the preactivation is saved where asked for
//   backward_input    dinp = (dout · weight) · activation'(saved)      (rows,n) (n,k) → (rows,k)
//   backward_weight   dweight = doutᵀ · inp     (rows,n) (rows,k) → (n,k);   dbias = Σ rows of dout (n)
//
// Threads take rows of the result where there are many and columns where there are few, and all rows of a column block
// for the weight gradient, so every sum over k, n or rows is made by one thread.
#include <algorithm>
#include <type_traits>

#include "cpu/activation.h"
#include "cpu/gemm.h"
#include "cpu/operations.h"
#include "cpu/row_sums.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// A product of activations with a weight, by oneDNN or the BLAS: see weight_product.h.
template <typename T>
class Product {
 public:
  Product(Context& context, Direction direction, Rows rows, const T* weight, int n, int k)
      : context_(context), direction_(direction), rows_(rows), weight_(weight), n_(n), k_(k) {
    if constexpr (std::is_same_v<T, float>) {
      if (context.products.takes(direction, n, k)) {
        forms_ = &context.products.prepare(context, direction, weight, n, k, rows.count);
      } else {
        context.products.restore({weight, sizeof(T) * n * k});
      }
    }
  }

  // Calls finish(rows, columns, product, stride) for each part of a · op(weight), while it is in the cache. The BLAS puts
  // it to c, or adds it there; oneDNN leaves it elsewhere.
  template <typename Finish>
  void run(const T* a, size_t lda, bool add, T* c, size_t ldc, Finish&& finish) {
    const bool forward = direction_ == Direction::kForward;
    const int columns = forward ? n_ : k_;
    const int few = forms_ ? context_.products.few_rows() : kFewRows * context_.threads();
    const auto work = [&](int thread, Range rows, Range range) {
      if constexpr (std::is_same_v<T, float>) {
        if (forms_) return multiply(thread, rows, range, a, lda, add ? nullptr : c, ldc, finish);
      }
      const T* b = weight_ + (forward ? static_cast<size_t>(range.begin) * k_ : range.begin);
      T* to = c + rows.begin * ldc + range.begin;
      gemm<T>(false, forward, rows.size(), range.size(), forward ? k_ : n_, 1, a + rows.begin * lda,
              static_cast<int>(lda), b, k_, add ? 1 : 0, to, static_cast<int>(ldc));
      finish(rows, range, static_cast<const T*>(to), ldc);
    };
    if (rows_.count >= few) {
      context_.for_rows(rows_, [&](int thread, Range rows) { work(thread, rows, Range{0, columns}); });
    } else {
      context_.for_parts(columns, forms_ ? kSlabMultiple : 16,
                         [&](int thread, Range range) { work(thread, Range{0, rows_.count}, range); });
    }
  }

 private:
  // oneDNN's, in parts of so many rows as it has code for.
  template <typename Finish>
  void multiply(int thread, Range rows, Range columns, const float* a, size_t lda, float* c, size_t ldc,
                Finish&& finish) {
    const bool forward = direction_ == Direction::kForward;
    if (columns.size() < (forward ? n_ : k_)) fetch(rows, forward ? k_ : n_, a, lda);
    const bool is_dense = ldc == static_cast<size_t>(columns.size());
    const int most = WeightProducts::most_rows(*forms_, direction_);
    const int parts = (rows.size() + most - 1) / most;
    for (int part = 0; part < parts; ++part) {
      const Range share = even_split(rows.size(), parts, part);
      const Range here{rows.begin + share.begin, rows.begin + share.end};
      context_.products.multiply(
          context_, thread, *forms_, direction_, here.size(), columns, a + here.begin * lda, static_cast<int>(lda),
          c && is_dense ? c + here.begin * ldc : nullptr,
          [&](Range slab, const float* product) { finish(here, slab, product, static_cast<size_t>(slab.size())); });
    }
  }

  // Threads that share columns read rows that others wrote. Asked for all at once, these come sooner than one by one.
  static void fetch(Range rows, int depth, const float* a, size_t lda) {
    for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row) {
      for (int i = 0; i < depth; i += 16) __builtin_prefetch(a + row * lda + i);
    }
  }

  Context& context_;
  Direction direction_;
  Rows rows_;
  const T* weight_;
  int n_, k_;
  const WeightForms* forms_ = nullptr;  // null: the BLAS
};

// to (rows,columns of it) = or += product; nothing where it is there already.
template <typename T>
void put(Range rows, Range columns, const T* product, size_t stride, bool add, T* to, size_t ldc) {
  const int n = columns.size();
  for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row, product += stride) {
    T* y = to + row * ldc + columns.begin;
    if (y == product) return;
    if (add) {
#pragma omp simd
      for (int i = 0; i < n; ++i) y[i] += product[i];
    } else {
      std::copy_n(product, n, y);
    }
  }
}

}  // namespace

template <typename T>
void linear_forward(Context& context, const LinearForward& args) {
  const T* bias = scalars<T>(args.bias);
  T* out = scalars<T>(args.out);
  // The product goes where the preactivation is wanted, and otherwise straight to the output.
  T* sum = args.preactivation ? scalars<T>(args.preactivation) : out;
  const size_t sum_stride = args.preactivation ? args.n : args.out_stride;
  const size_t out_stride = args.out_stride;
  const auto finish = [&](Range rows, Range columns, const T* product, size_t stride) {
    const int n = columns.size();
    if (bias == nullptr) put(rows, columns, product, stride, false, sum, sum_stride);
    for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row, product += stride) {
      T* x = sum + row * sum_stride + columns.begin;
      if (bias != nullptr) {
        const T* b = bias + columns.begin;
#pragma omp simd
        for (int i = 0; i < n; ++i) x[i] = product[i] + b[i];
      }
      activation_row(args.activation, n, x, out + row * out_stride + columns.begin);
    }
  };
  Product<T>(context, Direction::kForward, args.rows, scalars<T>(args.weight), args.n, args.k)
      .run(scalars<T>(args.inp), args.inp_stride, false, sum, sum_stride, finish);
}

template <typename T>
void linear_backward_input(Context& context, const LinearBackwardInput& args) {
  T* dinp = args.gradient ? scalars<T>(args.gradient) : scalars<T>(args.dinp);
  const T* saved = scalars<T>(args.saved);
  const size_t dinp_stride = args.gradient ? args.k : args.dinp_stride;
  Product<T>(context, Direction::kBackward, args.rows, scalars<T>(args.weight), args.n, args.k)
      .run(scalars<T>(args.dout), args.dout_stride, args.add_to_dinp, dinp, dinp_stride,
           [&](Range rows, Range columns, const T* product, size_t stride) {
             if (args.activation == Activation::kNone) {
               return put(rows, columns, product, stride, args.add_to_dinp, dinp, dinp_stride);
             }
             for (size_t row = rows.begin; row < static_cast<size_t>(rows.end); ++row, product += stride) {
               activation_row_backward(args.activation, columns.size(), saved + row * args.k + columns.begin, product,
                                       dinp + row * dinp_stride + columns.begin);
             }
           });
}

namespace {

// Rows of one product for a weight's gradient: a multiple of kRowMultiple, the last ones zero, and at most kMostRows, so
// that few different sizes are met.
constexpr int kRowMultiple = 32;
constexpr int kMostRows = 512;

// dweight (n,k) = [+] doutᵀ · inp, from both in bfloat16 with sums in float.
void bfloat_weight_gradient(Context& context, const LinearBackwardWeight& args) {
  const int rows = args.rows.count, k = args.k;
  const int padded = (rows + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
  const float* inp = scalars<float>(args.inp);
  const float* dout = scalars<float>(args.dout);
  uint16_t* inp_rows = context.shared_scratch<uint16_t>(static_cast<size_t>(padded) * k);
  context.pool.run([&](int thread) {
    const Range range = even_split(padded, context.threads(), thread);
    for (size_t row = range.begin; row < static_cast<size_t>(range.end); ++row) {
      uint16_t* to = inp_rows + row * k;
      if (row < static_cast<size_t>(rows)) {
        to_bfloat_row(k, inp + row * args.inp_stride, to);
      } else {
        std::fill_n(to, k, uint16_t{0});
      }
    }
  });
  context.pool.run([&](int thread) {
    const Range columns = context.products.slab(args.n, thread);
    if (columns.empty()) return;
    const int n = columns.size();
    uint16_t* dout_rows = context.scratch<uint16_t>(thread, static_cast<size_t>(padded) * n);
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
      to_bfloat_row(n, dout + row * args.dout_stride + columns.begin, dout_rows + row * n);
    }
    std::fill_n(dout_rows + static_cast<size_t>(rows) * n, static_cast<size_t>(padded - rows) * n, uint16_t{0});
    for (int begin = 0; begin < padded; begin += kMostRows) {
      const onednn::Product product{.element = onednn::Element::kBF16,
                                    .m = n,
                                    .n = k,
                                    .k = std::min(kMostRows, padded - begin),
                                    .transpose_a = true,
                                    .add = args.accumulate || begin > 0};
      context.products.of_thread(thread).multiply(
          product, dout_rows + static_cast<size_t>(begin) * n, onednn::Layout::kRows,
          inp_rows + static_cast<size_t>(begin) * k, k,
          scalars<float>(args.dweight) + static_cast<size_t>(columns.begin) * k);
    }
  });
}

// Whether the above is what a gradient is made by.
template <typename T>
bool takes_bfloat_gradient(const Context& context, const LinearBackwardWeight& args) {
  return std::is_same_v<T, float> && args.dweight != nullptr && args.rows.count > 0 &&
         context.products.element() == onednn::Element::kBF16 &&
         context.products.takes(Direction::kBackward, args.n, args.k);
}

}  // namespace

template <typename T>
void linear_backward_weight(Context& context, const LinearBackwardWeight& args) {
  const T* dout = scalars<T>(args.dout);
  const T* inp = scalars<T>(args.inp);
  T* dweight = scalars<T>(args.dweight);
  T* dbias = scalars<T>(args.dbias);
  const size_t k = args.k;
  const bool is_made = takes_bfloat_gradient<T>(context, args);
  if (is_made) bfloat_weight_gradient(context, args);
  context.for_columns(args.n, [&](int, Range columns) {
    if (dweight != nullptr && !is_made) {
      gemm<T>(true, false, columns.size(), args.k, args.rows.count, 1, dout + columns.begin, args.dout_stride, inp,
              args.inp_stride, args.accumulate ? 1 : 0, dweight + columns.begin * k, args.k);
    }
    if (dbias != nullptr) sum_columns(columns, args.rows.count, dout, args.dout_stride, args.accumulate, dbias);
  });
}

template void linear_forward<float>(Context&, const LinearForward&);
template void linear_forward<double>(Context&, const LinearForward&);
template void linear_backward_input<float>(Context&, const LinearBackwardInput&);
template void linear_backward_input<double>(Context&, const LinearBackwardInput&);
template void linear_backward_weight<float>(Context&, const LinearBackwardWeight&);
template void linear_backward_weight<double>(Context&, const LinearBackwardWeight&);

}  // namespace bertune
