#include "cuda/segments.h"

#include <cstring>

#include "cuda/memory.h"
#include "cuda/recordings.h"
#include "cuda/scalar.cuh"

namespace bertune::cuda {
namespace {

bool same(const OptimizerSegment& a, const OptimizerSegment& b) {
  return a.count == b.count && a.decay == b.decay && a.rate == b.rate && a.master == b.master && a.weight == b.weight &&
         a.grad == b.grad && a.m == b.m && a.v == b.v;
}

}  // namespace

DeviceSegment device_segment(const OptimizerSegment& segment, int first_chunk) {
  void* master = segment.master;
  return {.count = segment.count,
          .rate = segment.rate,
          .decay = segment.decay,
          .first_chunk = first_chunk,
          .master = master == segment.weight ? nullptr : master,
          .weight = segment.weight,
          .grad = floats(segment.grad),
          .m = floats(segment.m),
          .v = floats(segment.v)};
}

SegmentTable::SegmentTable(Context& context, const OptimizerSegment* segments, int count)
    : host_(segments, segments + count) {
  std::vector<DeviceSegment> table;
  std::vector<int32_t> chunk_segments;
  for (const OptimizerSegment& segment : host_) {
    first_chunks_.push_back(static_cast<int>(chunk_segments.size()));
    table.push_back(device_segment(segment, first_chunks_.back()));
    const auto index = static_cast<int32_t>(table.size() - 1);
    chunk_segments.insert(chunk_segments.end(), ceil_div(segment.count, kChunk), index);
  }
  chunks_ = static_cast<int>(chunk_segments.size());
  first_chunks_.push_back(chunks_);
  if (chunks_ == 0) return;

  const size_t table_bytes = table.size() * sizeof(DeviceSegment),
               chunk_bytes = chunk_segments.size() * sizeof(int32_t);
  std::vector<unsigned char> bytes(table_bytes + chunk_bytes);
  std::memcpy(bytes.data(), table.data(), table_bytes);
  std::memcpy(bytes.data() + table_bytes, chunk_segments.data(), chunk_bytes);
  block_ = allocate_bytes(bytes.size(), "the optimiser's table of parameters", false);
  try {
    BERTUNE_CUDA(cudaMemcpyAsync(block_, bytes.data(), bytes.size(), cudaMemcpyHostToDevice, context.stream));
    BERTUNE_CUDA(cudaStreamSynchronize(context.stream));
  } catch (...) {
    cudaFree(block_);
    throw;
  }
  bytes_ = bytes.size();
  segments_ = static_cast<DeviceSegment*>(block_);
  chunk_segments_ = reinterpret_cast<int32_t*>(static_cast<unsigned char*>(block_) + table_bytes);
}

SegmentTable::~SegmentTable() { cudaFree(block_); }

bool SegmentTable::describes(const OptimizerSegment* segments, int count) const {
  if (static_cast<size_t>(count) != host_.size()) return false;
  for (int s = 0; s < count; ++s) {
    if (!same(host_[s], segments[s])) return false;
  }
  return true;
}

const SegmentTable& segment_table(Context& context, const OptimizerSegment* segments, int count, int variant) {
  std::unique_ptr<SegmentTable>& table = context.segments[variant];
  if (!table || !table->describes(segments, count)) {
    if (context.recordings->capturing()) {
      throw Error("INTERNAL", "The optimiser met new segments while it was recorded");
    }
    table.reset();
    table = std::make_unique<SegmentTable>(context, segments, count);
  }
  return *table;
}

}  // namespace bertune::cuda
