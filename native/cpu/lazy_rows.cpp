#include "cpu/lazy_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/memory.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// Elements that go through all their updates before the next ones do, so that they stay in the first-level cache.
constexpr int kChunk = 256;

template <typename T>
constexpr T kZeros[kChunk] = {};

template <typename To, typename From>
AdamwScalars<To> convert(const AdamwScalars<From>& s) {
  return {To(s.clip), To(s.decay),    To(s.beta2), To(s.one_minus_beta1), To(s.one_minus_beta2), To(s.root_correction2),
          To(s.eps),  To(s.step_size)};
}

// Whether an update of elements at rest comes down to p · decay and v · beta2.
template <typename T>
bool lets_rest(const AdamwScalars<T>& s) {
  const auto is_plain = [](T value) { return std::isfinite(value) && !std::signbit(value); };
  return is_plain(s.clip) && std::isfinite(s.decay) && is_plain(s.beta2) && is_plain(s.one_minus_beta1) &&
         is_plain(s.one_minus_beta2) && s.root_correction2 > 0 && s.eps > 0 && is_plain(s.step_size);
}

// Whether all bits are those of 0.
template <typename T>
bool is_blank(int count, const T* x) {
  return std::memcmp(x, kZeros<T>, count * sizeof(T)) == 0;
}

// Whether m is 0, so that it stays 0, and v a number that moves nothing.
template <typename T>
bool is_at_rest(int count, const T* m, const T* v) {
  int moving = 0;
#pragma omp simd reduction(| : moving)
  for (int i = 0; i < count; ++i) moving |= !(m[i] == 0) | !(v[i] >= 0);
  return moving == 0;
}

// x *= factor for each of the factors, one after the other.
template <typename T>
void scale(const T* factors, int factors_count, int count, T* x) {
  constexpr int kGroup = 64;  // as many as stay in registers
  int begin = 0;
  for (; begin + kGroup <= count; begin += kGroup) {
    T group[kGroup];
    std::copy_n(x + begin, kGroup, group);
    for (int f = 0; f < factors_count; ++f) {
#pragma omp simd
      for (int i = 0; i < kGroup; ++i) group[i] *= factors[f];
    }
    std::copy_n(group, kGroup, x + begin);
  }
  for (int f = 0; f < factors_count; ++f) {
    for (int i = begin; i < count; ++i) x[i] *= factors[f];
  }
}

template <typename T>
MemoryRange range(const T* begin, int64_t count) {
  return {begin, static_cast<size_t>(count) * sizeof(T)};
}

template <typename T>
T* scalars_at(const MemoryRange& memory, int64_t at) {
  return static_cast<T*>(const_cast<void*>(memory.begin)) + at;
}

}  // namespace

bool LazyRows::has(MemoryRange memory) const {
  return memory.overlaps(p_) || memory.overlaps(m_) || memory.overlaps(v_);
}

template <typename T>
void LazyRows::catch_up_row(int row, uint32_t last, uint32_t end) const {
  const int updates = static_cast<int>(end - last);
  if (updates == 0) return;
  T decays[kHistory], beta2s[kHistory];
  bool lets_rest = true;
  for (int i = 0; i < updates; ++i) {
    const Update& update = history_[(last + 1 + i) % kHistory];
    decays[i] = T(update.scalars.decay);
    beta2s[i] = T(update.scalars.beta2);
    lets_rest = lets_rest && update.lets_rest;
  }
  for (int begin = 0; begin < C_; begin += kChunk) {
    const int64_t at = static_cast<int64_t>(row) * C_ + begin;
    const int count = std::min(kChunk, C_ - begin);
    T* p = scalars_at<T>(p_, at);
    T* m = scalars_at<T>(m_, at);
    T* v = scalars_at<T>(v_, at);
    if (lets_rest && is_blank(count, m) && is_blank(count, v)) {
      scale(decays, updates, count, p);
    } else if (lets_rest && is_at_rest(count, m, v)) {
      scale(decays, updates, count, p);
      // An update adds 0 to m and to v, which makes 0 of −0.
      for (int i = 0; i < count; ++i) m[i] = T(0);
      for (int i = 0; i < count; ++i) v[i] += T(0);
      scale(beta2s, updates, count, v);
    } else {
      for (uint32_t u = last + 1; u != end + 1; ++u) {
        adamw_update(convert<T>(history_[u % kHistory].scalars), count, kZeros<T>, p, m, v);
      }
    }
  }
}

