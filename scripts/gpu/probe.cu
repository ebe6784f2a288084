// Tests what the backend relies on in a GPU and its cuBLASLt, without Node and without the backend. One question per run:
//
//   probe copy        GB per second from and to the device's memory
//   probe gaps        the time from one node of a graph to the next, also where launches overlap
//   probe products    the matrix products of a BERT-base layer in bf16: how many algorithms, how long each takes
//   probe capture     which calls cuBLASLt tolerates while a stream is captured, in each mode of capture
//   probe limit       whether a graph still runs after its kernel's limit of shared memory was lowered
//
// scripts/first-light.sh compiles it with nvcc and what of native/cuda opens cuBLASLt, and runs all five.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cuda/check.h"
#include "cuda/cublaslt_library.h"
#include "cuda/simt.h"

namespace bertune::cuda {
namespace {

#if defined(BERTUNE_EMULATED)  // only whether the program is right
constexpr int kShrink = 16, kNodes = 20, kLayers = 2, kReplays = 2;
constexpr size_t kCopyBytes = size_t{1} << 20;
#else
constexpr int kShrink = 1, kNodes = 2000, kLayers = 12, kReplays = 7;
constexpr size_t kCopyBytes = size_t{1} << 30;
#endif
constexpr int kCopies = 10;
constexpr int kThreads = 256;

class Memory {
 public:
  explicit Memory(size_t bytes) {
    BERTUNE_CUDA(cudaMalloc(&data_, bytes));
    BERTUNE_CUDA(cudaMemset(data_, 0, bytes));
  }
  ~Memory() { cudaFree(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* data() const { return data_; }
  char* bytes() const { return static_cast<char*>(data_); }

 private:
  void* data_ = nullptr;
};

// How many seconds the work put into the stream takes.
double seconds_of(cudaStream_t stream, const std::function<void()>& work) {
  cudaEvent_t start, stop;
  BERTUNE_CUDA(cudaEventCreate(&start));
  BERTUNE_CUDA(cudaEventCreate(&stop));
  BERTUNE_CUDA(cudaEventRecord(start, stream));
  work();
  BERTUNE_CUDA(cudaEventRecord(stop, stream));
  BERTUNE_CUDA(cudaEventSynchronize(stop));
  float milliseconds = 0;
  BERTUNE_CUDA(cudaEventElapsedTime(&milliseconds, start, stop));
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  return milliseconds / 1e3;
}

struct Times {
  double median, spread;  // seconds; the longest less the shortest, as a share of the median
};

Times times_of(cudaStream_t stream, const std::function<void()>& work) {
  work();
  std::vector<double> seconds;
  for (int i = 0; i < kReplays; ++i) seconds.push_back(seconds_of(stream, work));
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2];
  return {median, (seconds.back() - seconds.front()) / median};
}

// The work put into a stream, as a graph.
class Graph {
 public:
  Graph(cudaStream_t stream, cudaStreamCaptureMode mode, const std::function<void()>& work) : stream_(stream) {
    BERTUNE_CUDA(cudaStreamBeginCapture(stream, mode));
    work();
    BERTUNE_CUDA(cudaStreamEndCapture(stream, &graph_));
    BERTUNE_CUDA(cudaGraphInstantiate(&executable_, graph_, 0));
  }
  ~Graph() {
    if (executable_) cudaGraphExecDestroy(executable_);
    if (graph_) cudaGraphDestroy(graph_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void replay() const { BERTUNE_CUDA(cudaGraphLaunch(executable_, stream_)); }

 private:
  cudaStream_t stream_;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

// inp → out, `count` times 16 bytes. Grid of any size, block kThreads.
__global__ void copy_kernel(const uint4* inp, uint4* out, int64_t count) {
  const int64_t all = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += all) out[i] = inp[i];
}

void probe_copy(cudaStream_t stream) {
  const Memory inp(kCopyBytes), out(kCopyBytes);
  const auto rate = [&](const std::function<void()>& copy) {
    const Times times = times_of(stream, [&] {
      for (int i = 0; i < kCopies; ++i) copy();
    });
    return 2.0 * kCopyBytes * kCopies / times.median / 1e9;
  };
  const double runtime = rate(
      [&] { BERTUNE_CUDA(cudaMemcpyAsync(out.data(), inp.data(), kCopyBytes, cudaMemcpyDeviceToDevice, stream)); });
  int processors = 0;
  BERTUNE_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
  const double kernel = rate([&] {
    BERTUNE_CUDA(simt::launch(&copy_kernel, dim3(static_cast<unsigned>(processors) * 8), dim3(kThreads), 0, stream,
                              static_cast<const uint4*>(inp.data()), static_cast<uint4*>(out.data()),
                              static_cast<int64_t>(kCopyBytes / sizeof(uint4))));
  });
  std::printf("copy: %.0f GB/s by cudaMemcpyAsync, %.0f GB/s by a kernel\n", runtime, kernel);
}

// Grid 1, block 1.
__global__ void count_kernel(int* count) {
  simt::wait_for_previous();
  *count += 1;
}

// The time from one node to the next, as text.
std::string gap(cudaStream_t stream, bool overlaps) {
  const Memory count(sizeof(int));
  const Graph graph(stream, cudaStreamCaptureModeThreadLocal, [&] {
    const simt::Order order(stream, overlaps);
    for (int i = 0; i < kNodes; ++i) {
      BERTUNE_CUDA(simt::launch(&count_kernel, dim3(1), dim3(1), 0, order, static_cast<int*>(count.data())));
    }
  });
  const Times times = times_of(stream, [&] { graph.replay(); });
  int counted = 0;
  BERTUNE_CUDA(cudaMemcpy(&counted, count.data(), sizeof counted, cudaMemcpyDeviceToHost));
  char text[128];
  std::snprintf(text, sizeof text, "%.3f µs (spread %.1f %%%s)", times.median / kNodes * 1e6, times.spread * 100,
                counted == (kReplays + 1) * kNodes ? "" : "; WRONG: nodes did not run, or not one behind the other");
  return text;
}

void probe_gaps(cudaStream_t stream) {
  const std::string apart = gap(stream, false);
  std::string overlapping;
  try {
    overlapping = gap(stream, true);
  } catch (const Error& error) {
    overlapping = error.what();
  }
  std::printf("gaps: %s from a node that does next to nothing to the next, %s where they overlap\n", apart.c_str(),
              overlapping.c_str());
}

// A product as native/cuda/gemm.h has it: row-major out (m,n) = [out +] a · b [+ bias].
struct Shape {
  const char* name;
  int m, n, k;
  bool transpose_a, transpose_b, bias, sums;  // sums: out is float and added to
};

// A step's products in a layer: 16 texts of 22 tokens, C = 768, F = 3072.
constexpr int kRows = 384, kHidden = 768, kWide = 3072;
constexpr Shape kShapes[] = {
    {"qkv", kRows, 3 * kHidden, kHidden, false, true, true, false},
    {"attention out", kRows, kHidden, kHidden, false, true, true, false},
    {"widen", kRows, kWide, kHidden, false, true, true, false},
    {"narrow", kRows, kHidden, kWide, false, true, true, false},
    {"d qkv", kRows, kHidden, 3 * kHidden, false, false, false, false},
    {"d attention out", kRows, kHidden, kHidden, false, false, false, false},
    {"d widen", kRows, kHidden, kWide, false, false, false, false},
    {"d narrow", kRows, kWide, kHidden, false, false, false, false},
    {"dweight qkv", 3 * kHidden, kHidden, kRows, true, false, false, true},
    {"dweight attention out", kHidden, kHidden, kRows, true, false, false, true},
    {"dweight widen", kWide, kHidden, kRows, true, false, false, true},
    {"dweight narrow", kHidden, kWide, kRows, true, false, false, true},
};
constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr int kCandidates = 16;

// What the heuristic names. (nvcc 13.0 cannot destroy a vector of the library's struct, which has no name of its own.)
struct Candidate {
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace_bytes;
  cublasStatus_t state;
};

// cuBLASLt for one shape: its descriptors, and arrays for several layers so that weights come from the device's memory.
class Product {
 public:
  Product(const CublasLtLibrary& library, Shape shape)
      : library_(library),
        shape_(shrink(shape)),
        a_(size_t{2} * shape_.m * shape_.k),
        b_(size_t{2} * shape_.k * shape_.n * kLayers),
        out_(out_bytes() * kLayers),
        bias_(size_t{2} * shape_.n),
        workspace_(kWorkspaceBytes) {
    check(library.create(&handle_), "cublasLtCreate");
    check(library.desc_create(&desc_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    // Column-major: outᵀ = op(b)ᵀ · op(a)ᵀ.
    set(CUBLASLT_MATMUL_DESC_TRANSA, shape_.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, shape_.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    if (shape_.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias_.data()));
    }
    const auto layout = [&](cublasLtMatrixLayout_t* made, cudaDataType_t type, int rows, int columns) {
      check(library.layout_create(made, type, rows, columns, rows), "cublasLtMatrixLayoutCreate");
    };
    shape_.transpose_b ? layout(&first_, CUDA_R_16BF, shape_.k, shape_.n)
                       : layout(&first_, CUDA_R_16BF, shape_.n, shape_.k);
    shape_.transpose_a ? layout(&second_, CUDA_R_16BF, shape_.m, shape_.k)
                       : layout(&second_, CUDA_R_16BF, shape_.k, shape_.m);
    layout(&result_, shape_.sums ? CUDA_R_32F : CUDA_R_16BF, shape_.n, shape_.m);
  }
  ~Product() {
    for (const cublasLtMatrixLayout_t made : {first_, second_, result_}) {
      if (made) library_.layout_destroy(made);
    }
    if (desc_) library_.desc_destroy(desc_);
    if (handle_) library_.destroy(handle_);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  const Shape& shape() const { return shape_; }

  cublasStatus_t ask(std::vector<Candidate>& candidates) const {
    cublasLtMatmulPreference_t preference = nullptr;
    check(library_.preference_create(&preference), "cublasLtMatmulPreferenceCreate");
    const uint64_t workspace = kWorkspaceBytes;
    const uint32_t reduction = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    library_.preference_set_attribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                                      sizeof workspace);
    library_.preference_set_attribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction,
                                      sizeof reduction);
    cublasLtMatmulHeuristicResult_t results[kCandidates] = {};
    int count = 0;
    const cublasStatus_t status = library_.algo_get_heuristic(handle_, desc_, first_, second_, result_, result_,
                                                              preference, kCandidates, results, &count);
    library_.preference_destroy(preference);
    candidates.clear();
    for (int i = 0; i < count; ++i) candidates.push_back({results[i].algo, results[i].workspaceSize, results[i].state});
    return status;
  }

  cublasStatus_t is_usable(const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    return library_.algo_check(handle_, desc_, first_, second_, result_, result_, &algorithm, &result);
  }

  cublasStatus_t multiply(cudaStream_t stream, const cublasLtMatmulAlgo_t& algorithm, int layer) const {
    const float alpha = 1, beta = shape_.sums ? 1 : 0;
    char* out = out_.bytes() + out_bytes() * layer;
    return library_.matmul(handle_, desc_, &alpha, b_.bytes() + size_t{2} * shape_.k * shape_.n * layer, first_,
                           a_.data(), second_, &beta, out, result_, out, result_, &algorithm, workspace_.data(),
                           kWorkspaceBytes, stream);
  }

 private:
  static Shape shrink(Shape shape) {
    shape.m /= kShrink;
    shape.n /= kShrink;
    shape.k /= kShrink;
    return shape;
  }
  size_t out_bytes() const { return size_t{shape_.sums ? 4u : 2u} * shape_.m * shape_.n; }
  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw Error("CUDA_ERROR", library_.get_status_name(status) + (" from " + std::string(what)));
  }
  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(library_.desc_set_attribute(desc_, attribute, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
  }

  const CublasLtLibrary& library_;
  Shape shape_;
  Memory a_, b_, out_, bias_, workspace_;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulDesc_t desc_ = nullptr;
  cublasLtMatrixLayout_t first_ = nullptr, second_ = nullptr, result_ = nullptr;
};

// The word that most statuses begin with is left out.
std::string word(const CublasLtLibrary& library, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return "SUCCESS";
  const std::string name = library.get_status_name(status), usual = "CUBLAS_STATUS_";
  return name.rfind(usual, 0) == 0 ? name.substr(usual.size()) : name;
}

void probe_products(cudaStream_t stream) {
  const CublasLtLibrary library;
  std::printf("products: cuBLASLt %zu, %s\n", library.get_version(), library.path().c_str());
  for (const Shape& shape : kShapes) {
    const Product product(library, shape);
    std::vector<Candidate> results;
    const cublasStatus_t status = product.ask(results);
    std::printf("%s %d×%d×%d: ", shape.name, product.shape().m, product.shape().n, product.shape().k);
    if (results.empty()) {
      std::printf("no algorithm, %s\n", word(library, status).c_str());
      continue;
    }
    std::map<std::string, int> refused;
    double first = 0, least = 0, spread = 0;
    size_t fastest = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      const cublasLtMatmulAlgo_t& algorithm = results[i].algorithm;
      cublasStatus_t run = results[i].state;
      if (run == CUBLAS_STATUS_SUCCESS) run = product.multiply(stream, algorithm, 0);
      if (run != CUBLAS_STATUS_SUCCESS) {
        refused[word(library, run)] += 1;
        continue;
      }
      BERTUNE_CUDA(cudaStreamSynchronize(stream));
      const Graph graph(stream, cudaStreamCaptureModeRelaxed, [&] {
        for (int layer = 0; layer < 2 * kLayers; ++layer) product.multiply(stream, algorithm, layer % kLayers);
      });
      const Times times = times_of(stream, [&] { graph.replay(); });
      const double seconds = times.median / (2 * kLayers);
      if (i == 0) first = seconds;
      spread = std::max(spread, times.spread);
      if (least == 0 || seconds < least) {
        least = seconds;
        fastest = i;
      }
    }
    std::printf(
        "%zu algorithms, the first %.2f µs, the fastest, number %zu, %.2f µs (workspace %zu KiB); spread %.1f %%",
        results.size(), first * 1e6, fastest, least * 1e6, results[fastest].workspace_bytes >> 10, spread * 100);
    for (const auto& [name, count] : refused) std::printf("; %d %s", count, name.c_str());
    std::printf("\n");
  }
}

// Makes a call while the stream is captured: what it says, what the capture says, and whether a replay runs.
void try_in_capture(const CublasLtLibrary& library, cudaStream_t stream, const char* name,
                    const std::pair<const char*, cudaStreamCaptureMode>& mode,
                    const std::function<cublasStatus_t()>& call) {
  BERTUNE_CUDA(cudaStreamBeginCapture(stream, mode.second));
  const cublasStatus_t status = call();
  cudaGraph_t graph = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream, &graph);
  const char* at = "capture";
  size_t nodes = 0;
  cudaGraphExec_t executable = nullptr;
  if (error == cudaSuccess) {
    cudaGraphGetNodes(graph, nullptr, &nodes);
    at = "instantiation";
    error = cudaGraphInstantiate(&executable, graph, 0);
  }
  if (error == cudaSuccess) {
    at = "replay";
    error = cudaGraphLaunch(executable, stream);
    if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
  }
  std::printf("capture %s: %s %s, %zu nodes, ", mode.first, name, word(library, status).c_str(), nodes);
  if (error == cudaSuccess)
    std::printf("replayed\n");
  else
    std::printf("%s failed: %s\n", at, cudaGetErrorName(error));
  if (executable) cudaGraphExecDestroy(executable);
  if (graph) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void probe_capture(cudaStream_t stream) {
  const CublasLtLibrary library;
  const std::pair<const char*, cudaStreamCaptureMode> modes[] = {{"thread-local", cudaStreamCaptureModeThreadLocal},
                                                                 {"relaxed", cudaStreamCaptureModeRelaxed}};
  int next = 0;
  for (const auto& mode : modes) {
    // A shape whose kernels no call has met yet, so that loading them falls into the capture.
    const Product fresh(library, kShapes[next++]), known(library, kShapes[next++]);
    std::vector<Candidate> first, results;
    fresh.ask(first);
    known.ask(results);
    if (first.empty() || results.empty()) {
      std::printf("capture %s: no algorithm for the shapes\n", mode.first);
      continue;
    }
    known.multiply(stream, results[0].algorithm, 0);
    BERTUNE_CUDA(cudaStreamSynchronize(stream));
    const auto attempt = [&](const char* name, const std::function<cublasStatus_t()>& call) {
      try_in_capture(library, stream, name, mode, call);
    };
    attempt("Matmul", [&] { return known.multiply(stream, results[0].algorithm, 0); });
    attempt("Matmul, its first", [&] { return fresh.multiply(stream, first[0].algorithm, 0); });
    attempt("AlgoCheck", [&] { return known.is_usable(results[0].algorithm); });
    std::vector<Candidate> asked;
    attempt("AlgoGetHeuristic", [&] { return known.ask(asked); });
  }
}

constexpr int kHighBytes = 96 << 10, kLowBytes = 56 << 10;

// out (1): the sum of n ones through dynamic shared memory. Grid 1, block kThreads.
__global__ void shared_kernel(int n, int* out) {
  DYN_SHARED(memory);
  int* ones = memory.take<int>(n);
  for (int i = threadIdx.x; i < n; i += kThreads) ones[i] = 1;
  __syncthreads();
  if (threadIdx.x > 0) return;
  int sum = 0;
  for (int i = 0; i < n; ++i) sum += ones[i];
  *out = sum;
}

void probe_limit(cudaStream_t stream) {
  const Memory out(sizeof(int));
  const int n = kHighBytes / static_cast<int>(sizeof(int));
  const auto set_limit = [&](int bytes) {
    BERTUNE_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(&shared_kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  };
  set_limit(kHighBytes);
  const Graph graph(stream, cudaStreamCaptureModeThreadLocal, [&] {
    BERTUNE_CUDA(
        simt::launch(&shared_kernel, dim3(1), dim3(kThreads), kHighBytes, stream, n, static_cast<int*>(out.data())));
  });
  set_limit(kLowBytes);
  BERTUNE_CUDA(cudaMemset(out.data(), 0, sizeof(int)));
  std::string answer = "runs";
  try {
    graph.replay();
    BERTUNE_CUDA(cudaStreamSynchronize(stream));
    int sum = 0;
    BERTUNE_CUDA(cudaMemcpy(&sum, out.data(), sizeof sum, cudaMemcpyDeviceToHost));
    if (sum != n) answer = "computes something else";
  } catch (const Error& error) {
    answer = error.what();
  }
  std::printf("limit: a graph recorded at %d KiB of shared memory, replayed at a limit of %d KiB: %s\n",
              kHighBytes >> 10, kLowBytes >> 10, answer.c_str());
}

}  // namespace
}  // namespace bertune::cuda

int main(int count, char** arguments) {
  using namespace bertune::cuda;
  const std::map<std::string, void (*)(cudaStream_t)> probes = {{"copy", probe_copy},
                                                                {"gaps", probe_gaps},
                                                                {"products", probe_products},
                                                                {"capture", probe_capture},
                                                                {"limit", probe_limit}};
  const auto chosen = probes.find(count > 1 ? arguments[1] : "");
  if (chosen == probes.end()) {
    std::fprintf(stderr, "Expected copy, gaps, products, capture or limit\n");
    return 2;
  }
  try {
    cudaStream_t stream = nullptr;
    BERTUNE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    chosen->second(stream);
    BERTUNE_CUDA(cudaDeviceSynchronize());
    return 0;
  } catch (const std::exception& error) {
    std::printf("%s: failed: %s\n", arguments[1], error.what());
    return 1;
  }
}
