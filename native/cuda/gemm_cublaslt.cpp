// Matrix products by cuBLASLt, with an algorithm for each shape that was timed on this GPU.
//
// cuBLASLt's matrices are column-major. A row-major out (m,n) is a column-major (n,m), so the product asked for is
//
//   outᵀ (n,m) = op(b)ᵀ (n,k) · op(a)ᵀ (k,m)
//
// with b as its first factor and a as its second. The bias, a value for each of its n rows, is part of the epilogue.
//
// An activation is a kernel of its own behind the product. Our own product has it inside, and takes the library's place
// for those products where both together are slower.
//
// Descriptors and the algorithm of a product are made when it is first met, outside of recordings: while operations are
// captured, the library is asked for nothing but the product.
#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cuda/aside.h"
#include "cuda/cublaslt_problem.h"
#include "cuda/environment.h"
#include "cuda/gemm.h"
#include "cuda/gemm_choices.h"
#include "cuda/gemm_trial.h"
#include "cuda/gemm_tuning.h"
#include "cuda/gpu.h"
#include "cuda/memory.h"
#include "cuda/recordings.h"

namespace bertune::cuda {
namespace {

constexpr int kCandidates = 16;  // algorithms that the heuristic is asked for
// Of each in a graph: as many as it takes for weights to leave the cache before they are read again, within these.
constexpr int kLeastLaunches = 4, kMostLaunches = 64;
constexpr size_t kLargeWorkspace = size_t{32} << 20, kSmallWorkspace = size_t{8} << 20;
constexpr size_t kLeastWorkspace = size_t{1} << 20;  // of the second stream
constexpr size_t kPieceAlignment = 256;
// A choice between the library and our own kernel.
const std::string kOwn = "own", kLibrary = "library";

// A configured algorithm. (nvcc 13.0 cannot destroy a vector of the library's struct, which has no name of its own.)
struct Algorithm {
  cublasLtMatmulAlgo_t config;
};

std::string bytes_of(const Algorithm& algorithm) {
  return std::string(reinterpret_cast<const char*>(&algorithm), sizeof algorithm);
}

bool is_refusal(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
}

// Device memory of a fixed size.
class Buffer {
 public:
  // Null where there is no memory left.
  explicit Buffer(size_t bytes) {
    if (cudaMalloc(&data_, bytes) != cudaSuccess) {
      cudaGetLastError();
      data_ = nullptr;
    }
  }
  Buffer(size_t bytes, const char* what) : data_(allocate_bytes(bytes, what, false)) {}
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  unsigned char* data() const { return static_cast<unsigned char*>(data_); }