template <typename T>
void LazyRows::catch_up(const T* table, int rows, int C, const int32_t* ids, int count) {
  if (table != p_.begin || rows != rows_ || C != C_) return settle<T>(range(table, static_cast<int64_t>(rows) * C));
  late_.clear();
  late_.reserve(count);
  for (int i = 0; i < count; ++i) {
    const int32_t row = ids[i];
    if (last_[row] == updates_) continue;
    late_.push_back({row, last_[row]});
    last_[row] = updates_;
  }
  if (late_.empty()) return;
  pool_.run([&](int thread) {
    const Range share = even_split(static_cast<int>(late_.size()), pool_.threads(), thread);
    for (int i = share.begin; i < share.end; ++i) catch_up_row<T>(late_[i].row, late_[i].last, updates_);
  });
}

template <typename T>
void LazyRows::begin(const OptimizerSegment& segment, const MetRows& met, const AdamwScalars<T>& step) {
  const bool is_same = segment.weight == p_.begin && segment.m == m_.begin && segment.v == v_.begin &&
                       met.rows() == rows_ && met.C() == C_;
  if (!is_same) {
    settle<T>(p_);
    p_ = {};  // until nothing can fail any more
    last_.assign(met.rows(), updates_);
    p_ = range(scalars<T>(segment.weight), segment.count);
    m_ = range(scalars<T>(segment.m), segment.count);
    v_ = range(scalars<T>(segment.v), segment.count);
    rows_ = met.rows();
    C_ = met.C();
    // Moments of rows that are never met take no memory.
    for (const MemoryRange& moments : {m_, v_}) prefer_small_pages(moments);
  }
  history_[++updates_ % kHistory] = {convert<double>(step), lets_rest(step)};
}

template <typename T>
void LazyRows::update(int thread, const OptimizerSegment& segment, const MetRows& met) {
  const AdamwScalars<T> step = convert<T>(history_[updates_ % kHistory].scalars);
  const Range share = even_split(static_cast<int>(met.list().size()), pool_.threads(), thread);
  for (int i = share.begin; i < share.end; ++i) {
    const int row = met.list()[i];
    const int64_t at = static_cast<int64_t>(row) * C_;
    catch_up_row<T>(row, last_[row], updates_ - 1);
    adamw_update(step, C_, scalars<T>(segment.grad) + static_cast<int64_t>(met.place(row)) * C_, scalars_at<T>(p_, at),
                 scalars_at<T>(m_, at), scalars_at<T>(v_, at));
    last_[row] = updates_;
  }
  // Neighbors are often met together, so they go to different steps and threads.
  const int64_t stride = static_cast<int64_t>(kHistory) * pool_.threads();
  for (int64_t row = updates_ % kHistory + static_cast<int64_t>(kHistory) * thread; row < rows_; row += stride) {
    if (met.has(static_cast<int>(row))) continue;
    catch_up_row<T>(static_cast<int>(row), last_[row], updates_);
    last_[row] = updates_;
  }
}

template <typename T>
void LazyRows::settle(MemoryRange memory) {
  if (!has(memory)) return;
  constexpr int kGroup = 16;  // rows whose last_ are in one line of the cache
  pool_.run([&](int thread) {
    for (int64_t group = static_cast<int64_t>(thread) * kGroup; group < rows_; group += pool_.threads() * kGroup) {
      const int end = static_cast<int>(std::min<int64_t>(group + kGroup, rows_));
      for (int row = static_cast<int>(group); row < end; ++row) {
        catch_up_row<T>(row, last_[row], updates_);
        last_[row] = updates_;
      }
    }
  });
}

template <typename T>
void LazyRows::release(MemoryRange memory) {
  if (!has(memory)) return;
  settle<T>(memory);
  p_ = m_ = v_ = {};
}

#define BERTUNE_LAZY_ROWS(T)                                                                         \
  template void LazyRows::catch_up<T>(const T*, int, int, const int32_t*, int);                      \
  template void LazyRows::begin<T>(const OptimizerSegment&, const MetRows&, const AdamwScalars<T>&); \
  template void LazyRows::update<T>(int, const OptimizerSegment&, const MetRows&);                   \
  template void LazyRows::settle<T>(MemoryRange);                                                    \
  template void LazyRows::release<T>(MemoryRange);
BERTUNE_LAZY_ROWS(float)
BERTUNE_LAZY_ROWS(double)
#undef BERTUNE_LAZY_ROWS

}  // namespace bertune
