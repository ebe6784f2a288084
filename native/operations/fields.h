// Fills the argument structs of core/backend.h from named arrays and numbers, and moves the arrays to a device and
// back.
//
// The names are those of the struct's fields; fields of a struct within a struct are flat. There are also:
//   rows, row_kind (0 tokens, 1 sequences, 2 prefix; default 0)                          Rows
//   dropout_p, dropout_site (default 0)                                                  Dropout
//   seed (default 0), dropout_step (0), tokens_before (0), sequences_before (0), step (1), learning_rate (0), slot (0),
//       order_begin (0)                                                                  StepState
//   cu_seqlens (B + 1), and if they are read, ids (T), token_types (T), positions (T), labels (B), targets (B,NC):
//       the current batch; without it `rows` tokens are one sequence, `rows` sequences have one token each
//   padding_tokens, padding_sequences (default 0)                                        rows of the arrays (included
//       in `rows`) after those of the batch, as Backend::pad may ask for; not for the CPU, which has none
// Booleans are numbers, 0 or 1. A missing array of an optional field is a null pointer.
//
// Views of one buffer become views of one device buffer, so pass such views for in-place calls and for strided parts
// (q, k and v of one qkv). An array that is too short, an index out of range and a name that no field takes are refused
// with INVALID_OPTION.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "core/backend.h"

namespace bertune {

enum class ElementType { kFloat32, kFloat64, kInt32 };

// A copy of a JavaScript ArrayBuffer. Views of one buffer share one copy.
struct HostBuffer {
  std::vector<unsigned char> bytes;
  bool written = false;
};

// A typed array: `count` elements, starting at element `offset` of the buffer.
struct HostTensor {
  ElementType type;
  HostBuffer* buffer;
  size_t offset;
  size_t count;
};

using HostTensors = std::map<std::string, HostTensor>;
using HostSizes = std::map<std::string, double>;

class Fields {
 public:
  Fields(Backend& backend, const HostTensors& tensors, const HostSizes& sizes)
      : backend_(backend), tensors_(tensors), sizes_(sizes) {}

  Backend& backend() { return backend_; }

  // Numbers.
  void size(const std::string& name, int& field, double least = 1);
  void size_or(const std::string& name, int& field, int otherwise, int least = 0);
  void number(const std::string& name, double& field);
  void number_or(const std::string& name, double& field, double otherwise);
  void flag(const std::string& name, bool& field);  // default false
  void rows(Rows& field);
  void dropout(Dropout& field);
  void activation(Activation& field);
  // The distance between rows of `columns` elements: at least `columns`, the default.
  void stride(const std::string& name, int& field, int columns);

  // Arrays of at least `count` elements, a double so that products of sizes do not overflow.
  template <typename Scalar>
  void inp(const std::string& name, const Scalar*& field, double count) {
    field = bind<Scalar>(name, count, kRequired);
  }
  template <typename Scalar>
  void optional_inp(const std::string& name, const Scalar*& field, double count) {
    field = bind<Scalar>(name, count, 0);
  }
  template <typename Scalar>
  void out(const std::string& name, Scalar*& field, double count) {
    field = bind<Scalar>(name, count, kRequired | kWritten);
  }
  template <typename Scalar>
  void optional_out(const std::string& name, Scalar*& field, double count) {
    field = bind<Scalar>(name, count, kWritten);
  }
  // A trainable weight: its array is written to both of its buffers, and read back from both at the end.
  void weight(const std::string& name, Real*& weight, Master*& master, double count);
  // If the array is given, it receives what lies at `device` at the end.
  void optional_copy(const std::string& name, const Real* device, double count);
  // Zeroed device memory; nothing is copied to or from it.
  template <typename Scalar>
  Scalar* workspace(double count) {
    return static_cast<Scalar*>(allocate(count, kind_of<Scalar>()));
  }