 private:
  void* data_ = nullptr;
};

// A product as it is timed: into memory of its own, each time of another copy of the weight, as a product finds it in a
// step, where its weight was last read a step ago.
class Trial {
 public:
  Trial(cudaStream_t stream, const GemmArgs& args, int l2_bytes)
      : args_(args),
        weight_bytes_(stored_bytes(args.transpose_b ? args.n : args.k, args.transpose_b ? args.k : args.n,
                                   args.b_stride, args.inp)),
        piece_((weight_bytes_ + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment),
        launches_(std::clamp(static_cast<int>(l2_bytes / piece_) + 1, kLeastLaunches, kMostLaunches)),
        out_bytes_(stored_bytes(args.m, args.n, args.out_stride, args.out_type)),
        out_(out_bytes_),
        activated_(is_apart(args) ? out_bytes_ : 0),
        weights_(launches_ * piece_) {
    if (!has_memory()) return;
    BERTUNE_CUDA(cudaMemsetAsync(out_.data(), 0, out_bytes_, stream));
    for (int i = 0; i < launches_; ++i) {
      BERTUNE_CUDA(
          cudaMemcpyAsync(weights_.data() + i * piece_, args.b, weight_bytes_, cudaMemcpyDeviceToDevice, stream));
    }
  }

  bool has_memory() const {
    return out_.data() != nullptr && weights_.data() != nullptr && (!is_apart(args_) || activated_.data() != nullptr);
  }

  // Launches of launch(args), which says whether it could.
  template <typename Launch>
  std::unique_ptr<TimedGraph> capture(cudaStream_t stream, const Launch& launch) const {
    return TimedGraph::capture(stream, launches_, [&](int i) {
      GemmArgs args = args_;
      args.b = weights_.data() + i * piece_;
      args.out = out_.data();
      if (args.activated != nullptr) args.activated = is_apart(args_) ? activated_.data() : out_.data();
      return launch(args);
    });
  }

 private:
  // What is activated has memory of its own.
  static bool is_apart(const GemmArgs& args) { return args.activated != nullptr && args.activated != args.out; }
  static size_t stored_bytes(int rows, int columns, int stride, Element element) {
    return (static_cast<size_t>(rows - 1) * stride + columns) * element_bytes(element);
  }

  const GemmArgs args_;
  const size_t weight_bytes_, piece_;
  const int launches_;
  const size_t out_bytes_;
  const Buffer out_, activated_, weights_;
};

size_t find_fastest_graph(cudaStream_t stream, const std::vector<std::unique_ptr<TimedGraph>>& graphs) {
  const size_t fastest = find_fastest(graphs.size(), [&](const std::vector<size_t>& order) {
    std::vector<const TimedGraph*> round;
    for (const size_t candidate : order) round.push_back(graphs[candidate].get());
    return time_graphs(stream, round);
  });
  BERTUNE_CUDA(cudaStreamSynchronize(stream));
  return fastest;
}

// A product that was met: how the library takes it, and the algorithm for it; none where our own kernel is to do it.
struct Product {
  Product(const CublasLtLibrary& library, const ProductKey& key) : problem(library, key) {}

  Problem problem;
  std::optional<Algorithm> algorithm;
  size_t workspace_bytes = 0;  // that the algorithm needs
};

struct Workspace {
  void* data;
  size_t bytes;
};

class CublasLtGemm : public Gemm {
 public:
  explicit CublasLtGemm(bool tf32)
      : tf32_(tf32), tunes_(!gemm_tuning_is_off() && !graphs_are_off()), handle_(library_.destroy) {
    const int device = current_gpu();
    cudaDeviceProp properties{};
    BERTUNE_CUDA(cudaGetDeviceProperties(&properties, device));
    BERTUNE_CUDA(cudaDeviceGetAttribute(&l2_bytes_, cudaDevAttrL2CacheSize, device));
    check_blas(library_, library_.create(handle_.address()), "cublasLtCreate");
    workspace_bytes_ = properties.major >= 9 ? kLargeWorkspace : kSmallWorkspace;
    workspace_ = std::make_unique<Buffer>(workspace_bytes_, "the workspace of cuBLASLt");
    const std::string version = std::to_string(library_.get_version());
    choices_ = std::make_unique<GemmChoices>(GemmChoices::default_path(properties.name, version));
  }

  bool run(Context& context, const GemmArgs& args) override {
    const bool capturing = context.recordings->capturing();
    Product& product = find_product(context, args, capturing);
    if (!product.algorithm) return false;
    const cublasStatus_t status =
        multiply(context.stream, product.problem, args, *product.algorithm, workspace_of(context, product));
    if (is_refusal(status) && !capturing) {
      product.algorithm.reset();
      return false;
    }
    check_blas(library_, status, "cublasLtMatmul");
    if (args.activates()) activate(context, args);
    return true;
  }

  size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  // Beside the main stream, whose products use workspace_, about as much as the algorithm needs.
  Workspace workspace_of(Context& context, const Product& product) const {
    if (!context.is_aside) return whole_workspace();
    if (product.workspace_bytes == 0) return {nullptr, 0};
    // A power of two: it rarely grows, which costs all recordings.
    const size_t bytes = std::bit_ceil(std::max(product.workspace_bytes, kLeastWorkspace));
    return {context.scratch.floats(bytes / sizeof(float)), bytes};
  }
  Workspace whole_workspace() const { return {workspace_->data(), workspace_bytes_}; }

