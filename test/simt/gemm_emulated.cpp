// What stands in for cuBLASLt under the emulator: a plain product on the host, in the order of the stream.
#include <algorithm>
#include <cstring>
#include <vector>

#include "cuda/gemm.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

constexpr int kTileRows = 4, kTileColumns = 8;

int round_up(int value, int unit) { return (value + unit - 1) / unit * unit; }

// To the 10 bits of fraction that tensor cores read of a float.
float rounded_to_tf32(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

// A factor as floats in panels (count / kWidth, k, kWidth) of its m or n and its k, with zeros where the last one ends.
template <int kWidth>
struct Panels {
  int k;
  std::vector<float> values;

  // Element (i, p) of the factor is stored i · outer + p · inner elements after data.
  Panels(Element element, bool tf32, const void* data, int count, int k, int64_t outer, int64_t inner)
      : k(k), values(static_cast<size_t>(round_up(count, kWidth)) * k) {
    for (int i = 0; i < count; ++i) {
      float* panel = values.data() + (static_cast<size_t>(i / kWidth) * k) * kWidth + i % kWidth;
      for (int p = 0; p < k; ++p) {
        const int64_t at = i * outer + p * inner;
        const float value = element == Element::kBf16 ? to_float(static_cast<const bf16*>(data)[at])
                                                      : static_cast<const float*>(data)[at];
        panel[p * kWidth] = tf32 ? rounded_to_tf32(value) : value;
      }
    }
  }
  const float* panel(int first) const { return values.data() + static_cast<size_t>(first) * k; }
};

// sum (kTileRows, kTileColumns) of a panel of a and one of b, in the order of k
void multiply_tile(int k, const float* a, const float* b, float (&sum)[kTileRows][kTileColumns]) {
  typedef float Four __attribute__((vector_size(16)));
  static_assert(kTileColumns == 8);
  Four left[kTileRows] = {}, right[kTileRows] = {};
  for (int p = 0; p < k; ++p) {
    Four row[2];
    std::memcpy(row, b + p * kTileColumns, sizeof row);
#pragma GCC unroll 4
    for (int i = 0; i < kTileRows; ++i) {
      const float factor = a[p * kTileRows + i];
      left[i] += factor * row[0];
      right[i] += factor * row[1];
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kTileRows; ++i) {
    std::memcpy(sum[i], &left[i], sizeof left[i]);
    std::memcpy(sum[i] + 4, &right[i], sizeof right[i]);
  }
}

template <typename Out>
void write_tile(const GemmArgs& args, int row0, int column0, const float (&sum)[kTileRows][kTileColumns]) {
  for (int i = 0; i < std::min(kTileRows, args.m - row0); ++i) {
    Out* out = static_cast<Out*>(args.out) + static_cast<int64_t>(row0 + i) * args.out_stride + column0;
    for (int j = 0; j < std::min(kTileColumns, args.n - column0); ++j) {
      float value = sum[i][j];
      if (args.add) value += to_float(out[j]);
      if (args.bias) value += to_float(static_cast<const Out*>(args.bias)[column0 + j]);
      out[j] = from_float<Out>(value);
    }
  }
}

size_t stored_bytes(Element element, int rows, int columns, int stride) {
  return (static_cast<size_t>(rows - 1) * stride + columns) * (element == Element::kBf16 ? 2 : 4);
}

void check_ranges(const GemmArgs& args) {
  const auto check = [](const void* data, Element element, bool transpose, int rows, int columns, int stride,
                        bool write) {
    simt::check_device_range(
        data, stored_bytes(element, transpose ? columns : rows, transpose ? rows : columns, stride), write);
  };
  check(args.a, args.inp, args.transpose_a, args.m, args.k, args.a_stride, false);
  check(args.b, args.inp, args.transpose_b, args.k, args.n, args.b_stride, false);
  if (args.bias) check(args.bias, args.out_type, false, 1, args.n, args.n, false);
  for (int row = 0; row < args.m; ++row) {
    const size_t bytes = static_cast<size_t>(row) * args.out_stride * (args.out_type == Element::kBf16 ? 2 : 4);
    const void* out = static_cast<const char*>(args.out) + bytes;
    if (args.add) check(out, args.out_type, false, 1, args.n, args.n, false);
    check(out, args.out_type, false, 1, args.n, args.n, true);
  }
}

void multiply(const GemmArgs& args, bool tf32) {
  check_ranges(args);
  const Panels<kTileRows> a(args.inp, tf32, args.a, args.m, args.k, args.transpose_a ? 1 : args.a_stride,
                            args.transpose_a ? args.a_stride : 1);
  const Panels<kTileColumns> b(args.inp, tf32, args.b, args.n, args.k, args.transpose_b ? args.b_stride : 1,
                               args.transpose_b ? 1 : args.b_stride);
  float sum[kTileRows][kTileColumns];
  for (int column = 0; column < args.n; column += kTileColumns) {
    for (int row = 0; row < args.m; row += kTileRows) {
      multiply_tile(args.k, a.panel(row), b.panel(column), sum);
      if (args.out_type == Element::kBf16) {
        write_tile<bf16>(args, row, column, sum);
      } else {
        write_tile<float>(args, row, column, sum);
      }
    }
  }
}

class EmulatedGemm : public Gemm {
 public:
  explicit EmulatedGemm(bool tf32) : tf32_(tf32) {}

  bool run(const Context& context, const GemmArgs& args) override {
    // cuBLASLt takes any number of rows; this stands for whatever it has no algorithm for.
    if (args.m % 4 != 0) return false;
    const bool tf32 = tf32_ && args.inp == Element::kFloat;
    BERTUNE_CUDA(simt::host_task(context.stream, [args, tf32] { multiply(args, tf32); }, "gemm"));
    return true;
  }

  size_t workspace_bytes() const override { return 0; }

 private:
  bool tf32_;
};

}  // namespace

std::unique_ptr<Gemm> make_gemm(bool tf32) { return std::make_unique<EmulatedGemm>(tf32); }

BlasLibrary find_blas() { return {"emulated", ""}; }

}  // namespace bertune::cuda
