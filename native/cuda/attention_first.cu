// Attention of the first token of each sequence only, forward and backward: one query a head and sequence, so that
// every product is one of a matrix and a vector and all is bound by reading keys and values once.
//
//   q (B,C), k, v (T,C) → out (B,C), lse (B,NH)
//
// A block takes one head of a sequence. Lanes side by side hold 16 bytes each of a row; such a slot takes every
// kSlots-th key, two at a time, and has a softmax of its own keys: maximum m, sum l of exponentials, sum of values. At
// the end these are put together, within warps and then across them. Backward likewise, but only dq has to be summed.
#include "cuda/attention_first.h"
#include "cuda/attention_tiles.cuh"

namespace bertune::cuda {
namespace {

constexpr int kFirstWarps = 8;
constexpr int kFirstThreads = 32 * kFirstWarps;
constexpr int kAhead = 2;  // keys that a slot reads at once

// Where a thread stands: `column` of the keys slot, slot + kSlots, ...
template <typename T, int kHS>
struct Slot {
  static constexpr int kLanes = kHS / kAccess<T>;
  static constexpr int kSlots = kFirstThreads / kLanes;

  int slot = static_cast<int>(threadIdx.x) / kLanes;
  int column = static_cast<int>(threadIdx.x) % kLanes * kAccess<T>;

  // Over the lanes of the slot.
  static __device__ __forceinline__ float sum(float value) {
#pragma unroll
    for (int offset = kLanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kAllLanes, value, offset);
    return value;
  }
};

template <int N>
__device__ __forceinline__ float dot(const float (&a)[N], const float (&b)[N]) {
  float sum = 0.f;
#pragma unroll
  for (int i = 0; i < N; ++i) sum += a[i] * b[i];
  return sum;
}

// The zeros that a sequence of padding leaves in its row.
template <typename T>
__device__ __forceinline__ void clear_row(T* array /* null: nothing */, int stride, int columns, int first_column,
                                          int row) {
  if (!array) return;
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += kFirstThreads) {
    array[static_cast<int64_t>(row) * stride + first_column + c] = from_float<T>(0.f);
  }
}

// grid (B · NH), block 256. out (B,C), lse (B,NH)
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(kFirstThreads)
    attention_first_forward_kernel(AttentionInputs<T> in, AttentionDropout dropout, T* out, float* lse) {
  simt::wait_for_previous();
  using Place = Slot<T, kHS>;
  constexpr int N = kAccess<T>;
  SHARED(warp_m, float[kFirstWarps]);
  SHARED(warp_l, float[kFirstWarps]);
  SHARED(warp_acc, float[kFirstWarps][kHS]);
  const HeadTile at = head_tile(in, 1);
  const int first_column = at.head * in.HS;
  if (at.length == 0) {
    clear_row(out, in.C, in.HS, first_column, at.sequence);
    clear_row(lse, in.NH, 1, at.head, at.sequence);
    return;
  }
  const Place place;
  const int S = in.P + at.length;
  const KeyRows<T> k = key_rows(in, at, in.k, in.prefix_k, 0), v = key_rows(in, at, in.v, in.prefix_v, 0);

  float q[N];
  load_part<kVectors>(q, head_rows(in.q, in.q_stride, at.sequence, first_column)(0), place.column, in.HS, true);
  float m = kNoScore, l = 0.f, acc[N] = {};
  for (int first = 0; first < S; first += kAhead * Place::kSlots) {
    float keys[kAhead][N], values[kAhead][N];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int key = first + a * Place::kSlots + place.slot;
      load_part<kVectors>(keys[a], k(min(key, S - 1)), place.column, in.HS, key < S);
      load_part<kVectors>(values[a], v(min(key, S - 1)), place.column, in.HS, key < S);
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int key = first + a * Place::kSlots + place.slot;
      const float score = Place::sum(dot(q, keys[a])) * (in.scale * kLog2e);
      if (key >= S) continue;
      const float most = fmaxf(m, score), shrink = exp2f(m - most), p = exp2f(score - most);
      const float kept =
          p * dropout.factor(static_cast<uint32_t>(at.sequence * in.NH + at.head), static_cast<uint32_t>(key));
      m = most;
      l = l * shrink + p;
#pragma unroll
      for (int i = 0; i < N; ++i) acc[i] = acc[i] * shrink + kept * values[a][i];
    }
  }