  cublasStatus_t multiply(cudaStream_t stream, const Problem& problem, const GemmArgs& args, const Algorithm& algorithm,
                          Workspace workspace) const {
    const float alpha = 1.f, beta = args.add ? 1.f : 0.f;
    return library_.matmul(handle_.get(), problem.desc(), &alpha, args.b, problem.first(), args.a, problem.second(),
                           &beta, args.out, problem.out(), args.out, problem.out(), &algorithm.config, workspace.data,
                           workspace.bytes, stream);
  }

  Product& find_product(Context& context, const GemmArgs& args, bool capturing) {
    const ProductKey key(args, tf32_);
    const auto found = products_.find(key);
    if (found != products_.end()) return *found->second;
    if (capturing) throw Error("INTERNAL", "A product was met that is not known, while it was recorded: " + key.text());
    context.aside->synchronize();  // what is timed has the GPU for itself, and its workspace
    auto product = std::make_unique<Product>(library_, key);
    product->algorithm = choose(context.stream, key, product->problem, args);
    if (product->algorithm && is_own_faster(context, key, *product, args)) product->algorithm.reset();
    if (product->algorithm) {
      product->workspace_bytes = workspace_needed(product->problem, *product->algorithm).value_or(workspace_bytes_);
    }
    return *products_.emplace(key, std::move(product)).first->second;
  }

  // The algorithm chosen for such a product earlier, in this process or another; else the fastest of those that the
  // heuristic names, or its first where nothing can be timed. None where the library has none.
  std::optional<Algorithm> choose(cudaStream_t stream, const ProductKey& key, const Problem& problem,
                                  const GemmArgs& args) {
    const std::string text = key.text();
    if (const std::optional<Algorithm> algorithm = find_chosen(text, problem)) return algorithm;
    const std::vector<Algorithm> candidates = ask_heuristic(problem);
    if (candidates.empty()) return std::nullopt;
    const std::optional<Algorithm> fastest =
        tunes_ && candidates.size() > 1 ? time_candidates(stream, problem, args, candidates) : std::nullopt;
    if (!fastest) {
      choices_->set(text, bytes_of(candidates.front()));
      return candidates.front();
    }
    choices_->keep(text, bytes_of(*fastest));
    return find_chosen(text, problem).value_or(*fastest);  // another process's, where that was first
  }

  // None where there is none yet, or it cannot be run.
  std::optional<Algorithm> find_chosen(const std::string& text, const Problem& problem) const {
    const std::string* chosen = choices_->find(text);
    Algorithm algorithm;
    if (chosen == nullptr || chosen->size() != sizeof algorithm) return std::nullopt;
    std::memcpy(&algorithm, chosen->data(), sizeof algorithm);
    return is_usable(problem, algorithm) ? std::optional(algorithm) : std::nullopt;
  }

  bool is_usable(const Problem& problem, const Algorithm& algorithm) const {
    const std::optional<size_t> bytes = workspace_needed(problem, algorithm);
    return bytes && *bytes <= workspace_bytes_;
  }

  // None where the library refuses the algorithm.
  std::optional<size_t> workspace_needed(const Problem& problem, const Algorithm& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status = library_.algo_check(handle_.get(), problem.desc(), problem.first(), problem.second(),
                                                      problem.out(), problem.out(), &algorithm.config, &result);
    return status == CUBLAS_STATUS_SUCCESS ? std::optional(result.workspaceSize) : std::nullopt;
  }

