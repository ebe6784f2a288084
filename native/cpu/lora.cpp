// Low-rank updates (Hu et al., "LoRA", 2021), in blocks of rows that stay in the cache:
//
//   forward   dropped (rows,k) = dropout(inp) → h (rows,r) = dropped · Aᵀ → out (rows,n) += scaling · h · Bᵀ
//   backward  dh (rows,r) = scaling · dout · B → dropout mask of dh · A (rows,k) → dinp +=
//             db (n,r) = scaling · doutᵀ · h,  da (r,k) = dhᵀ · dropped
//
// Threads take rows; for db and da, which sum over all rows, they take rows of db and columns of da, so that each sum
// is one product on one thread.
#include <algorithm>

#include "cpu/dropout.h"
#include "cpu/gemm.h"
#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

constexpr int kLoraRows = 64;

template <typename Visit>
void for_blocks(Range rows, Visit visit) {
  for (int begin = rows.begin; begin < rows.end; begin += kLoraRows) {
    visit(Range{begin, std::min(begin + kLoraRows, rows.end)});
  }
}

// dropped = dropout(inp) and dinp += dropout mask of d, each where it is not null, with one set of random words.
template <typename T>
void mask_row(uint64_t seed, const Dropout& dropout, DropoutPlace place, int k, const T* inp, T* dropped, const T* d,
              T* dinp) {
  const uint32_t threshold = dropout_threshold(dropout.p);
  const T scale = dropout_scale<T>(dropout);
  alignas(64) uint32_t words[kDropoutBlock];
  for (int begin = 0; begin < k; begin += kDropoutBlock) {
    dropout_block(seed, dropout.site, place, begin, words);
    const int count = std::min(kDropoutBlock, k - begin);
    if (dropped) {
#pragma omp simd
      for (int i = 0; i < count; ++i) dropped[begin + i] = words[i] >= threshold ? inp[begin + i] * scale : T(0);
    }
    if (dinp) {
#pragma omp simd
      for (int i = 0; i < count; ++i) dinp[begin + i] += words[i] >= threshold ? d[begin + i] * scale : T(0);
    }
  }
}

template <typename T>
void add_update(Context& context, const LoraForwardAdd& args, const LoraForwardUpdate& update) {
  const int n = update.n, k = args.k, r = update.r;
  const bool drops = update.dropout.p > 0.0;
  const T* a = scalars<T>(update.a);
  const T* b = scalars<T>(update.b);
  T* dropped = scalars<T>(args.dropped);
  context.for_rows(args.rows, [&](int, Range rows) {
    for_blocks(rows, [&](Range block) {
      const T* inp = scalars<T>(args.inp) + static_cast<int64_t>(block.begin) * args.inp_stride;
      int inp_stride = args.inp_stride;
      if (drops) {
        T* to = dropped + static_cast<int64_t>(block.begin) * k;
        for (int i = 0; i < block.size(); ++i) {
          dropout_row(context.step.seed, update.dropout, context.place(args.rows.kind, block.begin + i), k,
                      inp + static_cast<int64_t>(i) * inp_stride, to + static_cast<int64_t>(i) * k);
        }
        inp = to;
        inp_stride = k;
      }
      T* h = scalars<T>(update.h) + static_cast<int64_t>(block.begin) * r;
      T* out = scalars<T>(update.out) + static_cast<int64_t>(block.begin) * update.out_stride;
      gemm(false, true, block.size(), r, k, T(1), inp, inp_stride, a, k, T(0), h, r);
      gemm(false, true, block.size(), n, r, static_cast<T>(update.scaling), h, r, b, r, T(1), out, update.out_stride);
    });
  });
}

