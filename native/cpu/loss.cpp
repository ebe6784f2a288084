// Cross-entropy of logits (B,NC) against the batch's labels (B), with class weights w and label smoothing s:
//
//   loss = [(1 − s) · Σ_b −w_y log p_y + s / NC · Σ_b Σ_c −w_c log p_c] / Σ_b w_y
//   dlogits[b,c] = loss_scale · share / Σ_b w_y · [(1 − s) · w_y · (p_c − [c = y]) + s / NC · (p_c · Σ w − w_c)]
//
// with p = softmax(logits[b]) and y the label of b. Against targets y (B,NC), with x = logits[b,c]:
//
//   binary cross-entropy   loss = Σ w_c · [(1 − y) · log(1 + eˣ) + p_c · y · log(1 + e⁻ˣ)] / (B · NC)
//                          dlogits = loss_scale · share / (B · NC) · w_c · [(1 − y) · σ(x) − p_c · y · σ(−x)]
//   mean squared error     loss = Σ (x − y)² / (B · NC),   dlogits = loss_scale · share / (B · NC) · 2 (x − y)
//
// with σ(x) = 1 / (1 + e⁻ˣ). The focal loss with γ multiplies each −log p by (1 − p)^γ, and the gradient of each by
// (1 − p)^γ · (1 − γ p log p / (1 − p)), where p is the probability of what is true: p_y, σ(x) or σ(−x).
// Few numbers, so they are computed in double on the calling thread.
#include <algorithm>
#include <cmath>

#include "cpu/operations.h"
#include "cpu/scalar.h"

namespace bertune {
namespace {

// log(1 + eˣ)
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// What the focal loss multiplies −log p by, and its gradient.
struct Focus {
  double loss = 1, gradient = 1;

  // p, 1 − p and −log p
  Focus(double gamma, double p, double rest, double surprise) {
    if (gamma == 0) return;
    loss = std::pow(rest, gamma);
    gradient = loss * (1 + gamma * p * (rest > 0 ? surprise / rest : 1));
  }
};

}  // namespace

template <typename T>
void cross_entropy(Context& context, const CrossEntropy& args) {
  const T* logits = scalars<T>(args.logits);
  const T* class_weights = scalars<T>(args.class_weights);
  T* dlogits = scalars<T>(args.dlogits);
  const int32_t* labels = context.batch.labels;
  const int B = context.batch.B, NC = args.NC;
  const auto weight = [&](int c) { return class_weights ? static_cast<double>(class_weights[c]) : 1.0; };

  double all_weights = 0;  // Σ_c w_c
  for (int c = 0; c < NC; ++c) all_weights += weight(c);
  double label_weights = 0;  // Σ_b w_y
  for (int b = 0; b < B; ++b) label_weights += weight(labels[b]);
  // A part of a batch whose examples weigh nothing adds nothing to it.
  if (context.step.share == 0) label_weights = 1;
  const double hard = 1.0 - args.label_smoothing, smooth = args.label_smoothing / NC;

  double loss = 0;
  for (int b = 0; b < B; ++b) {
    const T* row = logits + static_cast<size_t>(b) * NC;
    const int y = labels[b];
    const T* largest = std::max_element(row, row + NC);
    if (args.predictions != nullptr) args.predictions[b] = static_cast<int32_t>(largest - row);
    double sum = 0;
    for (int c = 0; c < NC; ++c) sum += std::exp(static_cast<double>(row[c]) - *largest);
    const double log_sum = *largest + std::log(sum);

    double others = 0;  // 1 − p_y
    if (args.focal_gamma != 0) {
      for (int c = 0; c < NC; ++c) others += c == y ? 0 : std::exp(row[c] - log_sum);
    }
    const Focus focus(args.focal_gamma, std::exp(row[y] - log_sum), others, log_sum - row[y]);
    loss -= hard * weight(y) * focus.loss * (row[y] - log_sum);
    if (smooth != 0) {
      for (int c = 0; c < NC; ++c) loss -= smooth * weight(c) * (row[c] - log_sum);
    }
    if (dlogits == nullptr) continue;
    T* drow = dlogits + static_cast<size_t>(b) * NC;
    for (int c = 0; c < NC; ++c) {
      const double p = std::exp(row[c] - log_sum);
      const double gradient =
          hard * weight(y) * focus.gradient * (p - (c == y)) + smooth * (p * all_weights - weight(c));
      drow[c] = static_cast<T>(context.step.share * args.loss_scale / label_weights * gradient);
    }
  }
  *scalars<T>(args.loss) = static_cast<T>(loss / label_weights);
}

template <typename T>
void binary_cross_entropy(Context& context, const BinaryCrossEntropy& args) {
  const T* logits = scalars<T>(args.logits);
  const T* targets = scalars<T>(context.batch.targets);
  const T* class_weights = scalars<T>(args.class_weights);
  const T* positive_weights = scalars<T>(args.positive_weights);
  T* dlogits = scalars<T>(args.dlogits);
  const int B = context.batch.B, NC = args.NC;
  const double count = static_cast<double>(B) * NC;
  const auto weight = [](const T* weights, int c) { return weights ? static_cast<double>(weights[c]) : 1.0; };

  double loss = 0;
  for (int b = 0; b < B; ++b) {
    bool right = true;
    for (int c = 0; c < NC; ++c) {
      const size_t i = static_cast<size_t>(b) * NC + c;
      const double x = logits[i], y = targets[i];
      const double w = weight(class_weights, c), p = weight(positive_weights, c);
      const Focus negative(args.focal_gamma, sigmoid(-x), sigmoid(x), softplus(x));
      const Focus positive(args.focal_gamma, sigmoid(x), sigmoid(-x), softplus(-x));
      loss += w * ((1 - y) * negative.loss * softplus(x) + p * y * positive.loss * softplus(-x));
      right = right && (x > 0) == (y > 0.5);
      if (dlogits == nullptr) continue;
      const double slope = (1 - y) * negative.gradient * sigmoid(x) - p * y * positive.gradient * sigmoid(-x);
      dlogits[i] = static_cast<T>(context.step.share * args.loss_scale / count * w * slope);
    }
    if (args.right != nullptr) args.right[b] = right;
  }
  *scalars<T>(args.loss) = static_cast<T>(loss / count);
}

template <typename T>
void mean_squared_error(Context& context, const MeanSquaredError& args) {
  const T* logits = scalars<T>(args.logits);
  const T* targets = scalars<T>(context.batch.targets);
  T* dlogits = scalars<T>(args.dlogits);
  const size_t count = static_cast<size_t>(context.batch.B) * args.NC;
  double loss = 0;
  for (size_t i = 0; i < count; ++i) {
    const double error = static_cast<double>(logits[i]) - targets[i];
    loss += error * error;
    if (dlogits != nullptr) dlogits[i] = static_cast<T>(context.step.share * args.loss_scale / count * 2 * error);
  }
  *scalars<T>(args.loss) = static_cast<T>(loss / count);
}

template void cross_entropy<float>(Context&, const CrossEntropy&);
template void cross_entropy<double>(Context&, const CrossEntropy&);
template void binary_cross_entropy<float>(Context&, const BinaryCrossEntropy&);
template void binary_cross_entropy<double>(Context&, const BinaryCrossEntropy&);
template void mean_squared_error<float>(Context&, const MeanSquaredError&);
template void mean_squared_error<double>(Context&, const MeanSquaredError&);

}  // namespace bertune
