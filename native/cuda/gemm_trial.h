// Launches of a product on the device, timed.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cuda/context.h"

namespace bertune::cuda {

// Several launches as a graph, so that what is measured is the device's time alone.
class TimedGraph {
 public:
  // `launch(i)` gives the stream the i-th of `count` launches and says whether it could. Null where one could not, or
  // they cannot be captured.
  static std::unique_ptr<TimedGraph> capture(cudaStream_t stream, int count, const std::function<bool(int)>& launch);
  ~TimedGraph() { cudaGraphExecDestroy(graph_); }
  TimedGraph(const TimedGraph&) = delete;
  TimedGraph& operator=(const TimedGraph&) = delete;

  cudaGraphExec_t get() const { return graph_; }

 private:
  explicit TimedGraph(cudaGraphExec_t graph) : graph_(graph) {}

  cudaGraphExec_t graph_;
};

// Milliseconds of each graph, run once behind each other. Throws CUDA_ERROR.
std::vector<float> time_graphs(cudaStream_t stream, const std::vector<const TimedGraph*>& graphs);

}  // namespace bertune::cuda
