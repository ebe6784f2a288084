// Steps as CUDA graphs. The first time that a key is met its operations run one by one, which also lets GEMMs choose
// their algorithms; the second time they are captured; from then on one launch replays them. Where a capture fails,
// operations run one by one from then on.
#pragma once

#include <cstddef>
#include <list>
#include <string>

#include "core/backend.h"
#include "cuda/context.h"

namespace bertune::cuda {

class Recordings {
 public:
  // `records`: whether anything is captured at all.
  Recordings(cudaStream_t stream, bool records) : stream_(stream), records_(records) {}
  ~Recordings() { forget(); }
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  // As Backend::replay, end_recording, forget_recordings and take_warning.
  bool replay(const RecordingKey& key);
  bool end(const char* failure);
  void forget();
  const char* take_warning();

  // Operations are being captured: nothing may be allocated or waited for.
  bool capturing() const { return capturing_; }
  RecordingCounts counts() const;

 private:
  struct Recording {
    RecordingKey key;
    cudaGraphExec_t graph;  // null: met once
    size_t nodes;
  };

  // Graphs that are kept, and keys that were met once; of each the one used longest ago goes first.
  static constexpr size_t kMostGraphs = 256, kMostMetOnce = 1024;

  void launch(const Recording& recording);
  void give_up(const std::string& reason);
  // Makes room for one more of those that have a graph, or have none.
  void make_room(bool with_graph, size_t most);

  cudaStream_t stream_;
  bool records_;
  std::list<Recording> recordings_;  // the one used last comes first
  bool capturing_ = false;
  RecordingCounts counts_{};
  std::string warning_, taken_;  // to be taken, and taken last
};

}  // namespace bertune::cuda
