// What the attention kernels share: which rows a head of a sequence reads, how they get into shared memory, which
// probabilities dropout keeps, and zeros for padding.
//
// Keys are numbered from 0 through the prefix and on through the sequence's own, and tiles of them run across the seam.
#pragma once

#include <cmath>
#include <type_traits>

#include "core/attention_draws.h"
#include "cuda/context.h"
#include "cuda/mma.cuh"
#include "cuda/reduce.cuh"

namespace bertune::cuda {

// exp(x) = 2^(x · log2 e), which is what the hardware computes.
constexpr float kLog2e = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;
// The score of a key that is not there. Finite, so that the difference of two of them is a number.
constexpr float kNoScore = -3e38f;
// Shared memory that a block may use on every device from sm_80 on.
constexpr size_t kMaxSharedBytes = 99 * 1024;

// What both directions read.
template <typename T>
struct AttentionInputs {
  int B, tokens;  // padded
  int C, NH, HS, P;
  int q_stride, kv_stride, prefix_stride;
  float scale;                // 1 / √HS
  const int32_t* cu_seqlens;  // (B + 1)
  const T* q;                 // (tokens,C) or (B,C)
  const T* k;                 // (tokens,C)
  const T* v;                 // (tokens,C)
  const T* prefix_k;          // (P,C)
  const T* prefix_v;          // (P,C)
};

template <typename T>
AttentionInputs<T> attention_inputs(const Batch& batch, const AttentionForward& args) {
  const int HS = args.C / args.NH;
  return {batch.B,
          batch.T,
          args.C,
          args.NH,
          HS,
          args.P,
          args.q_stride,
          args.kv_stride,
          args.prefix_stride,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(HS))),
          batch.cu_seqlens,
          scalars<T>(args.q),
          scalars<T>(args.k),
          scalars<T>(args.v),
          scalars<T>(args.prefix_k),
          scalars<T>(args.prefix_v)};
}

// Elements of a 16-byte access.
template <typename T>
constexpr int kAccess = 16 / static_cast<int>(sizeof(T));

// True where each head's part of each row can be read 16 bytes at a time.
template <typename T>
bool heads_are_vectorizable(const AttentionInputs<T>& in) {
  constexpr int N = kAccess<T>;
  return is_vectorizable<N>(in.q, in.HS, in.q_stride) && is_vectorizable<N>(in.k, in.HS, in.kv_stride) &&
         is_vectorizable<N>(in.v, in.HS, in.kv_stride) && is_vectorizable<N>(in.prefix_k, in.HS, in.prefix_stride) &&
         is_vectorizable<N>(in.prefix_v, in.HS, in.prefix_stride);
}

// Calls launch(head size of the instance, vectors or not), both as types.
template <typename Launch>
void with_head_size(int HS, bool vectors, Launch launch) {
  const auto with_size = [&](auto size) { vectors ? launch(size, std::true_type()) : launch(size, std::false_type()); };
  if (HS <= 32) {
    with_size(std::integral_constant<int, 32>());
  } else if (HS <= 64) {
    with_size(std::integral_constant<int, 64>());
  } else {
    with_size(std::integral_constant<int, 128>());
  }
}

constexpr __host__ __device__ int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// What a block works on: tile `tile` of one head of one sequence.
struct HeadTile {
  int sequence, head, tile;
  int begin, length;  // of the sequence, in tokens
  int live;           // tokens of all sequences
};

// blockIdx.x counts heads, then the tiles of a sequence, then sequences.
template <typename T>
__device__ __forceinline__ HeadTile head_tile(const AttentionInputs<T>& in, int tiles) {
  const int block = static_cast<int>(blockIdx.x);
  HeadTile at;
  at.head = block % in.NH;
  at.tile = block / in.NH % tiles;
  at.sequence = block / in.NH / tiles;
  at.begin = in.cu_seqlens[at.sequence];
  at.length = in.cu_seqlens[at.sequence + 1] - at.begin;
  at.live = in.cu_seqlens[in.B];
  return at;
}

// Rows of one head that lie `stride` apart.
template <typename T>
struct HeadRows {
  T* first;
  int stride;

  __device__ __forceinline__ T* operator()(int row) const { return first + static_cast<int64_t>(row) * stride; }
};

template <typename T>
__device__ __forceinline__ HeadRows<T> head_rows(T* array, int stride, int row, int column) {
  return {array + static_cast<int64_t>(row) * stride + column, stride};
}

// Rows of the keys, or of the values, of one head, from key `first` on.
template <typename T>
struct KeyRows {
  const T* own;
  const T* prefix;
  int own_stride, prefix_stride;
  int P, first;

  __device__ __forceinline__ const T* operator()(int row) const {
    const int key = first + row;
    return key < P ? prefix + static_cast<int64_t>(key) * prefix_stride
                   : own + static_cast<int64_t>(key - P) * own_stride;
  }
};

