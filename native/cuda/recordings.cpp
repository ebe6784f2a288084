#include "cuda/recordings.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace bertune::cuda {
namespace {

// A graph that was captured, which is of no more use once it is instantiated.
class Captured {
 public:
  explicit Captured(cudaStream_t stream) { BERTUNE_CUDA(cudaStreamEndCapture(stream, &graph_)); }
  ~Captured() { cudaGraphDestroy(graph_); }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  cudaGraph_t get() const { return graph_; }

 private:
  cudaGraph_t graph_ = nullptr;
};

}  // namespace

bool Recordings::replay(const RecordingKey& key) {
  BERTUNE_CHECK(!capturing_);
  const auto found =
      std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& r) { return r.key == key; });
  if (found != recordings_.end()) {
    recordings_.splice(recordings_.begin(), recordings_, found);
    if (found->graph) {
      launch(*found);
      ++counts_.replayed;
      return true;
    }
  }
  if (!records_) return false;
  if (found == recordings_.end()) {
    make_room(false, kMostMetOnce);
    recordings_.push_front({key, nullptr, 0});
    return false;
  }
  make_room(true, kMostGraphs);
  try {
    // Relaxed: what another session's thread does meanwhile is its own affair.
    BERTUNE_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed));
    capturing_ = true;
  } catch (const Error& error) {
    give_up(error.what());
  }
  return false;
}

bool Recordings::end(const char* failure) {
  if (!capturing_) {
    // Operations that did not all run may not have met all of their products, nor prepared what those of another key need:
    // a step's update begins in its last micro-batch, and is made in the first of the next. So no key counts as met.
    if (failure != nullptr) recordings_.remove_if([](const Recording& recording) { return !recording.graph; });
    return true;
  }
  capturing_ = false;
  Recording& recording = recordings_.front();
  std::string reason = failure != nullptr ? failure : "";
  try {
    const Captured captured(stream_);
    if (reason.empty()) {
      BERTUNE_CUDA(cudaGraphInstantiate(&recording.graph, captured.get(), cudaGraphInstantiateFlagUseNodePriority));
      BERTUNE_CUDA(cudaGraphGetNodes(captured.get(), nullptr, &recording.nodes));
      launch(recording);
      ++counts_.recorded;
      if (!failure_.empty()) {
        warn(" whose kernels overlap, so they run one behind the other", "BERTUNE_CUDA_PDL",
             std::exchange(failure_, {}));
      }
      return true;
    }
  } catch (const Error& error) {
    if (reason.empty()) reason = error.what();
  }
  give_up(reason);
  if (recording.graph) cudaGraphExecDestroy(std::exchange(recording.graph, nullptr));
  return false;
}

void Recordings::launch(const Recording& recording) {
  BERTUNE_CUDA(cudaGraphLaunch(recording.graph, stream_));
  counts_.nodes = recording.nodes;
  counts_.launched += recording.nodes;
}

void Recordings::make_room(bool with_graph, size_t most) {
  const auto counts = [&](const Recording& recording) { return (recording.graph != nullptr) == with_graph; };
  if (static_cast<size_t>(std::count_if(recordings_.begin(), recordings_.end(), counts)) < most) return;
  const auto oldest = std::find_if(recordings_.rbegin(), recordings_.rend(), counts);
  if (oldest->graph) cudaGraphExecDestroy(oldest->graph);
  recordings_.erase(std::prev(oldest.base()));
}

RecordingCounts Recordings::counts() const {
  RecordingCounts counts = counts_;
  counts.kept = static_cast<uint64_t>(
      std::count_if(recordings_.begin(), recordings_.end(), [](const Recording& r) { return r.graph != nullptr; }));
  return counts;
}

void Recordings::give_up(const std::string& reason) {
  if (std::exchange(overlaps_, false)) {  // then perhaps without: graphs gain more
    failure_ = reason;
    return;
  }
  records_ = false;
  warn(", so steps run one kernel at a time", "BERTUNE_CUDA_GRAPHS", reason);
}

void Recordings::warn(const char* what, const char* variable, const std::string& reason) {
  warning_ = std::string("A step could not be recorded as a CUDA graph") + what +
             " from now on: slower, with the same results. " + variable +
             "=off does so from the start. The reason: " + reason;
}

void Recordings::forget() {
  forget_graphs();
  recordings_.clear();
}

void Recordings::forget_graphs() {
  for (Recording& recording : recordings_) {
    if (recording.graph) cudaGraphExecDestroy(std::exchange(recording.graph, nullptr));
  }
}

const char* Recordings::take_warning() {
  taken_ = std::exchange(warning_, {});
  return taken_.empty() ? nullptr : taken_.c_str();
}

}  // namespace bertune::cuda
