// Losses and their gradients: softmax cross-entropy; binary cross-entropy and mean squared error, element by element.
#pragma once

#include "cuda/context.h"

namespace bertune::cuda {

template <typename T>
void cross_entropy(Context& context, const CrossEntropy& args);
template <typename T>
void binary_cross_entropy(Context& context, const BinaryCrossEntropy& args);
template <typename T>
void mean_squared_error(Context& context, const MeanSquaredError& args);

}  // namespace bertune::cuda
