// Matrix products by cuBLASLt, with an algorithm for each shape that was timed on this GPU.
//
// cuBLASLt's matrices are column-major. A row-major out (m,n) is a column-major (n,m), so the product asked for is
//
//   outᵀ (n,m) = op(b)ᵀ (n,k) · op(a)ᵀ (k,m)
//
// with b as its first factor and a as its second. The bias, a value for each of its n rows, is part of the epilogue.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "cuda/cublaslt_library.h"
#include "cuda/gemm.h"
#include "cuda/gemm_choices.h"
#include "cuda/memory.h"

namespace bertune::cuda {
namespace {

constexpr int kCandidates = 16;  // algorithms that the heuristic is asked for
constexpr int kTimedRuns = 5;    // of each, after one to warm up
// How much faster than the heuristic's first another algorithm has to be: noise makes no choices.
constexpr float kGain = 0.97f;
constexpr size_t kLargeWorkspace = size_t{32} << 20, kSmallWorkspace = size_t{8} << 20;
constexpr size_t kMaxAlignment = 256;  // more is of no use to any algorithm

cudaDataType_t data_type(Element element) { return element == Element::kBf16 ? CUDA_R_16BF : CUDA_R_32F; }

// The power of two that a pointer is a multiple of, up to kMaxAlignment.
uint32_t alignment(const void* pointer) {
  const uintptr_t bits = reinterpret_cast<uintptr_t>(pointer) | kMaxAlignment;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

bool is_capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  BERTUNE_CUDA(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

void check(const CublasLtLibrary& library, cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(status == CUBLAS_STATUS_ALLOC_FAILED ? "OUT_OF_MEMORY" : "CUDA_ERROR",
              std::string(library.get_status_name(status)) + " from " + what);
}

// A configured algorithm. (nvcc 13.0 cannot destroy a vector of the library's struct, which has no name of its own.)
struct Algorithm {
  cublasLtMatmulAlgo_t config;
};

// A handle of the library, destroyed by the function that belongs to it.
template <typename Handle>
class Owned {
 public:
  using Destroy = cublasStatus_t (*)(Handle);
  explicit Owned(Destroy destroy) : destroy_(destroy) {}
  ~Owned() {
    if (handle_) destroy_(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }
  Handle* address() { return &handle_; }

 private:
  Handle handle_ = nullptr;
  Destroy destroy_;
};

// Device memory of a fixed size.
class Buffer {
 public:
  Buffer() = default;
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
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

class Event {
 public:
  Event() { BERTUNE_CUDA(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

// A product as the library takes it: what is multiplied, and how its matrices lie.
class Problem {
 public:
  Problem(const CublasLtLibrary& library, const GemmArgs& args, cublasComputeType_t compute)
      : library_(library),
        desc_(library.desc_destroy),
        a_(library.layout_destroy),
        b_(library.layout_destroy),
        out_(library.layout_destroy) {
    check(library, library.desc_create(desc_.address(), compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
    const cublasOperation_t first = args.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t second = args.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, first);
    set(CUBLASLT_MATMUL_DESC_TRANSB, second);
    if (args.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias);
    }
    // Stored rows (r,c) are the column-major (c,r).
    args.transpose_b ? create(b_, args.inp, args.k, args.n, args.b_stride)
                     : create(b_, args.inp, args.n, args.k, args.b_stride);
    args.transpose_a ? create(a_, args.inp, args.m, args.k, args.a_stride)
                     : create(a_, args.inp, args.k, args.m, args.a_stride);
    create(out_, args.out_type, args.n, args.m, args.out_stride);
  }

  cublasLtMatmulDesc_t desc() const { return desc_.get(); }
  cublasLtMatrixLayout_t first() const { return b_.get(); }
  cublasLtMatrixLayout_t second() const { return a_.get(); }
  cublasLtMatrixLayout_t out() const { return out_.get(); }

 private:
  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(library_, library_.desc_set_attribute(desc_.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
  void create(Owned<cublasLtMatrixLayout_t>& layout, Element type, int rows, int columns, int stride) {
    check(library_, library_.layout_create(layout.address(), data_type(type), rows, columns, stride),
          "cublasLtMatrixLayoutCreate");
  }

  const CublasLtLibrary& library_;
  Owned<cublasLtMatmulDesc_t> desc_;
  Owned<cublasLtMatrixLayout_t> a_, b_, out_;
};

// All that the choice of an algorithm depends on, in a word.
std::string key_of(const GemmArgs& args, bool tf32) {
  const auto type = [](Element element) { return element == Element::kBf16 ? "bf16" : "f32"; };
  char key[256];
  std::snprintf(key, sizeof key, "%s-%s%s,%d,%d,%d,%s%s%s%s,%d,%d,%d,%u,%u,%u,%u", type(args.inp), type(args.out_type),
                tf32 ? "-tf32" : "", args.m, args.n, args.k, args.transpose_a ? "t" : "n", args.transpose_b ? "t" : "n",
                args.add ? "-add" : "", args.bias ? "-bias" : "", args.a_stride, args.b_stride, args.out_stride,
                alignment(args.a), alignment(args.b), alignment(args.out), args.bias ? alignment(args.bias) : 0u);
  return key;
}

class CublasLtGemm : public Gemm {
 public:
  explicit CublasLtGemm(bool tf32) : tf32_(tf32), handle_(library_.destroy) {
    int device = 0;
    BERTUNE_CUDA(cudaGetDevice(&device));
    cudaDeviceProp properties{};
    BERTUNE_CUDA(cudaGetDeviceProperties(&properties, device));
    BERTUNE_CUDA(cudaDeviceGetAttribute(&l2_bytes_, cudaDevAttrL2CacheSize, device));
    check(library_, library_.create(handle_.address()), "cublasLtCreate");
    workspace_bytes_ = properties.major >= 9 ? kLargeWorkspace : kSmallWorkspace;
    workspace_ = std::make_unique<Buffer>(workspace_bytes_, "the workspace of cuBLASLt");
    const std::string version = std::to_string(library_.get_version());
    choices_ = std::make_unique<GemmChoices>(GemmChoices::default_path(properties.name, version));
    const char* tuning = std::getenv("BERTUNE_GEMM_TUNING");
    tunes_ = tuning == nullptr || std::strcmp(tuning, "off") != 0;
  }

  bool run(const Context& context, const GemmArgs& args) override {
    const Problem problem(library_, args, compute_type(args));
    const std::optional<Algorithm> algorithm = choose(context.stream, problem, args);
    if (!algorithm) return false;
    const cublasStatus_t status = multiply(context.stream, problem, args, *algorithm, args.out);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return false;
    check(library_, status, "cublasLtMatmul");
    return true;
  }

  size_t workspace_bytes() const override { return workspace_bytes_; }

 private:
  cublasComputeType_t compute_type(const GemmArgs& args) const {
    return tf32_ && args.inp == Element::kFloat ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  }

  cublasStatus_t multiply(cudaStream_t stream, const Problem& problem, const GemmArgs& args, const Algorithm& algorithm,
                          void* out) const {
    const float alpha = 1.f, beta = args.add ? 1.f : 0.f;
    return library_.matmul(handle_.get(), problem.desc(), &alpha, args.b, problem.first(), args.a, problem.second(),
                           &beta, out, problem.out(), out, problem.out(), &algorithm.config, workspace_->data(),
                           workspace_bytes_, stream);
  }

  // The algorithm chosen for such a product earlier, in this process or another; else the fastest of those that the
  // heuristic names, or its first where nothing can be timed. None where the library has none.
  std::optional<Algorithm> choose(cudaStream_t stream, const Problem& problem, const GemmArgs& args) {
    const std::string key = key_of(args, compute_type(args) == CUBLAS_COMPUTE_32F_FAST_TF32);
    if (const std::optional<Algorithm> algorithm = find_chosen(key, problem)) return algorithm;
    const std::vector<Algorithm> candidates = ask_heuristic(problem, args);
    if (candidates.empty()) return std::nullopt;
    const auto bytes = [](const Algorithm& algorithm) {
      return std::string(reinterpret_cast<const char*>(&algorithm), sizeof algorithm);
    };
    if (!tunes_ || is_capturing(stream)) {
      choices_->set(key, bytes(candidates.front()));
      return candidates.front();
    }
    const std::optional<Algorithm> fastest = find_fastest(stream, problem, args, candidates);
    if (!fastest) return candidates.front();
    choices_->keep(key, bytes(*fastest));
    return find_chosen(key, problem).value_or(*fastest);  // another process's, where that was first
  }

  // None where there is none yet, or it cannot be run.
  std::optional<Algorithm> find_chosen(const std::string& key, const Problem& problem) const {
    const std::string* chosen = choices_->find(key);
    Algorithm algorithm;
    if (chosen == nullptr || chosen->size() != sizeof algorithm) return std::nullopt;
    std::memcpy(&algorithm, chosen->data(), sizeof algorithm);
    return is_usable(problem, algorithm) ? std::optional(algorithm) : std::nullopt;
  }

  bool is_usable(const Problem& problem, const Algorithm& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    return library_.algo_check(handle_.get(), problem.desc(), problem.first(), problem.second(), problem.out(),
                               problem.out(), &algorithm.config, &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= workspace_bytes_;
  }

  // The algorithms for a product, best guess first.
  std::vector<Algorithm> ask_heuristic(const Problem& problem, const GemmArgs& args) const {
    Owned<cublasLtMatmulPreference_t> preference(library_.preference_destroy);
    check(library_, library_.preference_create(preference.address()), "cublasLtMatmulPreferenceCreate");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(library_, library_.preference_set_attribute(preference.get(), attribute, &value, sizeof value),
            "cublasLtMatmulPreferenceSetAttribute");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<uint64_t>(workspace_bytes_));
    // Parts of a sum over k are added up in a fixed order and in float, or k is not split: in-place sums have no fixed
    // order, and sums in bf16 lose what the product was computed in float for.
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(args.b));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(args.a));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(args.out));
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment(args.out));

    cublasLtMatmulHeuristicResult_t results[kCandidates] = {};
    int count = 0;
    const cublasStatus_t status =
        library_.algo_get_heuristic(handle_.get(), problem.desc(), problem.first(), problem.second(), problem.out(),
                                    problem.out(), preference.get(), kCandidates, results, &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE) return {};
    check(library_, status, "cublasLtMatmulAlgoGetHeuristic");
    std::vector<Algorithm> algorithms;
    for (int i = 0; i < count; ++i) {
      if (results[i].state == CUBLAS_STATUS_SUCCESS && results[i].workspaceSize <= workspace_bytes_) {
        algorithms.push_back({results[i].algo});
      }
    }
    return algorithms;
  }

  // Times each with a cold L2, as a product finds it whose weight was last read a step ago; into an output of its own.
  // None where there is no memory for it, or no algorithm ran.
  std::optional<Algorithm> find_fastest(cudaStream_t stream, const Problem& problem, const GemmArgs& args,
                                        const std::vector<Algorithm>& algorithms) const {
    if (algorithms.size() == 1) return algorithms.front();
    const size_t out_bytes =
        (static_cast<size_t>(args.m - 1) * args.out_stride + args.n) * element_bytes(args.out_type);
    const Buffer out(out_bytes), spoiled(l2_bytes_);
    if (out.data() == nullptr || spoiled.data() == nullptr) return std::nullopt;
    BERTUNE_CUDA(cudaMemsetAsync(out.data(), 0, out_bytes, stream));
    const Event start, stop;
    std::optional<Algorithm> fastest;
    float least = std::numeric_limits<float>::infinity();
    for (const Algorithm& algorithm : algorithms) {
      float times[kTimedRuns];
      bool runs = multiply(stream, problem, args, algorithm, out.data()) == CUBLAS_STATUS_SUCCESS;
      for (int i = 0; runs && i < kTimedRuns; ++i) {
        // The device is busy with this while the rest is being launched, so that only its own time is measured.
        BERTUNE_CUDA(cudaMemsetAsync(spoiled.data(), i, l2_bytes_, stream));
        BERTUNE_CUDA(cudaEventRecord(start.get(), stream));
        runs = multiply(stream, problem, args, algorithm, out.data()) == CUBLAS_STATUS_SUCCESS;
        BERTUNE_CUDA(cudaEventRecord(stop.get(), stream));
        BERTUNE_CUDA(cudaEventSynchronize(stop.get()));
        BERTUNE_CUDA(cudaEventElapsedTime(&times[i], start.get(), stop.get()));
      }
      if (!runs) continue;
      std::nth_element(times, times + kTimedRuns / 2, times + kTimedRuns);
      const float median = times[kTimedRuns / 2];
      if (median < (fastest ? kGain * least : least)) {
        fastest = algorithm;
        least = median;
      }
    }
    BERTUNE_CUDA(cudaStreamSynchronize(stream));
    return fastest;
  }

  bool tf32_;
  bool tunes_ = true;
  int l2_bytes_ = 0;
  size_t workspace_bytes_ = 0;
  CublasLtLibrary library_;
  Owned<cublasLtHandle_t> handle_;
  std::unique_ptr<Buffer> workspace_;
  std::unique_ptr<GemmChoices> choices_;
};

}  // namespace

std::unique_ptr<Gemm> make_gemm(bool tf32) { return std::make_unique<CublasLtGemm>(tf32); }

BlasLibrary find_blas() {
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
