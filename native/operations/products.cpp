#include "operations/products.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/onednn.h"
#include "cpu/parallel.h"

namespace bertune {
namespace {

// The product as something to run; nothing where there is no such provider.
std::function<void()> product_of(const std::string& provider, int m, int n, int k, bool transpose_a, bool transpose_b,
                                 std::vector<float>& a, std::vector<float>& b, std::vector<float>& c) {
  const int lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
  if (provider == "blas") {
    return [=, &a, &b, &c] {
      blas_gemm<float>(transpose_a, transpose_b, m, n, k, 1, a.data(), lda, b.data(), ldb, 0, c.data(), n);
    };
  }
  if (provider == "onednn") {
    if (!onednn::has_sgemm()) return {};
    return [=, &a, &b, &c] {
      onednn::sgemm(transpose_a, transpose_b, m, n, k, 1, a.data(), lda, b.data(), ldb, 0, c.data(), n);
    };
  }
  const bool is_plain = provider == "plain";
  const onednn::Element element = provider == "bf16"   ? onednn::Element::kBF16
                                  : provider == "int8" ? onednn::Element::kInt8
                                                       : onednn::Element::kF32;
  if (transpose_a || !onednn::is_fast(element)) return {};
  const onednn::Layout layout = transpose_b ? onednn::Layout::kColumns : onednn::Layout::kRows;
  auto packed = std::make_shared<onednn::Packed>(element, n, k, layout, ldb);
  // Bytes of any kind do: no time depends on values, but for denormal ones.
  packed->fill(b.data());
  auto products = std::make_shared<onednn::Products>();
  const int parts = (m - 1) / (is_plain ? onednn::kPlainRows : onednn::kPackedRows) + 1;
  return [=, &a, &b, &c] {
    for (int part = 0; part < parts; ++part) {
      const Range rows = even_split(m, parts, part);
      const onednn::Product product{element, rows.size(), n, k, false, false};
      float* to = c.data() + static_cast<size_t>(rows.begin) * n;
      if (is_plain) {
        products->multiply(product, a.data() + static_cast<size_t>(rows.begin) * k, layout, b.data(), ldb, to);
      } else {
        products->multiply(product, a.data(), *packed, to);
      }
    }
  };
}

}  // namespace

double time_product(const std::string& provider, int m, int n, int k, bool transpose_a, bool transpose_b,
                    double budget) {
  using Clock = std::chrono::steady_clock;
  std::vector<float> a(static_cast<size_t>(m) * k, 0.5f), b(static_cast<size_t>(n) * k, 0.5f),
      c(static_cast<size_t>(m) * n);
  const std::function<void()> run = product_of(provider, m, n, k, transpose_a, transpose_b, a, b, c);
  if (!run) return 0;
  const auto seconds_of = [&](int count) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < count; ++i) run();
    return std::chrono::duration<double>(Clock::now() - start).count() / count;
  };
  seconds_of(2);  // its code is generated, its arrays are in the cache
  constexpr int kSamples = 20;
  const int count = std::max(1, static_cast<int>(budget / kSamples / seconds_of(1)));
  double least = seconds_of(count);
  for (int i = 1; i < kSamples; ++i) least = std::min(least, seconds_of(count));
  return least;
}

}  // namespace bertune