template <typename T>
__device__ __forceinline__ KeyRows<T> key_rows(const AttentionInputs<T>& in, const HeadTile& at, const T* own,
                                               const T* prefix, int first) {
  const int column = at.head * in.HS;
  return {own + static_cast<int64_t>(at.begin) * in.kv_stride + column,
          prefix + column,
          in.kv_stride,
          in.prefix_stride,
          in.P,
          first};
}

// Starts the copy of `valid` rows of HS elements into a tile of `rows` rows of kHS, zeros elsewhere. It has arrived
// after cp_async_wait and a barrier.
template <typename T, int kHS, bool kVectors, typename Rows>
__device__ __forceinline__ void copy_rows(T* tile /* (rows, pitch of kHS) */, int rows, int valid, int HS,
                                          const Rows& source) {
  constexpr int kPitch = shared_pitch<T>(kHS);
  if constexpr (kVectors) {
    constexpr int kAccesses = kHS / kAccess<T>;
    for (int i = static_cast<int>(threadIdx.x); i < rows * kAccesses; i += static_cast<int>(blockDim.x)) {
      const int row = i / kAccesses, column = i % kAccesses * kAccess<T>;
      const bool inside = row < valid && column < HS;
      simt::cp_async16(tile + row * kPitch + column, source(inside ? row : 0) + (inside ? column : 0), inside);
    }
  } else {
    for (int i = static_cast<int>(threadIdx.x); i < rows * kHS; i += static_cast<int>(blockDim.x)) {
      const int row = i / kHS, column = i % kHS;
      tile[row * kPitch + column] = row < valid && column < HS ? source(row)[column] : from_float<T>(0.f);
    }
  }
}

// Turns to the next tile: its copy is under way where there are two stages for tiles, and is started now, by `start`,
// where there is one.
template <typename Start>
__device__ __forceinline__ void turn_to_next_tile(bool has_stages, int& stage, const Start& start) {
  if (has_stages) {
    stage ^= 1;
  } else {
    __syncthreads();  // all have done with the tile
    start();
  }
  simt::cp_async_wait<0>();
  __syncthreads();  // with two stages: and all have done with the tile before
}

// Elements column .. column + N − 1 of a row of HS; zeros beyond it, or where there is no such row.
template <bool kVectors, int N, typename T>
__device__ __forceinline__ void load_part(float (&out)[N], const T* row, int column, int HS, bool inside) {
  if constexpr (kVectors) {
    if (inside && column < HS) {
      load_floats<N>(out, row + column);
    } else {
#pragma unroll
      for (int i = 0; i < N; ++i) out[i] = 0.f;
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) out[i] = inside && column + i < HS ? to_float(row[column + i]) : 0.f;
  }
}

template <bool kVectors, int N, typename T>
__device__ __forceinline__ void store_part(T* row, int column, int HS, const float (&inp)[N]) {
  if constexpr (kVectors) {
    if (column < HS) store_floats<N>(row + column, inp);
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      if (column + i < HS) row[column + i] = from_float<T>(inp[i]);
    }
  }
}

// The same of a row of an accumulator: two neighbours.
template <bool kVectors, typename T>
__device__ __forceinline__ void store_pair(T* row, int column, int HS, float left, float right) {
  const float pair[2] = {left, right};
  store_part<kVectors>(row, column, HS, pair);
}

template <typename T>
__device__ __forceinline__ void store_pair(T* at, float left, float right) {
  const float pair[2] = {left, right};
  store_floats<2>(at, pair);
}

// Zeros in the rows of padding: each block of one of `B` sequences takes its share of rows live .. rows − 1 of a head.
template <typename T>
__device__ __forceinline__ void clear_padding(T* array /* null: nothing */, int stride, int rows, int columns,
                                              int first_column, const HeadTile& at, int B) {
  if (!array) return;
  for (int row = at.live + at.sequence; row < rows; row += B) {
    for (int c = static_cast<int>(threadIdx.x); c < columns; c += static_cast<int>(blockDim.x)) {
      array[static_cast<int64_t>(row) * stride + first_column + c] = from_float<T>(0.f);
    }
  }
}

// Zeros in the prefix partials (B,P,2C) of a sequence that is not there, of one head.
__device__ __forceinline__ void clear_partials(float* partials /* null: nothing */, int P, int C, int HS,
                                               const HeadTile& at) {
  if (!partials) return;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * P * HS; i += static_cast<int>(blockDim.x)) {
    partials[(2LL * at.sequence * P + i / HS) * C + at.head * HS + i % HS] = 0.f;
  }
}

// Attention's own dropout: core/attention_draws.h says what decides an element.
struct AttentionDropout {
  DropoutMask rows;    // where rows of elements stand
  uint32_t threshold;  // 0: nothing is dropped
  float scale;         // of what is kept

