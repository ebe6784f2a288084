#include "graph.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <utility>

#include "fault.h"
#include "report.h"

namespace simt {
namespace {

std::vector<Capture*>& active() {
  static std::vector<Capture*>& active = *new std::vector<Capture*>;
  return active;
}

// The node and all that come before it, marked.
void mark_ancestors(const std::vector<Node>& nodes, int node, std::vector<bool>& marked) {
  if (marked[static_cast<size_t>(node)]) return;
  marked[static_cast<size_t>(node)] = true;
  for (const int before : nodes[static_cast<size_t>(node)].after) mark_ancestors(nodes, before, marked);
}

// Whether all that other streams recorded was waited for by the stream that began.
bool is_joined(const Capture& capture) {
  std::vector<bool> reached(capture.nodes.size());
  for (const int node : capture.origin->tail) mark_ancestors(capture.nodes, node, reached);
  return std::all_of(reached.begin(), reached.end(), [](bool is) { return is; });
}

void end(Capture* capture) {
  for (CUstream_st* stream : capture->streams) {
    stream->capture = nullptr;
    stream->tail.clear();
  }
  active().erase(std::find(active().begin(), active().end(), capture));
}

void join(CUstream_st* stream, Capture* capture) {
  stream->capture = capture;
  capture->streams.push_back(stream);
}

void run_in_order(const std::vector<Node>& nodes) {
  for (const Node& node : nodes) node.task();
}

// Which of the nodes that may run now is next: its place in `ready`.
size_t pick(const std::vector<Node>& nodes, const std::vector<int>& ready) {
  const Config::Branches branches = config().branches;
  if (branches == Config::Branches::kAny) return random_number() % ready.size();
  const auto place = [&](int node) {
    const bool branch = nodes[static_cast<size_t>(node)].branch;
    return std::pair(branch == (branches == Config::Branches::kLast), node);
  };
  const auto next = std::min_element(ready.begin(), ready.end(), [&](int a, int b) { return place(a) < place(b); });
  return static_cast<size_t>(next - ready.begin());
}

// An order that the dependencies allow.
void run_in_any_order(const std::vector<Node>& nodes) {
  std::vector<int> waiting(nodes.size()), ready;
  std::vector<std::vector<int>> followers(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    waiting[i] = static_cast<int>(nodes[i].after.size());
    if (waiting[i] == 0) ready.push_back(static_cast<int>(i));
    for (const int before : nodes[i].after) followers[static_cast<size_t>(before)].push_back(static_cast<int>(i));
  }
  while (!ready.empty()) {
    std::swap(ready[pick(nodes, ready)], ready.back());
    const auto node = static_cast<size_t>(ready.back());
    ready.pop_back();
    nodes[node].task();
    for (const int follower : followers[node]) {
      if (--waiting[static_cast<size_t>(follower)] == 0) ready.push_back(follower);
    }
  }
}

void run_nodes(const std::vector<Node>& nodes) {
  if (config().lazy_streams) {
    run_in_any_order(nodes);
  } else {
    run_in_order(nodes);
  }
}

// Whether the node may start while what comes before it runs, which takes kernels on both sides.
bool overlaps(const std::vector<Node>& nodes, const Node& node) {
  const auto is_kernel = [&](int before) { return nodes[static_cast<size_t>(before)].name.kernel != nullptr; };
  return node.name.overlaps && !node.after.empty() && std::all_of(node.after.begin(), node.after.end(), is_kernel);
}

// Writes what the nodes are called, in order, over what was listed before.
void list_nodes(const std::vector<Node>& nodes, const std::string& file) {
  static auto& kernels = *new std::map<const void*, std::string>;
  std::ofstream list(file);
  for (const Node& node : nodes) {
    const TaskName& name = node.name;
    std::string& kernel = kernels[name.kernel];
    if (name.kernel && kernel.empty()) kernel = kernel_name(name.kernel);
    list << (overlaps(nodes, node) ? "+" : "") << (name.kernel ? kernel : name.text) << '\n';
  }
}

}  // namespace

const std::vector<Capture*>& captures() { return active(); }

Capture* find_capture(uint64_t id) {
  for (Capture* capture : active()) {
    if (capture->id == id) return capture;
  }
  return nullptr;
}

bool this_thread_captures() {
  const Lock lock(mutex());
  return std::any_of(active().begin(), active().end(),
                     [](const Capture* capture) { return capture->thread == std::this_thread::get_id(); });
}

void invalidate(Capture* capture) { capture->invalid = true; }

void record(CUstream_st* stream, Task task, TaskName name) {
  Capture& capture = *stream->capture;
  capture.nodes.push_back({std::move(task), name, stream->tail, stream != capture.origin});
  stream->tail = {static_cast<int>(capture.nodes.size()) - 1};
}

void forget_stream(CUstream_st* stream) {
  if (!stream->capture) return;
  Capture* capture = stream->capture;
  invalidate(capture);
  capture->streams.erase(std::find(capture->streams.begin(), capture->streams.end(), stream));
  if (capture->origin == stream) {
    end(capture);
    delete capture;
  }
}

bool is_captured(const CUevent_st* event) { return event->capture_id != 0; }

cudaError_t record_event(CUstream_st* stream, CUevent_st* event) {
  if (stream->capture->invalid) return cudaErrorStreamCaptureInvalidated;
  event->mark.reset();
  event->capture_id = stream->capture->id;
  event->nodes = stream->tail;
  return cudaSuccess;
}

cudaError_t wait_event(CUstream_st* stream, CUevent_st* event) {
  if (!is_captured(event)) {
    if (!event->mark) return cudaSuccess;  // never recorded: nothing to wait for
    // What was recorded outside can not be waited for inside.
    invalidate(stream->capture);
    return cudaErrorStreamCaptureIsolation;
  }
  Capture* capture = find_capture(event->capture_id);
  if (!capture) return cudaErrorCapturedEvent;
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (stream->capture && stream->capture != capture) {
    invalidate(stream->capture);
    invalidate(capture);
    return cudaErrorStreamCaptureMerge;
  }
  if (!stream->capture) join(stream, capture);
  for (const int node : event->nodes) {
    if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end()) stream->tail.push_back(node);
  }
  return cudaSuccess;
}

}  // namespace simt