  // Of the slots of a warp.
#pragma unroll
  for (int offset = Place::kLanes; offset < 32; offset *= 2) {
    const float other = __shfl_xor_sync(kAllLanes, m, offset), most = fmaxf(m, other);
    const float shrink = exp2f(m - most), shrink_other = exp2f(other - most);
    m = most;
    l = l * shrink + __shfl_xor_sync(kAllLanes, l, offset) * shrink_other;
#pragma unroll
    for (int i = 0; i < N; ++i) acc[i] = acc[i] * shrink + __shfl_xor_sync(kAllLanes, acc[i], offset) * shrink_other;
  }
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  if (lane < Place::kLanes) {
#pragma unroll
    for (int i = 0; i < N; ++i) warp_acc[warp][place.column + i] = acc[i];
    if (lane == 0) {
      warp_m[warp] = m;
      warp_l[warp] = l;
    }
  }
  __syncthreads();
  const int c = static_cast<int>(threadIdx.x);
  if (c >= in.HS) return;
  float most = kNoScore, sum = 0.f, value = 0.f;
#pragma unroll
  for (int w = 0; w < kFirstWarps; ++w) most = fmaxf(most, warp_m[w]);
#pragma unroll
  for (int w = 0; w < kFirstWarps; ++w) {
    const float shrink = exp2f(warp_m[w] - most);
    sum += warp_l[w] * shrink;
    value += warp_acc[w][c] * shrink;
  }
  out[static_cast<int64_t>(at.sequence) * in.C + first_column + c] = from_float<T>(value / sum);
  if (c == 0) lse[static_cast<int64_t>(at.sequence) * in.NH + at.head] = most * kLn2 + logf(sum);
}

// What backward reads and writes beside AttentionInputs; gradients that are null are not wanted.
template <typename T>
struct FirstArrays {
  const T* out;      // (B,C)
  const T* dout;     // (B,C)
  const float* lse;  // (B,NH)
  T* dq;             // (B,C) like q
  T* dk;             // (tokens,C) like k
  T* dv;             // (tokens,C) like v
  float* partials;   // (B,P,2C)
};

// grid (B · NH), block 256. The second launch bound, of blocks a multiprocessor, keeps registers from spilling.
template <typename T, int kHS, bool kVectors>
__global__ void __launch_bounds__(kFirstThreads, sizeof(T) == 2 ? 2 : 3)
    attention_first_backward_kernel(AttentionInputs<T> in, FirstArrays<T> arrays, AttentionDropout dropout) {
  simt::wait_for_previous();
  using Place = Slot<T, kHS>;
  constexpr int N = kAccess<T>;
  SHARED(warp_dq, float[kFirstWarps][kHS]);
  const HeadTile at = head_tile(in, 1);
  const int first_column = at.head * in.HS;
  clear_padding(arrays.dk, in.kv_stride, in.tokens, in.HS, first_column, at, in.B);
  clear_padding(arrays.dv, in.kv_stride, in.tokens, in.HS, first_column, at, in.B);
  if (at.length == 0) {
    clear_row(arrays.dq, in.q_stride, in.HS, first_column, at.sequence);
    clear_partials(arrays.partials, in.P, in.C, in.HS, at);
    return;
  }
  const Place place;
  const int S = in.P + at.length;
  const KeyRows<T> k = key_rows(in, at, in.k, in.prefix_k, 0), v = key_rows(in, at, in.v, in.prefix_v, 0);

  float q[N], out[N], dout[N], dq[N] = {};
  load_part<kVectors>(q, head_rows(in.q, in.q_stride, at.sequence, first_column)(0), place.column, in.HS, true);
  load_part<kVectors>(out, head_rows(arrays.out, in.C, at.sequence, first_column)(0), place.column, in.HS, true);
  load_part<kVectors>(dout, head_rows(arrays.dout, in.C, at.sequence, first_column)(0), place.column, in.HS, true);
  const float lse = arrays.lse[static_cast<int64_t>(at.sequence) * in.NH + at.head] * kLog2e;
  const float D = Place::sum(dot(dout, out));
  for (int first = 0; first < S; first += kAhead * Place::kSlots) {
    float keys[kAhead][N], values[kAhead][N];
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int key = first + a * Place::kSlots + place.slot;
      load_part<kVectors>(keys[a], k(min(key, S - 1)), place.column, in.HS, key < S);
      load_part<kVectors>(values[a], v(min(key, S - 1)), place.column, in.HS, key < S);
    }
#pragma unroll
    for (int a = 0; a < kAhead; ++a) {
      const int key = first + a * Place::kSlots + place.slot;
      const float score = Place::sum(dot(q, keys[a])), dprob = Place::sum(dot(dout, values[a]));
      if (key >= S) continue;
      const float p = exp2f(score * (in.scale * kLog2e) - lse);
      const float factor =
          dropout.factor(static_cast<uint32_t>(at.sequence * in.NH + at.head), static_cast<uint32_t>(key));
      const float dscore = p * (factor * dprob - D) * in.scale;
      float dkey[N], dvalue[N];
#pragma unroll
      for (int i = 0; i < N; ++i) {
        dq[i] += dscore * keys[a][i];
        dkey[i] = dscore * q[i];
        dvalue[i] = p * factor * dout[i];
      }
      if (key < in.P) {
        if (!arrays.partials) continue;
        float* to = arrays.partials + (static_cast<int64_t>(at.sequence) * in.P + key) * 2 * in.C + first_column;
        store_part<kVectors>(to, place.column, in.HS, dkey);
        store_part<kVectors>(to + in.C, place.column, in.HS, dvalue);
      } else {
        const int64_t to = static_cast<int64_t>(at.begin + key - in.P) * in.kv_stride + first_column;
        if (arrays.dk) store_part<kVectors>(arrays.dk + to, place.column, in.HS, dkey);
        if (arrays.dv) store_part<kVectors>(arrays.dv + to, place.column, in.HS, dvalue);
      }
    }
  }
  if (!arrays.dq) return;

