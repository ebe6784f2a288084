// Steps as CUDA graphs. When a key first occurs, its operations run one by one, which also lets GEMMs choose their
// algorithms; the second time they are captured; from then on one launch replays them. If a capture fails, all operations
// run one by one from then on; before that, a capture is tried without launches that overlap.
#pragma once

#include <cstddef>
#include <list>
#include <string>

#include "core/backend.h"
#include "cuda/context.h"

namespace bertune::cuda {

class Recordings {
 public:
  // `records`: whether anything is captured at all. `overlaps`: the context's, which a capture that fails unsets.
  Recordings(cudaStream_t stream, bool records, bool& overlaps)
      : stream_(stream), records_(records), overlaps_(overlaps) {}
  ~Recordings() { forget(); }
  Recordings(const Recordings&) = delete;
  Recordings& operator=(const Recordings&) = delete;

  // As in Backend.
  bool replay(const RecordingKey& key);
  bool end(const char* failure);
  void forget();
  // The same, except that keys that occurred count as having occurred once.
  void forget_graphs();
  const char* take_warning();

  // Operations are being captured: nothing may be allocated or waited for.
  bool capturing() const { return capturing_; }
  RecordingCounts counts() const;

 private:
  struct Recording {
    RecordingKey key;
    cudaGraphExec_t graph;  // null: the key has occurred once
    size_t nodes;
  };

  // How many graphs are kept, and how many keys that occurred once; the one unused for longest goes first.
  static constexpr size_t kMostGraphs = 256, kMostMetOnce = 1024;

  void launch(const Recording& recording);
  void give_up(const std::string& reason);
  void warn(const char* what, const char* variable, const std::string& reason);
  // Makes room for one more recording with, or without, a graph.
  void make_room(bool with_graph, size_t most);

  cudaStream_t stream_;
  bool records_;
  bool& overlaps_;
  std::string failure_;              // why launches overlap no more, until it is known whether that was to blame
  std::list<Recording> recordings_;  // the most recently used comes first
  bool capturing_ = false;
  RecordingCounts counts_{};
  std::string warning_, taken_;  // to be taken, and taken last
};

}  // namespace bertune::cuda