struct CUgraph_st {
  std::shared_ptr<const std::vector<simt::Node>> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<simt::Node>> nodes;
};

inline namespace simt_cudart {
using namespace simt;

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const Lock lock(mutex());
  static uint64_t last_id = 0;
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  if (!stream || config().fail_graphs == "capture") return remember(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return remember(cudaErrorInvalidValue);
  auto* capture = new Capture{++last_id, stream, mode, std::this_thread::get_id()};
  join(stream, capture);
  active().push_back(capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Lock lock(mutex());
  *graph = nullptr;
  if (!stream || !stream->capture) return remember(cudaErrorInvalidValue);
  Capture* capture = stream->capture;
  if (capture->origin != stream) return remember(cudaErrorStreamCaptureUnmatched);
  const bool other_thread = capture->thread != std::this_thread::get_id();
  if (capture->mode != cudaStreamCaptureModeRelaxed && other_thread) return remember(cudaErrorStreamCaptureWrongThread);
  if (config().fail_graphs == "end") invalidate(capture);
  const cudaError_t error = capture->invalid       ? cudaErrorStreamCaptureInvalidated
                            : !is_joined(*capture) ? cudaErrorStreamCaptureUnjoined
                                                   : cudaSuccess;
  end(capture);
  fails_now(Fault::kCall);
  if (error == cudaSuccess) {
    *graph = new CUgraph_st{std::make_shared<const std::vector<Node>>(std::move(capture->nodes))};
  }
  delete capture;
  return remember(error);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Lock lock(mutex());
  const Capture* capture = stream ? stream->capture : nullptr;
  *status = !capture           ? cudaStreamCaptureStatusNone
            : capture->invalid ? cudaStreamCaptureStatusInvalidated
                               : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  const Lock lock(mutex());
  *executable = nullptr;
  if (!graph) return remember(cudaErrorInvalidValue);
  if (sticky_error() != cudaSuccess || fails_now(Fault::kCall)) return remember(sticky_error());
  if (config().fail_graphs == "instantiate") return remember(cudaErrorMemoryAllocation);
  if (config().fail_graphs == "overlap" &&
      std::any_of(graph->nodes->begin(), graph->nodes->end(), [](const Node& node) { return node.name.overlaps; })) {
    return remember(cudaErrorNotSupported);
  }
  if (!config().list_graphs.empty()) list_nodes(*graph->nodes, config().list_graphs);
  *executable = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (!executable) return remember(cudaErrorInvalidValue);
  if (config().fail_graphs == "launch") return remember(cudaErrorMemoryAllocation);
  return enqueue(stream, [nodes = executable->nodes] { run_nodes(*nodes); });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t) {
  return remember(executable ? sticky_error() : cudaErrorInvalidValue);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Lock lock(mutex());
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const Lock lock(mutex());
  delete executable;  // launches that wait in a stream hold the nodes themselves
  return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  const Lock lock(mutex());
  if (!graph) return remember(cudaErrorInvalidValue);
  if (nodes) return remember(cudaErrorNotSupported);
  *count = graph->nodes->size();
  return cudaSuccess;
}

}  // namespace simt_cudart
