// The optimiser's segments in device memory: where each lies, and which block of a launch works on which part of it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cuda/context.h"

namespace bertune::cuda {

// One segment, as kernels see it. master is null where the weight is all there is.
struct DeviceSegment {
  int64_t count;
  double rate;
  int32_t decay;
  int32_t first_chunk;  // chunks of all segments before it
  void* master;
  void* weight;
  float* grad;
  float* m;
  float* v;
};

DeviceSegment device_segment(const OptimizerSegment& segment, int first_chunk);

struct ChunkRange {
  int first = 0, count = 0;
};

// Made when segments are first met, outside of recordings, so that a recorded step uploads nothing.
class SegmentTable {
 public:
  static constexpr int kChunk = 4096;  // elements of a block's part; a chunk never crosses from one segment to the next

  SegmentTable(Context& context, const OptimizerSegment* segments, int count);
  ~SegmentTable();
  SegmentTable(const SegmentTable&) = delete;
  SegmentTable& operator=(const SegmentTable&) = delete;

  bool describes(const OptimizerSegment* segments, int count) const;

  const DeviceSegment* segments() const { return segments_; }        // device (count)
  const int32_t* chunk_segments() const { return chunk_segments_; }  // device (chunks): the segment of each
  int chunks() const { return chunks_; }
  // Of all segments before this one; of all where it is one behind the last.
  int first_chunk(int segment) const { return first_chunks_[segment]; }
  // Those of segment s.
  ChunkRange chunks_of(int s) const { return {first_chunks_[s], first_chunks_[s + 1] - first_chunks_[s]}; }
  size_t bytes() const { return bytes_; }

 private:
  std::vector<OptimizerSegment> host_;
  void* block_ = nullptr;
  DeviceSegment* segments_ = nullptr;
  int32_t* chunk_segments_ = nullptr;
  std::vector<int> first_chunks_;  // (count + 1)
  int chunks_ = 0;
  size_t bytes_ = 0;
};

// The table of these segments: the context's of the variant, which is made anew where they are others than before.
const SegmentTable& segment_table(Context& context, const OptimizerSegment* segments, int count, int variant = 0);

}  // namespace bertune::cuda
