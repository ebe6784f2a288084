#include "operations/fields.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>
#include <utility>

#include "core/error.h"

namespace bertune {
namespace {

constexpr double kMostInt = std::numeric_limits<int32_t>::max();
constexpr double kMostUint = std::numeric_limits<uint32_t>::max();
constexpr double kMostCount = 1 << 24;            // of slots, padding and what a batch has before it
constexpr double kMostSeed = 9007199254740991.0;  // the largest integer that every number up to it reaches exactly

// As JavaScript writes it, more or less.
std::string text_of(double value) {
  std::ostringstream text;
  text.precision(15);
  text << value;
  return text.str();
}

[[noreturn]] void refuse(const std::string& expected, const std::string& name, const std::string& found) {
  throw Error("INVALID_OPTION", "Expected " + expected + " for " + name + " but received " + found);
}

size_t element_size(ElementType type) { return type == ElementType::kFloat64 ? 8 : 4; }
Dtype dtype_of(ElementType type) { return type == ElementType::kFloat64 ? Dtype::kF64 : Dtype::kF32; }

const int32_t* integers_of(const std::string& name, const HostTensor& tensor) {
  if (tensor.type != ElementType::kInt32) refuse("an Int32Array", name, "another type");
  return reinterpret_cast<const int32_t*>(tensor.buffer->bytes.data()) + tensor.offset;
}

}  // namespace

// Numbers

double Fields::find_number(const std::string& name, const double* otherwise) {
  used_.insert(name);
  const auto found = sizes_.find(name);
  if (found != sizes_.end()) return found->second;
  if (otherwise == nullptr) refuse("a number", name, "undefined");
  return *otherwise;
}

double Fields::integer(const std::string& name, double least, double most, const double* otherwise) {
  const double value = find_number(name, otherwise);
  if (!(value >= least && value <= most) || value != std::floor(value)) {
    refuse("an integer in [" + text_of(least) + ", " + text_of(most) + "]", name, text_of(value));
  }
  return value;
}

void Fields::size(const std::string& name, int& field, double least) {
  field = static_cast<int>(integer(name, least, kMostInt));
}

void Fields::size_or(const std::string& name, int& field, int otherwise, int least) {
  const double value = otherwise;
  field = static_cast<int>(integer(name, least, kMostInt, &value));
}

void Fields::number(const std::string& name, double& field) { field = find_number(name, nullptr); }

void Fields::number_or(const std::string& name, double& field, double otherwise) {
  field = find_number(name, &otherwise);
}

void Fields::flag(const std::string& name, bool& field) {
  const double off = 0;
  field = integer(name, 0, 1, &off) == 1;
}

void Fields::activation(Activation& field) {
  const double none = 0;
  field = static_cast<Activation>(static_cast<int>(integer("activation", 0, 5, &none)));
}

void Fields::dropout(Dropout& field) {
  const double off = 0;
  field.p = find_number("dropout_p", &off);
  if (!(field.p >= 0 && field.p < 1)) refuse("a number in [0, 1)", "dropout_p", text_of(field.p));
  field.site = static_cast<uint32_t>(integer("dropout_site", 0, kMostUint, &off));
}

void Fields::stride(const std::string& name, int& field, int columns) {
  const double dense = columns;
  field = static_cast<int>(integer(name, columns, kMostInt, &dense));
}

void Fields::rows(Rows& field) {
  const double tokens = 0;
  field.kind = static_cast<RowKind>(static_cast<int>(integer("row_kind", 0, 2, &tokens)));
  if (tensors_.count("cu_seqlens") != 0 && field.kind != RowKind::kPrefix) {
    const Batch current = batch();
    const double count = field.kind == RowKind::kTokens ? current.T : current.B;
    field.count = static_cast<int>(integer("rows", count, count, &count));
    return;
  }
  size("rows", field.count);
  rows_ = field;
}

// Arrays

const HostTensor* Fields::find(const std::string& name, double count, bool required) {
  used_.insert(name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    if (required) refuse("an array of " + text_of(count) + " elements", name, "undefined");
    return nullptr;
  }
  if (static_cast<double>(found->second.count) < count) {
    refuse("an array of at least " + text_of(count) + " elements", name, "one of " + text_of(found->second.count));
  }
  return &found->second;
}

double Fields::length(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? 0 : static_cast<double>(found->second.count);
}

size_t Fields::size_of(Kind kind) const {
  if (kind == Kind::kReal) return backend_.real_size();
  if (kind == Kind::kMaster) return backend_.master_size();
  return kind == Kind::kAcc ? backend_.acc_size() : sizeof(int32_t);
}

void* Fields::allocate(double count, Kind kind) {
  const double bytes = std::max(count, 1.0) * static_cast<double>(size_of(kind));
  if (bytes > kMostSeed)
    throw Error("OUT_OF_MEMORY", "Expected sizes that fit memory but they ask for " + text_of(bytes));
  memory_.emplace_back(backend_.allocate(static_cast<size_t>(bytes), "the arrays of an operation"));
  return memory_.back()->data();
}

void Fields::upload(const HostBuffer& buffer, ElementType type, Kind kind, void* device) {
  const auto count = static_cast<int64_t>(buffer.bytes.size() / element_size(type));
  if (count == 0) return;
  if (kind == Kind::kInt) {
    backend_.copy_in(device, buffer.bytes.data(), buffer.bytes.size());
  } else if (kind == Kind::kAcc) {
    backend_.write_acc(static_cast<Acc*>(device), buffer.bytes.data(), dtype_of(type), count);
  } else {
    Acc* wide = workspace<Acc>(static_cast<double>(count));
    backend_.write_acc(wide, buffer.bytes.data(), dtype_of(type), count);
    backend_.cast_to_real({count, wide, static_cast<Real*>(device)});
  }
}

const Fields::DeviceBuffer& Fields::device_buffer(const std::string& name, const HostTensor& tensor, Kind kind) {
  const bool is_integer = tensor.type == ElementType::kInt32;
  if (is_integer != (kind == Kind::kInt)) {
    refuse(kind == Kind::kInt ? "an Int32Array" : "a Float32Array or Float64Array", name, "another type");
  }
  const auto found = buffers_.find(tensor.buffer);
  if (found != buffers_.end()) {
    // On a device where the two scalars differ, a buffer can hold but one of them.
    const bool same = found->second.kind == kind || size_of(found->second.kind) == size_of(kind);
    if (!same || found->second.type != tensor.type) {
      refuse("a buffer of its own", name, "one that another kind of array shares");
    }
    return found->second;
  }
  const double count = static_cast<double>(tensor.buffer->bytes.size() / element_size(tensor.type));
  void* data = allocate(count, kind);
  upload(*tensor.buffer, tensor.type, kind, data);
  return buffers_.emplace(tensor.buffer, DeviceBuffer{kind, tensor.type, static_cast<unsigned char*>(data)})
      .first->second;
}

void* Fields::bind_kind(const std::string& name, double count, unsigned use, Kind kind) {
  const HostTensor* tensor = find(name, count, (use & kRequired) != 0);
  if (tensor == nullptr) return nullptr;
  void* device = device_buffer(name, *tensor, kind).data + tensor->offset * size_of(kind);
  if ((use & kWritten) != 0) outputs_.push_back({*tensor, kind, device});
  return device;
}

void Fields::weight(const std::string& name, Real*& weight, Master*& master, double count) {
  const HostTensor& tensor = *find(name, count, true);
  if (tensor.type == ElementType::kInt32) refuse("a Float32Array or Float64Array", name, "an Int32Array");
  // As far into its buffer as the array is, so that a view is aligned here as it is there.
  const double elements = static_cast<double>(tensor.offset) + count;
  const auto part = [&](Kind kind) {
    return static_cast<unsigned char*>(allocate(elements, kind)) + tensor.offset * size_of(kind);
  };
  weight = reinterpret_cast<Real*>(part(Kind::kReal));
  master = reinterpret_cast<Master*>(backend_.weights_are_master() ? reinterpret_cast<unsigned char*>(weight)
                                                                   : part(Kind::kMaster));
  HostTensor host = tensor;
  host.count = static_cast<size_t>(count);
  const unsigned char* from = host.buffer->bytes.data() + host.offset * element_size(host.type);
  if (host.count > 0) backend_.write_weight(weight, master, from, dtype_of(host.type), static_cast<int64_t>(count));
  outputs_.push_back({host, Kind::kMaster, weight, master});
}

void Fields::optional_copy(const std::string& name, const Real* device, double count) {
  const HostTensor* tensor = find(name, count, false);
  if (tensor == nullptr) return;
  if (tensor->type == ElementType::kInt32) refuse("a Float32Array or Float64Array", name, "an Int32Array");
  HostTensor part = *tensor;
  part.count = static_cast<size_t>(count);
  outputs_.push_back({part, Kind::kReal, device});
}

void Fields::download(const Output& output) {
  const HostTensor& host = output.host;
  unsigned char* to = host.buffer->bytes.data() + host.offset * element_size(host.type);
  const auto count = static_cast<int64_t>(host.count);
  if (count == 0) return;
  host.buffer->written = true;
  if (output.kind == Kind::kInt) {
    backend_.copy_out(to, output.device, host.count * sizeof(int32_t));
  } else if (output.kind == Kind::kAcc) {
    backend_.read_acc(to, dtype_of(host.type), static_cast<const Acc*>(output.device), count);
  } else if (output.kind == Kind::kMaster) {
    backend_.read_weight(to, dtype_of(host.type), static_cast<const Real*>(output.device), output.master, count);
  } else {
    backend_.read_real(to, dtype_of(host.type), static_cast<const Real*>(output.device), count);
  }
}

// Indices and the batch

std::vector<int32_t> Fields::indices(const std::string& name, double count, double end, int least) {
  const HostTensor& tensor = *find(name, count, true);
  const int32_t* values = integers_of(name, tensor);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    if (values[i] < least || values[i] >= end) {
      refuse("integers in [" + text_of(least) + ", " + text_of(end) + ")", name,
             text_of(values[i]) + " at " + text_of(i));
    }
  }
  return {values, values + static_cast<size_t>(count)};
}

