#include <algorithm>

#include "cuda/recordings.h"

namespace bertune::cuda {

bool Recordings::replay(const RecordingKey& key) {
  BERTUNE_CHECK(!capturing_);
  const auto found =
      std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& r) { return r.key == key; });
  if (found == recordings_.end()) {
    if (recordings_.size() == kMost) {
      if (recordings_.back().graph) cudaGraphExecDestroy(recordings_.back().graph);
      recordings_.pop_back();
    }
    recordings_.push_front({key, nullptr, 0});
    return false;
  }
  recordings_.splice(recordings_.begin(), recordings_, found);
  if (found->graph) {
    BERTUNE_CUDA(cudaGraphLaunch(found->graph, stream_));
    last_nodes_ = found->nodes;
    return true;
  }
  BERTUNE_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
  capturing_ = true;
  return false;
}

void Recordings::end() {
  if (!capturing_) return;
  capturing_ = false;
  cudaGraph_t graph = nullptr;
  BERTUNE_CUDA(cudaStreamEndCapture(stream_, &graph));
  Recording& recording = recordings_.front();
  const cudaError_t status = cudaGraphInstantiate(&recording.graph, graph, 0);
  if (status == cudaSuccess) cudaGraphGetNodes(graph, nullptr, &recording.nodes);
  cudaGraphDestroy(graph);
  BERTUNE_CUDA(status);
  BERTUNE_CUDA(cudaGraphLaunch(recording.graph, stream_));
  last_nodes_ = recording.nodes;
}

void Recordings::forget() {
  if (capturing_) {
    // An operation failed half-way: what was captured of the step is dropped.
    capturing_ = false;
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }
  for (const Recording& recording : recordings_) {
    if (recording.graph) cudaGraphExecDestroy(recording.graph);
  }
  recordings_.clear();
}

}  // namespace bertune::cuda