  __device__ __forceinline__ bool on() const { return threshold != 0; }

  __device__ __forceinline__ PhiloxWords words(DropoutPlace at, uint32_t group) const {
    return dropout_words(rows.state->step.seed, at.step, rows.site, at.row, group);
  }

  // Of a word, its half for even keys (0) or for odd ones (1).
  __device__ __forceinline__ bool keeps(uint32_t word, int half) const {
    return (half == 0 ? word << 16 : word) >= threshold;
  }

  // The factor of one element, 0 or `scale`.
  __device__ __forceinline__ float factor(uint32_t row, uint32_t key) const {
    if (!on()) return 1.f;
    const PhiloxWords four = words(rows.place(row), attention_group(key));
    // Selected by comparison: an array indexed at run time would go to local memory.
    const uint32_t word = key & 16 ? (key & 8 ? four.word[3] : four.word[2]) : (key & 8 ? four.word[1] : four.word[0]);
    return keeps(word, static_cast<int>(key % 2)) ? scale : 0.f;
  }
};

inline AttentionDropout attention_dropout(const Context& context, const AttentionForward& args) {
  const RowKind kind = args.first_only ? RowKind::kSequences : RowKind::kTokens;
  const double p = args.dropout.p;
  return {context.dropout(args.dropout, kind, args.NH), attention_threshold(p),
          static_cast<float>(attention_dropout_scale(p))};
}

// The draws of what a lane holds of 16 rows and 32 keys in an accumulator: those of a row are one call's.
class LaneDraws {
 public:
  __device__ __forceinline__ explicit LaneDraws(const AttentionDropout& dropout) : dropout_(dropout) {}

  // Of queries from `query_row` on, of which `rows` are there; `row` and row + 8 are this lane's.
  __device__ __forceinline__ void set_rows(int query_row, int row, int rows, int NH, int head) {
    if (!dropout_.on()) return;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      place_[half] =
          dropout_.rows.place(static_cast<uint32_t>((query_row + min(row + 8 * half, rows - 1)) * NH + head));
    }
  }

  // Of keys `key` .. + 31, a multiple of 32.
  __device__ __forceinline__ void make(int key) {
    const uint32_t group = attention_group(static_cast<uint32_t>(key)) + (threadIdx.x & 3);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      words_[half] = dropout_.words(place_[half], group);
    }
  }

  // Whether element i of acc[j] is kept, j < 4.
  __device__ __forceinline__ bool keeps(int j, int i) const { return dropout_.keeps(words_[i / 2].word[j], i % 2); }

 private:
  const AttentionDropout& dropout_;
  DropoutPlace place_[2];
  PhiloxWords words_[2];
};

constexpr __host__ __device__ int kept_pitch(int keys) { return round_up(keys, 32) / 8; }

// Which probabilities of a tile dropout keeps: a byte a call, made while the tile's rows are on their way.
struct KeptTile {
  uint8_t* groups;  // (rows, pitch)
  int pitch;        // kept_pitch(keys)
  bool on;

  // Bit 0: keeps (row, key); bit 1: (row, key + 1), where key is even; bit 2: (row, key + 8), where key / 8 is.
  __device__ __forceinline__ unsigned bits(int row, int key) const {
    if (!on) return ~0u;
    const int group = static_cast<int>(attention_group(static_cast<uint32_t>(key)));
    return static_cast<unsigned>(groups[row * pitch + group]) >> (2 * (key / 8 % 4) + key % 2);
  }
};

// Rows are queries from `query_row` of q on, keys those from `first_key`, a multiple of 32, on. Of the rows from `rows`
// to `padded` none is kept.
__device__ __forceinline__ void make_kept(const KeptTile& kept, const AttentionDropout& dropout, int rows, int padded,
                                          int keys, int query_row, int NH, int head, int first_key) {
  if (!kept.on) return;
  const int groups = kept_pitch(keys);
  for (int i = static_cast<int>(threadIdx.x); i < padded * groups; i += static_cast<int>(blockDim.x)) {
    const int row = i / groups, group = i % groups;
    unsigned bits = 0;
    if (row < rows) {
      const PhiloxWords words =
          dropout.words(dropout.rows.place(static_cast<uint32_t>((query_row + row) * NH + head)),
                        attention_group(static_cast<uint32_t>(first_key)) + static_cast<uint32_t>(group));
#pragma unroll
      for (int bit = 0; bit < 8; ++bit) bits |= (dropout.keeps(words.word[bit / 2], bit % 2) ? 1u : 0u) << bit;
    }
    kept.groups[row * kept.pitch + group] = static_cast<uint8_t>(bits);
  }
}

// Sums and maxima over the four lanes that hold a row of an accumulator.
__device__ __forceinline__ float quad_sum(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}
__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, 1));
  return fmaxf(value, __shfl_xor_sync(kAllLanes, value, 2));
}

}  // namespace bertune::cuda