  // The number of elements of an array; 0 if it is missing.
  double length(const std::string& name) const;
  // The number of elements from the first to the last of `rows` rows of `columns`, `stride` apart.
  static double strided(double rows, double columns, double stride) {
    return rows > 0 ? (rows - 1) * stride + columns : 0;
  }

  // An index array of at least `count` elements, each in [least, end).
  std::vector<int32_t> indices(const std::string& name, double count, double end, int least = 0);
  // The starts of consecutive parts, each of at least one element: offsets[0] = 0, then strictly increasing.
  std::vector<int32_t> offsets(const std::string& name);

  // The current batch, from cu_seqlens, with its padding. Sizes only; prepare sets the arrays.
  Batch batch();
  int padding_tokens();
  int padding_sequences();
  // From StepState: where results are kept, and where the batch lies in the order.
  int slot();
  int order_begin();
  // What else an operation reads from the step; prepare sets the numbers in it.
  StepState& step() { return step_; }
  // The step's sequences and tokens, for an operation that brings its own batch.
  void live(int B, int T);
  // What the batch has beside its lengths: ids below V, token types below `types`, labels below NC.
  void batch_ids(int V);
  void batch_token_types(int types);
  void batch_positions(int end);  // −1 or more, below `end`
  void batch_labels(int NC);
  void batch_targets(int NC);

  // Call it once all fields are filled: refuses names that no field took, and sets the step and the batch.
  void prepare();
  // Waits for the operation and copies its results back to the host's buffers.
  void collect();

 private:
  enum Use : unsigned { kRequired = 1, kWritten = 2 };
  enum class Kind { kReal, kAcc, kInt, kMaster };
  struct DeviceBuffer {
    Kind kind;
    ElementType type;
    unsigned char* data;
  };
  struct Output {
    HostTensor host;
    Kind kind;
    const void* device;
    const Master* master = nullptr;  // if `device` is a trainable weight
  };

  template <typename Scalar>
  static constexpr Kind kind_of() {
    if (std::is_same_v<Scalar, Real>) return Kind::kReal;
    return std::is_same_v<Scalar, Acc> ? Kind::kAcc : Kind::kInt;
  }
  template <typename Scalar>
  Scalar* bind(const std::string& name, double count, unsigned use) {
    return static_cast<Scalar*>(bind_kind(name, count, use, kind_of<Scalar>()));
  }
  size_t size_of(Kind kind) const;
  void* bind_kind(const std::string& name, double count, unsigned use, Kind kind);
  void* allocate(double count, Kind kind);
  const DeviceBuffer& device_buffer(const std::string& name, const HostTensor& tensor, Kind kind);
  void upload(const HostBuffer& buffer, ElementType type, Kind kind, void* device);
  void download(const Output& output);

  const HostTensor* find(const std::string& name, double count, bool required);
  // The number, or `otherwise` if it is missing; null: it must be there.
  double find_number(const std::string& name, const double* otherwise);
  double integer(const std::string& name, double least, double most, const double* otherwise = nullptr);

  int32_t* upload_integers(const std::vector<int32_t>& values);
  int optional_count(const char* name);
  void live(std::vector<int32_t> cu_seqlens);
  void make_batch_of_rows();
  void make_current();
  void refuse_unused() const;

  Backend& backend_;
  const HostTensors& tensors_;
  const HostSizes& sizes_;
  std::set<std::string> used_;
  std::vector<std::unique_ptr<Memory>> memory_;
  std::map<const HostBuffer*, DeviceBuffer> buffers_;
  std::vector<Output> outputs_;
  Rows rows_{RowKind::kPrefix, 0};  // stand for a batch if no cu_seqlens is given
  int live_B_ = 0, live_T_ = 0;
  // The current batch's; empty if there is no batch or it has none.
  std::vector<int32_t> cu_seqlens_, ids_, token_types_, positions_, labels_;  // without padding
  const Acc* targets_ = nullptr;                                              // (B,NC) without padding
  int NC_ = 0;
  StepState step_{};
};

}  // namespace bertune