  // The algorithms for a product, best guess first.
  std::vector<Algorithm> ask_heuristic(const Problem& problem) const {
    Owned<cublasLtMatmulPreference_t> preference(library_.preference_destroy);
    check_blas(library_, library_.preference_create(preference.address()), "cublasLtMatmulPreferenceCreate");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check_blas(library_, library_.preference_set_attribute(preference.get(), attribute, &value, sizeof value),
                 "cublasLtMatmulPreferenceSetAttribute");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes_));
    // Parts of a sum over k are added up in a fixed order and in float, or k is not split: in-place sums have no fixed
    // order, and sums in bf16 lose what the product was computed in float for.
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    for (const auto attribute :
         {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
          CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      set(attribute, static_cast<uint32_t>(kLibraryAlignment));
    }

    cublasLtMatmulHeuristicResult_t results[kCandidates] = {};
    int count = 0;
    const cublasStatus_t status =
        library_.algo_get_heuristic(handle_.get(), problem.desc(), problem.first(), problem.second(), problem.out(),
                                    problem.out(), preference.get(), kCandidates, results, &count);
    if (is_refusal(status)) return {};
    check_blas(library_, status, "cublasLtMatmulAlgoGetHeuristic");
    std::vector<Algorithm> algorithms;
    for (int i = 0; i < count; ++i) {
      if (results[i].state == CUBLAS_STATUS_SUCCESS && results[i].workspaceSize <= workspace_bytes_) {
        algorithms.push_back({results[i].algo});
      }
    }
    return algorithms;
  }

  // The fastest. None where there is no memory to time them, or no algorithm can be captured.
  std::optional<Algorithm> time_candidates(cudaStream_t stream, const Problem& problem, const GemmArgs& args,
                                           const std::vector<Algorithm>& algorithms) const {
    const Trial trial(stream, args, l2_bytes_);
    if (!trial.has_memory()) return std::nullopt;
    std::vector<Algorithm> timed;
    std::vector<std::unique_ptr<TimedGraph>> graphs;
    for (const Algorithm& algorithm : algorithms) {
      auto graph = trial.capture(stream, [&](const GemmArgs& args) {
        return multiply(stream, problem, args, algorithm, whole_workspace()) == CUBLAS_STATUS_SUCCESS;
      });
      if (!graph) continue;
      timed.push_back(algorithm);
      graphs.push_back(std::move(graph));
    }
    if (timed.empty()) return std::nullopt;
    return timed[find_fastest_graph(stream, graphs)];
  }

  // Whether our own product with its activation takes less time than the library's and a kernel behind it.
  bool is_own_faster(Context& context, const ProductKey& key, const Product& product, const GemmArgs& args) const {
    if (!args.activates()) return false;
    const std::string text = key.activation_text();
    if (const std::string* chosen = choices_->find(text)) return *chosen == kOwn;
    if (!tunes_) return false;
    const Trial trial(context.stream, args, l2_bytes_);
    if (!trial.has_memory()) return false;
    std::vector<std::unique_ptr<TimedGraph>> graphs;
    graphs.push_back(trial.capture(context.stream, [&](const GemmArgs& args) {
      const cublasStatus_t status =
          multiply(context.stream, product.problem, args, *product.algorithm, whole_workspace());
      if (status == CUBLAS_STATUS_SUCCESS) activate(context, args);
      return status == CUBLAS_STATUS_SUCCESS;
    }));
    graphs.push_back(trial.capture(context.stream, [&](const GemmArgs& args) {
      small_gemm(context, args);
      return true;
    }));
    if (!graphs[0] || !graphs[1]) return false;
    choices_->keep(text, find_fastest_graph(context.stream, graphs) == 1 ? kOwn : kLibrary);
    return *choices_->find(text) == kOwn;
  }

  bool tf32_;
  bool tunes_;
  int l2_bytes_ = 0;
  size_t workspace_bytes_ = 0;
  CublasLtLibrary library_;
  Owned<cublasLtHandle_t> handle_;
  std::unique_ptr<Buffer> workspace_;
  std::unique_ptr<GemmChoices> choices_;
  std::map<ProductKey, std::unique_ptr<Product>> products_;
};

}  // namespace

std::unique_ptr<Gemm> make_gemm(bool tf32) { return std::make_unique<CublasLtGemm>(tf32); }

BlasLibrary find_blas() {
  if (gemm_is_own()) return {"products of its own (BERTUNE_GEMM=own)", ""};
  try {
    const CublasLtLibrary library;
    const size_t version = library.get_version();  // 130101 is 13.1.1
    return {"cuBLASLt " + std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
                std::to_string(version % 100),
            ""};
  } catch (const Error& error) {
    return {"", error.what()};
  }
}

}  // namespace bertune::cuda
