// A classifier on a LayerNorm, its loss, and the way back to the ReLU in front of them, in one launch:
//
//   inp (B,k) → dropout → sum → LayerNorm → normed (B,k) → · weightᵀ + bias → logits (B,NC) → loss
//   dlogits (B,NC) → · weight → dnormed (B,k) → dsum → dropout, ReLU → dinp (B,k)
//
// A block has a row. Each value is rounded where an operation by itself would store it. The last block to finish adds up
// the loss (loss.cuh).
#include <type_traits>

#include "cuda/functions.cuh"
#include "cuda/layernorm_row.cuh"
#include "cuda/loss.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

template <typename T>
struct Classifier {
  LayernormForward<T> forward;    // inp → normed
  LayernormBackward<T> backward;  // dnormed → dinp, short of dropout and ReLU
  int NC;
  const T* inp;      // (B,k)
  const T* weight;   // (NC,k)
  const T* bias;     // (NC)
  T* logits;         // (B,NC)
  const T* dlogits;  // (B,NC)
  T* dnormed;        // (B,k)
};

// Grid: a block a padded row; block: RowTeam<0>::kThreads.
template <typename T, typename Loss>
__global__ void __launch_bounds__(RowTeam<0>::kThreads) normed_classifier_kernel(Classifier<T> args, Loss loss) {
  simt::wait_for_previous();
  using Team = RowTeam<0>;
  SHARED(shared, float[33]);
  SHARED(is_last, bool);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & 31, warp = thread >> 5;
  const int row = Team::row(), B = loss.rows.count(), k = args.forward.C, NC = args.NC;
  const bool live = row < B;
  const size_t at = static_cast<size_t>(row) * k, labels_at = static_cast<size_t>(row) * NC;
  layernorm_forward_row<T, 0, DropoutAt::kInput>(args.forward, row, live, ResidualInput<T>{args.inp, nullptr});
  const float divisor = loss.divisor(B, shared);
  __syncthreads();  // normed is there

  const T* normed = args.forward.out + at;
  for (int c = warp; c < NC; c += Team::kThreads / 32) {
    const T* weight = args.weight + static_cast<size_t>(c) * k;
    float sum = 0.f;
    for (int i = lane; i < k; i += 32) sum += to_float(normed[i]) * to_float(weight[i]);
    sum = warp_sum(sum);
    if (lane == 0) args.logits[labels_at + c] = from_float<T>(sum + to_float(args.bias[c]));
  }
  __syncthreads();
  const float row_loss = warp == 0 ? loss.row(row, B, divisor) : 0.f;
  __syncthreads();
  for (int i = thread; i < k; i += Team::kThreads) {
    float sum = 0.f;
    for (int c = 0; c < NC; ++c) {
      sum += to_float(args.dlogits[labels_at + c]) * to_float(args.weight[static_cast<size_t>(c) * k + i]);
    }
    args.dnormed[at + i] = from_float<T>(sum);
  }
  __syncthreads();

  layernorm_backward_row<T, 0, DropoutAt::kInput>(args.backward, row, live);
  T* dinp = args.backward.dsum + at;
  for (int column = Team::column(); column < k; column += Team::kStep) {  // those that the thread has just written
    float gradient[kRowVector], inp[kRowVector];
    load_columns<false>(gradient, dinp, column, k);
    load_columns<false>(inp, args.inp + at, column, k);
    kept_columns<kRowVector>(args.forward.mask, row, column).apply(gradient);
#pragma unroll
    for (int i = 0; i < kRowVector; ++i) gradient[i] = live ? rounded<T>(gradient[i]) * Relu::slope(inp[i]) : 0.f;
    store_columns<false>(dinp, column, k, gradient);
  }
  const float total = sum_of_blocks(row_loss, loss.sums, shared, is_last);
  if (thread == 0 && is_last) *loss.loss = total / divisor;
}

template <typename T, typename Loss>
void launch(Context& context, const NormedClassifier& args, const Loss& loss_args) {
  const unsigned B = static_cast<unsigned>(context.batch.B);
  const DropoutMask mask = context.dropout(args.dropout, RowKind::kSequences);
  const Classifier<T> classifier = {
      .forward = {args.k, static_cast<float>(args.eps), scalars<T>(args.gamma), scalars<T>(args.beta),
                  scalars<T>(args.sum), floats(args.mean), floats(args.rstd), scalars<T>(args.normed), mask},
      .backward = {args.k, scalars<T>(args.dnormed), scalars<T>(args.sum), floats(args.mean), floats(args.rstd),
                   scalars<T>(args.gamma), scalars<T>(args.dinp), nullptr, context.dropout({}, RowKind::kSequences)},
      .NC = args.NC,
      .inp = scalars<T>(args.inp),
      .weight = scalars<T>(args.weight),
      .bias = scalars<T>(args.bias),
      .logits = scalars<T>(args.logits),
      .dlogits = scalars<T>(args.dlogits),
      .dnormed = scalars<T>(args.dnormed)};
  const auto loss = loss_of<T>(context, loss_args, block_sums(context, B));
  context.launch(&normed_classifier_kernel<T, std::decay_t<decltype(loss)>>, B, RowTeam<0>::kThreads, 0, classifier,
                 loss);
}

}  // namespace

template <typename T>
void normed_classifier(Context& context, const NormedClassifier& args) {
  if (args.class_loss != nullptr) return launch<T>(context, args, *args.class_loss);
  if (args.label_loss != nullptr) return launch<T>(context, args, *args.label_loss);
  launch<T>(context, args, *args.number_loss);
}

template void normed_classifier<float>(Context&, const NormedClassifier&);
template void normed_classifier<bf16>(Context&, const NormedClassifier&);

}  // namespace bertune::cuda
