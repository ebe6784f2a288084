#include "cpu/weight_product.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/elements.h"
#include "core/error.h"
#include "cpu/context.h"
#include "cpu/memory.h"

namespace bertune {
namespace {

using onednn::Element;
using onednn::Layout;

// Inputs and outputs from which on oneDNN is asked: it was ahead of the BLAS wherever both were 64 or more.
constexpr int kLeastColumns = 64;
// The most products of bytes whose sum, and the zero's part of it, fit int32.
constexpr int kMostBytes = 32768;
// Rows from which on a weight that trains is multiplied as it is, by its rows; oneDNN has other code, and sums in another
// order, for fewer. By its columns only all of them are multiplied, which threads can then share by rows alone.
constexpr int kLeastPlainRows = 4;

int columns_of(const WeightForms& forms, Direction direction) {
  return direction == Direction::kForward ? forms.n : forms.k;
}
int depth_of(const WeightForms& forms, Direction direction) {
  return direction == Direction::kForward ? forms.k : forms.n;
}
// The operand is Wᵀ forward and W backward.
Layout layout_of(Direction direction) { return direction == Direction::kForward ? Layout::kColumns : Layout::kRows; }
// Where column `column` of the operand begins in W.
size_t offset_of(const WeightForms& forms, Direction direction, int column) {
  return direction == Direction::kForward ? static_cast<size_t>(column) * forms.k : column;
}

RowRange range_of(int count, const float* x) {
  float low = 0, high = 0, odd = 0;
#pragma omp simd reduction(min : low) reduction(max : high) reduction(+ : odd)
  for (int i = 0; i < count; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    odd += x[i] - x[i];  // 0, or NaN for what is not finite
  }
  const bool is_finite = odd == 0;
  const float scale = (high - low) / 255;
  if (!is_finite || !std::isfinite(scale)) return {std::numeric_limits<float>::quiet_NaN(), 0, 0};
  if (scale < std::numeric_limits<float>::min()) return {0, 0, 0};
  return {scale, 1 / scale, static_cast<int32_t>(std::lround(-low / scale))};
}

void quantize_row(int count, const float* x, RowRange range, uint8_t* q) {
  const float zero = static_cast<float>(range.zero);
#pragma omp simd
  for (int i = 0; i < count; ++i) {
    const float value = x[i] * range.inverse + zero + 0.5f;
    q[i] = static_cast<uint8_t>(static_cast<int32_t>(value > 0 ? (value < 255.f ? value : 255.f) : 0.f));
  }
}

// Rounded to 17 significant bits, so that its products with −127 .. 127 are exact: q · scale comes to the same q again.
float short_scale(float scale) {
  uint32_t bits;
  std::memcpy(&bits, &scale, sizeof bits);
  bits = (bits + 64) & ~uint32_t{127};
  std::memcpy(&scale, &bits, sizeof bits);
  return scale;
}

// q (count) of a weight's row, their sum, and its scale.
float quantize_weight(int count, const float* w, int8_t* q, int32_t* sum) {
  float most = 0, odd = 0;
  for (int i = 0; i < count; ++i) {
    most = std::max(most, std::fabs(w[i]));
    odd += w[i] - w[i];  // 0, or NaN for what is not finite
  }
  *sum = 0;
  const float scale = short_scale(most / 127);
  if (odd != 0 || scale < std::numeric_limits<float>::min()) {
    std::fill_n(q, count, int8_t{0});
    return odd == 0 ? 0 : std::numeric_limits<float>::quiet_NaN();
  }
  for (int i = 0; i < count; ++i) {
    q[i] = static_cast<int8_t>(std::clamp(std::lround(w[i] / scale), -127L, 127L));
    *sum += q[i];
  }
  return scale;
}

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

void to_bfloat_row(int count, const float* inp, uint16_t* out) {
#pragma omp simd
  for (int i = 0; i < count; ++i) out[i] = to_bfloat(inp[i]);
}

WeightProducts::WeightProducts(Element element, int threads)
    : element_(element), is_fast_(onednn::is_fast(element)), threads_(threads), products_(threads) {}

bool WeightProducts::takes(Direction direction, int n, int k) const {
  if (element_ == Element::kInt8 && (direction == Direction::kBackward || k > kMostBytes)) return false;
  return is_fast_ && std::min(n, k) >= kLeastColumns;
}

Range WeightProducts::slab(int columns, int thread) const {
  return even_split(columns, threads_, thread, kSlabMultiple);
}

int WeightProducts::most_rows(const WeightForms& forms, Direction direction) {
  return forms.form(direction).is_packed ? onednn::kPackedRows : onednn::kPlainRows;
}

WeightForms& WeightProducts::find(const float* weight, int n, int k) {
  for (const auto& forms : forms_) {
    if (forms->weight == weight && forms->n == n && forms->k == k) return *forms;
  }
  forms_.push_back(std::make_unique<WeightForms>());
  WeightForms& forms = *forms_.back();
  forms.weight = weight;
  forms.n = n;
  forms.k = k;
  return forms;
}

const WeightForms& WeightProducts::prepare(Context& context, Direction direction, const float* weight, int n, int k,
                                           int rows) {
  WeightForms& forms = find(weight, n, k);
  WeightForms::Form& form = forms.form(direction);
  if (form.is_packed) return forms;
  restore(forms.memory());
  const bool is_short = rows < kFewRows * threads_;
  const bool must = direction == Direction::kForward ? rows < kLeastPlainRows : is_short;
  const bool pays = is_short && (must || !forms.trains || form.is_used);
  if (pays || element_ == Element::kInt8) {
    pack(context, forms, direction);
    form.is_packed = true;
    if (direction == Direction::kForward) release(forms);
  } else if (element_ == Element::kBF16 && !forms.is_rounded) {
    round(context, forms);
    forms.is_rounded = true;
  }
  form.is_used = true;
  return forms;
}

void WeightProducts::round(Context& context, WeightForms& forms) {
  forms.bf16.resize(static_cast<size_t>(forms.n) * forms.k);
  context.pool.run([&](int thread) {
    const Range range = even_split(forms.n, threads_, thread);
    const size_t begin = static_cast<size_t>(range.begin) * forms.k;
    for (size_t row = 0; row < static_cast<size_t>(range.size()); ++row) {
      to_bfloat_row(forms.k, forms.weight + begin + row * forms.k, forms.bf16.data() + begin + row * forms.k);
    }
  });
}

void WeightProducts::pack(Context& context, WeightForms& forms, Direction direction) {
  WeightForms::Form& form = forms.form(direction);
  form.slabs.resize(threads_);
  if (element_ == Element::kInt8) {
    forms.scales.resize(forms.n);
    forms.sums.resize(forms.n);
  }
  context.pool.run([&](int thread) {
    const Range columns = slab(columns_of(forms, direction), thread);
    if (columns.empty()) return;
    std::unique_ptr<onednn::Packed>& packed = form.slabs[thread];
    if (!packed) {
      packed = std::make_unique<onednn::Packed>(element_, columns.size(), depth_of(forms, direction),
                                                layout_of(direction), forms.k);
    }
    const float* weight = forms.weight + offset_of(forms, direction, columns.begin);
    if (element_ != Element::kInt8) return packed->fill(weight);
    std::vector<int8_t> bytes(static_cast<size_t>(columns.size()) * forms.k);
    for (int row = 0; row < columns.size(); ++row) {
      const size_t begin = static_cast<size_t>(row) * forms.k;
      const int at = columns.begin + row;
      forms.scales[at] = quantize_weight(forms.k, weight + begin, bytes.data() + begin, &forms.sums[at]);
    }
    packed->fill(bytes.data());
  });
}

void WeightProducts::release(WeightForms& forms) {
  if (element_ == Element::kBF16 || forms.trains || forms.is_wanted) return;
  forms.released = release_pages(forms.memory());
  released_ += forms.released;
  if (element_ == Element::kInt8 && forms.released > 0) quantized_.push_back(forms.memory());
}

void WeightProducts::restore(WeightForms& forms) {
  // The weight is the session's, which lets nobody else write it.
  auto* weight = const_cast<float*>(forms.weight);
  std::vector<int8_t> bytes;
  for (int part = 0; part < threads_; ++part) {
    const Range rows = slab(forms.n, part);
    if (rows.empty()) continue;
    float* to = weight + static_cast<size_t>(rows.begin) * forms.k;
    if (element_ != Element::kInt8) {
      forms.forward.slabs[part]->read(to);
      continue;
    }
    bytes.resize(static_cast<size_t>(rows.size()) * forms.k);
    forms.forward.slabs[part]->read(bytes.data());
    for (int row = 0; row < rows.size(); ++row) {
      const float scale = forms.scales[rows.begin + row];
      const size_t begin = static_cast<size_t>(row) * forms.k;
      for (size_t i = begin; i < begin + forms.k; ++i) to[i] = scale * static_cast<float>(bytes[i]);
    }
  }
  released_ -= forms.released;
  forms.released = 0;
  forms.is_wanted = true;
}

void WeightProducts::restore(MemoryRange memory) {
  if (released_ == 0) return;
  for (const auto& each : forms_) {
    if (each->released > 0 && each->memory().overlaps(memory)) restore(*each);
  }
}

void WeightProducts::read(MemoryRange memory) {
  for (const MemoryRange& each : quantized_) {
    if (each.overlaps(memory)) {
      throw Error("INVALID_OPTION", "A model in int8 does not keep its weights; load it in fp32 to read them");
    }
  }
  restore(memory);
}

WeightProducts::Operand WeightProducts::take_in(Context& context, int thread, int rows, int depth, int most_columns,
                                                const float* a, int lda) {
  // oneDNN has fast code for matrices without gaps.
  const bool in_place = element_ == Element::kF32 && lda == depth;
  const size_t item = element_ == Element::kF32 ? 4 : element_ == Element::kBF16 ? 2 : 1;
  const size_t operand_bytes = in_place ? 0 : aligned(item * rows * depth);
  const size_t tile_bytes = aligned(sizeof(float) * rows * most_columns);
  const bool is_bytes = element_ == Element::kInt8;
  char* scratch = context.scratch<char>(
      thread, operand_bytes + tile_bytes + (is_bytes ? tile_bytes + aligned(sizeof(RowRange) * rows) : 0));
  Operand operand;
  operand.tile = reinterpret_cast<float*>(scratch + operand_bytes);
  operand.rows = in_place ? static_cast<const void*>(a) : scratch;
  if (is_bytes) {
    operand.sums = reinterpret_cast<int32_t*>(scratch + operand_bytes + tile_bytes);
    operand.ranges = reinterpret_cast<RowRange*>(scratch + operand_bytes + 2 * tile_bytes);
  }
  if (in_place) return operand;
  for (int row = 0; row < rows; ++row) {
    const float* x = a + static_cast<size_t>(row) * lda;
    char* to = scratch + item * row * depth;
    if (element_ == Element::kF32) {
      std::copy_n(x, depth, reinterpret_cast<float*>(to));
    } else if (element_ == Element::kBF16) {
      to_bfloat_row(depth, x, reinterpret_cast<uint16_t*>(to));
    } else {
      operand.ranges[row] = range_of(depth, x);
      quantize_row(depth, x, operand.ranges[row], reinterpret_cast<uint8_t*>(to));
    }
  }
  return operand;
}

void WeightProducts::multiply_slab(int thread, const WeightForms& forms, Direction direction, int rows, int part,
                                   const Operand& operand) {
  const int depth = depth_of(forms, direction);
  const Range columns = slab(columns_of(forms, direction), part);
  const auto& slabs = forms.form(direction).slabs;
  const int n = columns.size();
  const onednn::Product product{element_, rows, n, depth, false, false};
  onednn::Products& products = products_[thread];
  if (element_ != Element::kInt8) {
    products.multiply(product, operand.rows, *slabs[part], operand.tile);
    return;
  }
  products.multiply(product, operand.rows, *slabs[part], operand.sums);
  const float* scales = forms.scales.data() + columns.begin;
  const int32_t* weight_sums = forms.sums.data() + columns.begin;
  for (int row = 0; row < rows; ++row) {
    const RowRange range = operand.ranges[row];
    const int32_t* sums = operand.sums + static_cast<size_t>(row) * n;
    float* tile = operand.tile + static_cast<size_t>(row) * n;
#pragma omp simd
    for (int i = 0; i < n; ++i) {
      tile[i] = range.scale * scales[i] * static_cast<float>(sums[i] - range.zero * weight_sums[i]);
    }
  }
}

void WeightProducts::multiply_plain(int thread, const WeightForms& forms, Direction direction, int rows, Range columns,
                                    const void* a, float* c) {
  const size_t begin = offset_of(forms, direction, columns.begin);
  const void* weight = element_ == Element::kBF16 ? static_cast<const void*>(forms.bf16.data() + begin)
                                                  : static_cast<const void*>(forms.weight + begin);
  products_[thread].multiply({element_, rows, columns.size(), depth_of(forms, direction), false, false}, a,
                             layout_of(direction), weight, forms.k, c);
}

size_t WeightProducts::bytes() const {
  size_t bytes = 0;
  for (const auto& each : forms_) {
    bytes += each->bf16.capacity() * sizeof(uint16_t) + each->scales.size() * (sizeof(float) + sizeof(int32_t));
    for (const WeightForms::Form* form : {&each->forward, &each->backward}) {
      for (const auto& slab : form->slabs) bytes += slab ? slab->bytes() : 0;
    }
  }
  return bytes;
}

void WeightProducts::written(MemoryRange memory) {
  for (const auto& each : forms_) {
    if (each->released == 0 || !each->memory().overlaps(memory)) continue;
    if (memory.covers(each->memory())) {
      released_ -= each->released;
    } else {
      restore(*each);
    }
  }
  std::erase_if(forms_, [&](const auto& each) { return each->memory().overlaps(memory); });
  std::erase_if(quantized_, [&](const MemoryRange& each) { return memory.covers(each); });
}

void WeightProducts::trained(MemoryRange memory) {
  for (const auto& each : forms_) {
    if (!each->memory().overlaps(memory)) continue;
    if (each->released > 0) restore(*each);
    each->trains = true;
    each->is_rounded = false;
    for (WeightForms::Form* form : {&each->forward, &each->backward}) {
      form->is_used = false;
      form->is_packed = false;
    }
  }
}

}  // namespace bertune