// dh and dinp; with `drop`, dropped is made beside them.
template <typename T>
void backward_rows(Context& context, const LoraBackward& args, const LoraBackwardUpdate& update, bool drop) {
  const int n = update.n, k = args.k, r = update.r;
  const bool drops = update.dropout.p > 0.0;
  const T scaling = static_cast<T>(update.scaling);
  const T* inp = scalars<T>(args.inp);
  const T* dout = scalars<T>(update.dout);
  const T* a = scalars<T>(update.a);
  T* dh = scalars<T>(update.dh);
  T* dropped = drop && drops ? scalars<T>(args.dropped) : nullptr;
  context.for_rows(args.rows, [&](int thread, Range rows) {
    T* masked = drops && args.dinp ? context.scratch<T>(thread, static_cast<size_t>(kLoraRows) * k) : nullptr;
    for_blocks(rows, [&](Range block) {
      const int64_t first = block.begin;
      T* block_dh = dh + first * r;
      T* dinp = args.dinp ? scalars<T>(args.dinp) + first * args.dinp_stride : nullptr;
      gemm(false, false, block.size(), r, n, scaling, dout + first * update.dout_stride, update.dout_stride,
           scalars<T>(update.b), r, T(0), block_dh, r);
      if (dinp && !drops) {
        gemm(false, false, block.size(), k, r, T(1), block_dh, r, a, k, T(1), dinp, args.dinp_stride);
      }
      if (masked) gemm(false, false, block.size(), k, r, T(1), block_dh, r, a, k, T(0), masked, k);
      for (int64_t i = 0; drops && i < block.size(); ++i) {
        mask_row(context.step.seed, update.dropout, context.place(args.rows.kind, first + i), k,
                 dropped ? inp + (first + i) * args.inp_stride : nullptr, dropped ? dropped + (first + i) * k : nullptr,
                 masked ? masked + i * k : nullptr, masked ? dinp + i * args.dinp_stride : nullptr);
      }
    });
  });
}

template <typename T>
void drop_rows(Context& context, const LoraBackward& args, const LoraBackwardUpdate& update) {
  const T* inp = scalars<T>(args.inp);
  T* dropped = scalars<T>(args.dropped);
  context.for_rows(args.rows, [&](int, Range rows) {
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      dropout_row(context.step.seed, update.dropout, context.place(args.rows.kind, row), args.k,
                  inp + row * args.inp_stride, dropped + row * args.k);
    }
  });
}

// da and db, of dropped where anything is.
template <typename T>
void sum_update(Context& context, const LoraBackward& args, const LoraBackwardUpdate& update) {
  const int n = update.n, k = args.k, r = update.r;
  const bool drops = update.dropout.p > 0.0;
  const T* wide = scalars<T>(drops ? args.dropped : args.inp);
  T* da = scalars<T>(update.da);
  T* db = scalars<T>(update.db);
  if (!da && !db) return;
  const T beta = args.accumulate ? T(1) : T(0);
  const int rows = args.rows.count;
  context.pool.run([&](int thread) {
    if (db) {
      const Range range = even_split(n, context.threads(), thread, 16);
      gemm(true, false, range.size(), r, rows, static_cast<T>(update.scaling), scalars<T>(update.dout) + range.begin,
           update.dout_stride, scalars<T>(update.h), r, beta, db + static_cast<int64_t>(range.begin) * r, r);
    }
    if (da) {
      const Range range = even_split(k, context.threads(), thread, 16);
      gemm(true, false, r, range.size(), rows, T(1), scalars<T>(update.dh), r, wide + range.begin,
           drops ? k : args.inp_stride, beta, da + range.begin, k);
    }
  });
}

}  // namespace

template <typename T>
void lora_forward_add(Context& context, const LoraForwardAdd& args) {
  for (int i = 0; i < args.count; ++i) add_update<T>(context, args, args.updates[i]);
}

template <typename T>
void lora_backward(Context& context, const LoraBackward& args) {
  for (int i = 0; args.earlier && i < args.earlier->count; ++i) {
    const LoraBackwardUpdate& update = args.earlier->updates[i];
    if (update.da && update.dropout.p > 0.0) drop_rows<T>(context, *args.earlier, update);
    sum_update<T>(context, *args.earlier, update);
  }
  for (int i = 0; i < args.count; ++i) {
    const LoraBackwardUpdate& update = args.updates[i];
    const bool sums = !args.later;
    if (update.da || args.dinp) backward_rows<T>(context, args, update, sums && update.da);
    if (sums) sum_update<T>(context, args, update);
  }
  if (args.norm) dropout_residual_layernorm_backward<T>(context, *args.norm);
}

template void lora_forward_add<float>(Context&, const LoraForwardAdd&);
template void lora_forward_add<double>(Context&, const LoraForwardAdd&);
template void lora_backward<float>(Context&, const LoraBackward&);
template void lora_backward<double>(Context&, const LoraBackward&);

}  // namespace bertune
