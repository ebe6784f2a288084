// Packs sequences order[0..B) of the step's examples into the batch's arrays, and makes the batch the context's current one.
//
//   ids, token_types, positions, token_places (T), labels, sequence_places (B), targets (B,NC), cu_seqlens (B + 1)
//   tokens_by_id, tokens_by_position (T): token indices sorted by (id, index) and (position, index)
#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// sorted (T): token indices by (value, index).
void sort_tokens(Context& context, int T, const int32_t* values, int32_t* sorted) {
  // One number a token, value above index, so that a plain sort is a stable one.
  int64_t* keys = context.shared_scratch<int64_t>(T);
  for (int t = 0; t < T; ++t) keys[t] = static_cast<int64_t>(values[t]) * (int64_t{1} << 32) + t;
  std::sort(keys, keys + T);
  for (int t = 0; t < T; ++t) sorted[t] = static_cast<int32_t>(keys[t] & 0xFFFFFFFF);
}

// The same by place within the sequence.
void sort_by_place(const Batch& batch) {
  int32_t* next = batch.tokens_by_position;
  for (int position = 0; position < batch.max_length; ++position) {
    for (int b = 0; b < batch.B; ++b) {
      const int32_t token = batch.cu_seqlens[b] + position;
      if (token < batch.cu_seqlens[b + 1]) *next++ = token;
    }
  }
}

}  // namespace

template <typename T>
void gather_batch(Context& context, const GatherBatch& args) {
  const Batch& batch = args.batch;
  const Examples& examples = context.step.examples;
  const int32_t* order = examples.order + context.step.order_begin;
  batch.cu_seqlens[0] = 0;
  for (int b = 0; b < batch.B; ++b) {
    const int32_t* offset = examples.offsets + order[b];
    const int length = offset[1] - offset[0];
    const int start = batch.cu_seqlens[b];
    BERTUNE_CHECK(length <= batch.max_length && start + length <= batch.T);
    std::copy_n(examples.ids + offset[0], length, batch.ids + start);
    if (examples.token_types != nullptr) {
      std::copy_n(examples.token_types + offset[0], length, batch.token_types + start);
    } else {
      std::fill_n(batch.token_types + start, length, 0);
    }
    if (examples.positions != nullptr) {
      std::copy_n(examples.positions + offset[0], length, batch.positions + start);
    } else {
      std::iota(batch.positions + start, batch.positions + start + length, 0);
    }
    if (examples.labels != nullptr) batch.labels[b] = examples.labels[order[b]];
    if (examples.targets != nullptr && batch.targets != nullptr) {
      const size_t NC = args.NC;
      std::copy_n(scalars<T>(examples.targets) + order[b] * NC, NC, scalars<T>(batch.targets) + b * NC);
    }
    batch.cu_seqlens[b + 1] = start + length;
    if (batch.token_places == nullptr) continue;
    const int first = b / args.micro_batch * args.micro_batch;
    const uint32_t micro = args.are_parts ? 0 : static_cast<uint32_t>(b / args.micro_batch);
    const uint32_t step = context.step.dropout_step + micro;
    batch.sequence_places[b] = {context.step.sequences_before + static_cast<uint32_t>(b - first), step};
    for (int t = start; t < start + length; ++t) {
      const uint32_t before = context.step.tokens_before;
      batch.token_places[t] = {before + static_cast<uint32_t>(t - batch.cu_seqlens[first]), step};
    }
  }
  BERTUNE_CHECK(batch.cu_seqlens[batch.B] == batch.T);
  if (args.sort_tokens) {
    sort_tokens(context, batch.T, batch.ids, batch.tokens_by_id);
    if (examples.positions != nullptr) {
      sort_tokens(context, batch.T, batch.positions, batch.tokens_by_position);
    } else {
      sort_by_place(batch);
    }
  }
  context.batch = batch;
  context.partition.assign(batch.B, batch.cu_seqlens);
}

template void gather_batch<float>(Context&, const GatherBatch&);
template void gather_batch<double>(Context&, const GatherBatch&);

}  // namespace bertune
