#include "cuda/gemm_trial.h"

#include "cuda/stream.h"

namespace bertune::cuda {
namespace {

struct TimedEvent : Event {
  TimedEvent() : Event(cudaEventDefault) {}
};

}  // namespace

std::unique_ptr<TimedGraph> TimedGraph::capture(cudaStream_t stream, int count,
                                                const std::function<bool(int)>& launch) {
  if (cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) != cudaSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  bool launched = true;
  for (int i = 0; launched && i < count; ++i) launched = launch(i);
  cudaGraph_t captured = nullptr;
  cudaGraphExec_t graph = nullptr;
  if (cudaStreamEndCapture(stream, &captured) == cudaSuccess && launched) cudaGraphInstantiate(&graph, captured, 0);
  cudaGraphDestroy(captured);
  cudaGetLastError();
  return graph != nullptr ? std::unique_ptr<TimedGraph>(new TimedGraph(graph)) : nullptr;
}

std::vector<float> time_graphs(cudaStream_t stream, const std::vector<const TimedGraph*>& graphs) {
  std::vector<TimedEvent> events(graphs.size() + 1);
  BERTUNE_CUDA(cudaEventRecord(events[0].get(), stream));
  for (size_t i = 0; i < graphs.size(); ++i) {
    BERTUNE_CUDA(cudaGraphLaunch(graphs[i]->get(), stream));
    BERTUNE_CUDA(cudaEventRecord(events[i + 1].get(), stream));
  }
  BERTUNE_CUDA(cudaEventSynchronize(events.back().get()));
  std::vector<float> times(graphs.size());
  for (size_t i = 0; i < graphs.size(); ++i) {
    BERTUNE_CUDA(cudaEventElapsedTime(&times[i], events[i].get(), events[i + 1].get()));
  }
  return times;
}

}  // namespace bertune::cuda
