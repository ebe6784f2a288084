// In tiles of dᵀ, which is what callers with row-major matrices call their output.
#include "product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "simt_types.h"

namespace stand_in {
namespace {

using bf16 = __nv_bfloat16;

constexpr int kTileRows = 4, kTileColumns = 8;

int64_t round_up(int64_t value, int unit) { return (value + unit - 1) / unit * unit; }

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
  int64_t k;
  std::vector<float> values;

  // Element (i, p) of the factor is stored i · outer + p · inner elements after data.
  Panels(cudaDataType_t type, bool tf32, const void* data, int64_t count, int64_t k, int64_t outer, int64_t inner)
      : k(k), values(static_cast<size_t>(round_up(count, kWidth) * k)) {
    if (type == CUDA_R_16BF) {
      fill(static_cast<const bf16*>(data), false, count, outer, inner);
    } else {
      fill(static_cast<const float*>(data), tf32, count, outer, inner);
    }
  }
  const float* panel(int64_t first) const { return values.data() + first * k; }

 private:
  template <typename T>
  void fill(const T* data, bool tf32, int64_t count, int64_t outer, int64_t inner) {
    for (int64_t i = 0; i < count; ++i) {
      float* panel = values.data() + i / kWidth * k * kWidth + i % kWidth;
      for (int64_t p = 0; p < k; ++p) {
        const float value = static_cast<float>(data[i * outer + p * inner]);
        panel[p * kWidth] = tf32 ? rounded_to_tf32(value) : value;
      }
    }
  }
};

// sum (kTileRows, kTileColumns) of a panel of a and one of b, in the order of k
void multiply_tile(int64_t k, const float* a, const float* b, float (&sum)[kTileRows][kTileColumns]) {
  typedef float Four __attribute__((vector_size(16)));
  static_assert(kTileColumns == 8);
  Four left[kTileRows] = {}, right[kTileRows] = {};
  for (int64_t p = 0; p < k; ++p) {
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

// Tile (rows, columns) of dᵀ.
template <typename Out>
void write_tile(const Product& product, int64_t row0, int64_t column0, const float (&sum)[kTileRows][kTileColumns]) {
  const Matrix& d = product.d_layout;
  for (int64_t i = 0; i < std::min<int64_t>(kTileRows, d.columns - row0); ++i) {
    Out* out = static_cast<Out*>(product.d) + (row0 + i) * d.stride + column0;
    for (int64_t j = 0; j < std::min<int64_t>(kTileColumns, d.rows - column0); ++j) {
      float value = product.alpha * sum[i][j];
      if (product.beta != 0.f) value += product.beta * static_cast<float>(out[j]);
      if (product.bias) value += static_cast<float>(static_cast<const Out*>(product.bias)[column0 + j]);
      out[j] = Out(value);
    }
  }
}

void check_ranges(const Product& product) {
  const auto check_factor = [](const void* data, const Matrix& layout) {
    const int64_t elements = (layout.columns - 1) * layout.stride + layout.rows;
    simt::check_device_range(data, static_cast<size_t>(elements) * element_bytes(layout.type), false);
  };
  check_factor(product.a, product.a_layout);
  check_factor(product.b, product.b_layout);
  const Matrix& d = product.d_layout;
  const size_t column_bytes = static_cast<size_t>(d.rows) * element_bytes(d.type);
  if (product.bias) simt::check_device_range(product.bias, column_bytes, false);
  for (int64_t column = 0; column < d.columns; ++column) {
    const char* out =
        static_cast<const char*>(product.d) + column * d.stride * static_cast<int64_t>(element_bytes(d.type));
    if (product.beta != 0.f) simt::check_device_range(out, column_bytes, false);
    simt::check_device_range(out, column_bytes, true);
  }
}

}  // namespace

size_t element_bytes(cudaDataType_t type) { return type == CUDA_R_16BF ? 2 : 4; }

void multiply(const Product& product) {
  check_ranges(product);
  const Matrix &a = product.a_layout, &b = product.b_layout, &d = product.d_layout;
  const int64_t k = product.transpose_a ? a.rows : a.columns;
  const Panels<kTileRows> rows(b.type, product.tf32, product.b, d.columns, k, product.transpose_b ? 1 : b.stride,
                               product.transpose_b ? b.stride : 1);
  const Panels<kTileColumns> columns(a.type, product.tf32, product.a, d.rows, k, product.transpose_a ? a.stride : 1,
                                     product.transpose_a ? 1 : a.stride);
  float sum[kTileRows][kTileColumns];
  for (int64_t column = 0; column < d.rows; column += kTileColumns) {
    for (int64_t row = 0; row < d.columns; row += kTileRows) {
      multiply_tile(k, rows.panel(row), columns.panel(column), sum);
      if (d.type == CUDA_R_16BF) {
        write_tile<bf16>(product, row, column, sum);
      } else {
        write_tile<float>(product, row, column, sum);
      }
    }
  }
}

}  // namespace stand_in