std::vector<int32_t> Fields::offsets(const std::string& name) {
  const HostTensor& tensor = *find(name, 2, true);
  const int32_t* values = integers_of(name, tensor);
  for (size_t i = 0; i < tensor.count; ++i) {
    if (i == 0 ? values[i] != 0 : values[i] <= values[i - 1]) {
      refuse("0 and then increasing integers", name, text_of(values[i]) + " at " + text_of(i));
    }
  }
  return {values, values + tensor.count};
}

Batch Fields::batch() {
  if (cu_seqlens_.empty()) live(offsets("cu_seqlens"));
  Batch batch;
  for (int b = 0; b < live_B_; ++b) batch.max_length = std::max(batch.max_length, cu_seqlens_[b + 1] - cu_seqlens_[b]);
  batch.B = live_B_ + padding_sequences();
  if (live_T_ > kMostInt - padding_tokens()) refuse("at most 2^31 tokens with their padding", "cu_seqlens", "more");
  batch.T = live_T_ + padding_tokens();
  return batch;
}

void Fields::live(std::vector<int32_t> cu_seqlens) {
  cu_seqlens_ = std::move(cu_seqlens);
  live(static_cast<int>(cu_seqlens_.size()) - 1, cu_seqlens_.back());
}

void Fields::live(int B, int T) {
  live_B_ = B;
  live_T_ = T;
}

