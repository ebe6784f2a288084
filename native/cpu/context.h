// What the CPU operations of one session share: threads, the current batch and step, and scratch memory.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "cpu/lazy_rows.h"
#include "cpu/met_rows.h"
#include "cpu/parallel.h"
#include "cpu/scratch.h"
#include "cpu/weight_product.h"

namespace bertune {

class Context {
 public:
  Context(onednn::Element element, int threads)
      : pool(threads), partition(threads), products(element, threads), thread_scratch_(threads) {}

  int threads() const { return pool.threads(); }

  // Calls work(thread, part) on each thread that has a part of [0, count), split evenly in multiples of `multiple`. What
  // is one part alone is the calling thread's, and nobody else is woken.
  template <typename Work>
  void for_parts(int count, int multiple, Work&& work) {
    if (count <= 0) return;
    if (count <= multiple) return work(0, Range{0, count});
    pool.run([&](int thread) {
      const Range part = even_split(count, threads(), thread, multiple);
      if (!part.empty()) work(thread, part);
    });
  }

  // Calls work(thread, rows) on each thread that has rows of its own: see Partition::rows.
  template <typename Work>
  void for_rows(Rows rows, Work&& work) {
    for_parts(rows.count, Partition::multiple(rows.kind), std::forward<Work>(work));
  }

  // Calls work(thread, sequences) on each thread that has sequences of the current batch.
  template <typename Work>
  void for_sequences(Work&& work) {
    pool.run([&](int thread) {
      const Range range = partition.sequences(thread);
      if (!range.empty()) work(thread, range);
    });
  }

  // Calls work(thread, heads) on each thread that has heads of sequences of the current batch: see Partition::heads.
  template <typename Work>
  void for_heads(int NH, Work&& work) {
    pool.run([&](int thread) {
      const Range range = partition.heads(NH, thread);
      if (!range.empty()) work(thread, range);
    });
  }

  // Calls work(thread, columns) on each thread: [0, count) split evenly, in multiples of a cache line.
  template <typename Work>
  void for_columns(int count, Work&& work) {
    for_parts(count, 16, std::forward<Work>(work));
  }

  // The place of a row of the batch, from which dropout draws its mask.
  DropoutPlace place(RowKind kind, int64_t row) const {
    const bool tokens = kind == RowKind::kTokens, sequences = kind == RowKind::kSequences;
    const DropoutPlace* places = tokens ? batch.token_places : sequences ? batch.sequence_places : nullptr;
    if (places != nullptr) return places[row];
    const uint32_t before = tokens ? step.tokens_before : sequences ? step.sequences_before : 0;
    return {before + static_cast<uint32_t>(row), step.dropout_step};
  }

  // Scratch memory of one thread, which only that thread may ask for: `count` elements, aligned to 64 bytes, not
  // initialized. One block at a time: the next call takes it back.
  template <typename T>
  T* scratch(int thread, size_t count) {
    return thread_scratch_[thread].scratch.template reserve<T>(count);
  }

  // Scratch memory that threads share; ask for it outside of a parallel section. One block at a time.
  template <typename T>
  T* shared_scratch(size_t count) {
    return shared_scratch_.reserve<T>(count);
  }

  Pool pool;
  Partition partition;  // of `batch`
  WeightProducts products;
  Batch batch;
  StepState step{};
  MetRows met_rows;  // those of the last embedding_backward's dword
  LazyRows lazy_rows{pool};
  // Of each variant.
  double grad_norm[kMostVariants] = {};  // of the last grad_norm, for adamw
  bool halted[kMostVariants] = {};       // a loss or norm was not finite: no weight changes until start_run

 private:
  struct alignas(64) ThreadScratch {
    Scratch scratch;
  };
  std::vector<ThreadScratch> thread_scratch_;
  Scratch shared_scratch_;
};

}  // namespace bertune