#pragma unroll
  for (int offset = Place::kLanes; offset < 32; offset *= 2) {
#pragma unroll
    for (int i = 0; i < N; ++i) dq[i] += __shfl_xor_sync(kAllLanes, dq[i], offset);
  }
  const int warp = static_cast<int>(threadIdx.x >> 5), lane = static_cast<int>(threadIdx.x & 31);
  if (lane < Place::kLanes) {
#pragma unroll
    for (int i = 0; i < N; ++i) warp_dq[warp][place.column + i] = dq[i];
  }
  __syncthreads();
  const int c = static_cast<int>(threadIdx.x);
  if (c >= in.HS) return;
  float sum = 0.f;
#pragma unroll
  for (int w = 0; w < kFirstWarps; ++w) sum += warp_dq[w][c];
  arrays.dq[static_cast<int64_t>(at.sequence) * in.q_stride + first_column + c] = from_float<T>(sum);
}

}  // namespace

template <typename T>
void attention_first_forward(Context& context, const AttentionForward& args) {
  const AttentionInputs<T> in = attention_inputs<T>(context.batch, args);
  with_head_size(in.HS, heads_are_vectorizable(in), [&](auto size, auto with_vectors) {
    context.launch(attention_first_forward_kernel<T, decltype(size)::value, decltype(with_vectors)::value>,
                   dim3(static_cast<unsigned>(in.B * in.NH)), dim3(kFirstThreads), 0, in,
                   attention_dropout(context, args), scalars<T>(args.out), floats(args.lse));
  });
}

template <typename T>
void attention_first_backward(Context& context, const AttentionBackward& args) {
  const AttentionForward& forward = args.forward;
  const AttentionInputs<T> in = attention_inputs<T>(context.batch, forward);
  const FirstArrays<T> arrays{scalars<T>(static_cast<const Real*>(forward.out)),
                              scalars<T>(args.dout),
                              floats(static_cast<const Acc*>(forward.lse)),
                              scalars<T>(args.dq),
                              scalars<T>(args.dk),
                              scalars<T>(args.dv),
                              in.P > 0 ? floats(args.prefix_partials) : nullptr};
  constexpr int N = kAccess<T>;
  const bool vectors = heads_are_vectorizable(in) && is_vectorizable<N>(arrays.out, in.HS, in.C) &&
                       is_vectorizable<N>(arrays.dout, in.HS, in.C) &&
                       is_vectorizable<N>(arrays.dk, in.HS, in.kv_stride) &&
                       is_vectorizable<N>(arrays.dv, in.HS, in.kv_stride);
  with_head_size(in.HS, vectors, [&](auto size, auto with_vectors) {
    context.launch(attention_first_backward_kernel<T, decltype(size)::value, decltype(with_vectors)::value>,
                   dim3(static_cast<unsigned>(in.B * in.NH)), dim3(kFirstThreads), 0, in, arrays,
                   attention_dropout(context, forward));
  });
}

template void attention_first_forward<float>(Context&, const AttentionForward&);
template void attention_first_forward<bf16>(Context&, const AttentionForward&);
template void attention_first_backward<float>(Context&, const AttentionBackward&);
template void attention_first_backward<bf16>(Context&, const AttentionBackward&);

}  // namespace bertune::cuda
