// The losses by themselves: loss.cuh has their formulas. A warp has a row. Up to 32 rows are one block, which needs no
// other; of more, each block leaves the sum of its rows' losses in scratch memory, and the last to finish adds them in
// order.
#include <algorithm>
#include <type_traits>

#include "cuda/loss.cuh"
#include "cuda/operations.h"

namespace bertune::cuda {
namespace {

constexpr int kMostWarps = 32;  // rows of a block that is alone
constexpr int kLossWarps = 8;   // rows of one of several

// Grid: as many blocks as padded rows need; block: kLossWarps warps, or one for each row where that is at most
// kMostWarps.
template <typename Loss>
__global__ void __launch_bounds__(kMostWarps * 32) loss_kernel(Loss loss) {
  simt::wait_for_previous();
  SHARED(shared, float[33]);
  SHARED(is_last, bool);
  const int thread = static_cast<int>(threadIdx.x), B = loss.rows.count();
  const float divisor = loss.divisor(B, shared);
  const int b = static_cast<int>(blockIdx.x * (blockDim.x >> 5)) + (thread >> 5);
  const float total = sum_of_blocks(loss.row(b, B, divisor), loss.sums, shared, is_last);
  if (thread == 0 && is_last) *loss.loss = total / divisor;
}

template <typename T, typename Args>
void launch_loss(Context& context, const Args& args) {
  const int B = context.batch.B;
  const unsigned warps = B <= kMostWarps ? std::max(B, 1) : kLossWarps, blocks = std::max(ceil_div(B, warps), 1u);
  const auto loss = loss_of<T>(context, args, block_sums(context, blocks));
  context.launch(&loss_kernel<std::decay_t<decltype(loss)>>, blocks, warps * 32, 0, loss);
}

}  // namespace

template <typename T>
void cross_entropy(Context& context, const CrossEntropy& args) {
  launch_loss<T>(context, args);
}

template <typename T>
void binary_cross_entropy(Context& context, const BinaryCrossEntropy& args) {
  launch_loss<T>(context, args);
}

template <typename T>
void mean_squared_error(Context& context, const MeanSquaredError& args) {
  launch_loss<T>(context, args);
}

template void binary_cross_entropy<float>(Context&, const BinaryCrossEntropy&);
template void binary_cross_entropy<bf16>(Context&, const BinaryCrossEntropy&);
template void mean_squared_error<float>(Context&, const MeanSquaredError&);
template void mean_squared_error<bf16>(Context&, const MeanSquaredError&);
template void cross_entropy<float>(Context&, const CrossEntropy&);
template void cross_entropy<bf16>(Context&, const CrossEntropy&);

}  // namespace bertune::cuda