int Fields::optional_count(const char* name) {
  const double zero = 0;
  return static_cast<int>(integer(name, 0, kMostCount, &zero));
}
int Fields::padding_tokens() { return optional_count("padding_tokens"); }
int Fields::padding_sequences() { return optional_count("padding_sequences"); }
int Fields::slot() { return optional_count("slot"); }
int Fields::order_begin() { return optional_count("order_begin"); }

void Fields::batch_ids(int V) {
  batch();
  ids_ = indices("ids", live_T_, V);
}

void Fields::batch_token_types(int types) {
  batch();
  if (tensors_.count("token_types") != 0) token_types_ = indices("token_types", live_T_, types);
}

void Fields::batch_positions(int end) {
  batch();
  if (tensors_.count("positions") != 0) positions_ = indices("positions", live_T_, end, -1);
}

void Fields::batch_labels(int NC) {
  batch();
  labels_ = indices("labels", live_B_, NC);
}

void Fields::batch_targets(int NC) {
  batch();
  inp("targets", targets_, static_cast<double>(live_B_) * NC);
  NC_ = NC;
}

int32_t* Fields::upload_integers(const std::vector<int32_t>& values) {
  int32_t* device = workspace<int32_t>(static_cast<double>(values.size()));
  backend_.copy_in(device, values.data(), values.size() * sizeof(int32_t));
  return device;
}

