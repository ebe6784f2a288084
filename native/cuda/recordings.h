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
  // Kernels and copies of the graph that was launched last; 0 where none was.
  size_t last_nodes() const { return last_nodes_; }

 private:
  struct Recording {
    RecordingKey key;
    cudaGraphExec_t graph;  // null: met once
    size_t nodes;
  };

  void launch(const Recording& recording);
  void give_up(const std::string& reason);

  // Graphs that are kept; the one used longest ago goes first.
  static constexpr size_t kMost = 256;

  cudaStream_t stream_;
  bool records_;
  std::list<Recording> recordings_;  // the one used last comes first
  bool capturing_ = false;
  size_t last_nodes_ = 0;
  std::string warning_, taken_;  // to be taken, and taken last
};

}  // namespace bertune::cuda