void Fields::make_batch_of_rows() {
  const bool tokens = rows_.kind == RowKind::kTokens;
  const int count = rows_.count - (tokens ? padding_tokens() : padding_sequences());
  if (count < 1) refuse("more than the padding", "rows", text_of(rows_.count));
  std::vector<int32_t> cu_seqlens(static_cast<size_t>(tokens ? 1 : count) + 1);
  std::iota(cu_seqlens.begin(), cu_seqlens.end(), 0);
  if (tokens) cu_seqlens.back() = count;
  live(std::move(cu_seqlens));
}

void Fields::make_current() {
  Batch current = batch();
  current.ids = workspace<int32_t>(current.T);
  current.token_types = workspace<int32_t>(current.T);
  current.positions = workspace<int32_t>(current.T);
  current.labels = workspace<int32_t>(current.B);
  current.targets = workspace<Acc>(static_cast<double>(current.B) * NC_);
  current.cu_seqlens = workspace<int32_t>(current.B + 1.0);
  current.tokens_by_id = workspace<int32_t>(current.T);
  current.tokens_by_position = workspace<int32_t>(current.T);
  ids_.resize(live_T_);
  std::vector<int32_t> order(static_cast<size_t>(step_.order_begin) + live_B_);
  std::iota(order.begin() + step_.order_begin, order.end(), 0);
  step_.examples = {.ids = upload_integers(ids_),
                    .token_types = token_types_.empty() ? nullptr : upload_integers(token_types_),
                    .positions = positions_.empty() ? nullptr : upload_integers(positions_),
                    .offsets = upload_integers(cu_seqlens_),
                    .labels = labels_.empty() ? nullptr : upload_integers(labels_),
                    .targets = targets_,
                    .order = upload_integers(order)};
  backend_.begin_step(step_);
  backend_.gather_batch({.NC = NC_, .sort_tokens = true, .batch = current});
}

void Fields::refuse_unused() const {
  std::string names;
  for (const auto& [name, value] : tensors_) names += used_.count(name) ? "" : " " + name;
  for (const auto& [name, value] : sizes_) names += used_.count(name) ? "" : " " + name;
  if (!names.empty()) throw Error("INVALID_OPTION", "Expected only the operation's own fields but received" + names);
}

void Fields::prepare() {
  const double zero = 0, one = 1;
  step_.seed = static_cast<uint64_t>(integer("seed", 0, kMostSeed, &zero));
  step_.dropout_step = static_cast<uint32_t>(integer("dropout_step", 0, kMostUint, &zero));
  step_.tokens_before = static_cast<uint32_t>(integer("tokens_before", 0, kMostUint, &zero));
  step_.sequences_before = static_cast<uint32_t>(integer("sequences_before", 0, kMostUint, &zero));
  step_.step = static_cast<uint32_t>(integer("step", 1, kMostUint, &one));
  step_.learning_rates[0] = find_number("learning_rate", &zero);
  step_.slot = slot();
  step_.order_begin = order_begin();
  if (cu_seqlens_.empty() && rows_.count > 0 && rows_.kind != RowKind::kPrefix) make_batch_of_rows();
  padding_tokens();  // taken, as the names above, where nothing has padding as well
  padding_sequences();
  refuse_unused();
  step_.B = step_.loss_B = live_B_;
  step_.T = live_T_;
  if (cu_seqlens_.empty()) {
    backend_.begin_step(step_);
  } else {
    make_current();
  }
  backend_.synchronize();
}

void Fields::collect() {
  backend_.synchronize();
  for (const Output& output : outputs_) download(output);
}

}  // namespace bertune
