#include "cpu/onednn.h"

#if defined(BERTUNE_HAS_ONEDNN)

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <utility>
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
#include <omp.h>
#endif

#include "core/error.h"
#include "cpu/memory.h"
#include "cpu/scratch.h"

namespace bertune::onednn {
namespace {

using dnnl::matmul;
using dnnl::memory;
using Type = memory::data_type;

// The most products that a thread keeps the code of.
constexpr size_t kMostCompiled = 1024;

// Never destroyed: a session may still compute while the process ends.
const dnnl::engine& engine() {
  static const dnnl::engine* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

// Threads take rows, so each wants an oneDNN that stays on its own core: the OpenMP of the thread that calls has one
// thread meanwhile. The thread may be somebody else's.
class OneThread {
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
#endif
};

// Runs what calls oneDNN, whose errors become ours.
template <typename Work>
auto translated(Work&& work) {
  [[maybe_unused]] const OneThread one;
  try {
    return work();
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw Error("OUT_OF_MEMORY", "oneDNN found too little memory");
    throw Error("INTERNAL", std::string("oneDNN: ") + error.what());
  }
}

Type type_of_a(Element element) {
  return element == Element::kF32 ? Type::f32 : element == Element::kBF16 ? Type::bf16 : Type::u8;
}
Type type_of_b(Element element) { return element == Element::kInt8 ? Type::s8 : type_of_a(element); }
Type type_of_c(Element element) { return element == Element::kInt8 ? Type::s32 : Type::f32; }

// (rows, columns), stored by rows of `stride` or, transposed, by columns.
memory::desc matrix(Type type, int rows, int columns, bool transposed, int stride) {
  return {{rows, columns}, type, transposed ? memory::dims{1, stride} : memory::dims{stride, 1}};
}

// Empty where there is no such product on this processor.
matmul::primitive_desc describe(const Product& x, const memory::desc& b) {
  const memory::desc a = matrix(type_of_a(x.element), x.m, x.k, x.transpose_a, x.transpose_a ? x.m : x.k);
  const memory::desc c = matrix(type_of_c(x.element), x.m, x.n, false, x.n);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (x.add) {
    dnnl::post_ops sum;
    sum.append_sum();
    attributes.set_post_ops(sum);
  }
#if DNNL_VERSION_MAJOR < 3
  return {matmul::desc(a, b, c), attributes, engine(), true};
#else
  return {engine(), a, b, c, attributes, true};
#endif
}

// b (k,n) in the layout that products with it are fastest in.
memory::desc packed_layout(Element element, int n, int k) {
  const memory::desc any({k, n}, type_of_b(element), memory::format_tag::any);
  return describe({element, kPackedRows, n, k, false, false}, any).weights_desc();
}

using Isa = dnnl::cpu_isa;

bool includes(Isa isa, Isa part) {
  return (static_cast<unsigned>(isa) & static_cast<unsigned>(part)) == static_cast<unsigned>(part);
}

bool has_byte_instructions() {
  const Isa isa = dnnl::get_effective_cpu_isa();
  return includes(isa, Isa::avx512_core_vnni) || includes(isa, Isa::avx2_vnni);
}

// Whether the process may run code that it generates; a hardened system forbids it.
bool may_generate(const matmul::primitive_desc& description) {
  try {
    return bool{matmul(description)};
  } catch (const dnnl::error&) {
    return false;
  }
}

// Every kind of product has to have fast code: with b packed; with b as it is, in fp32 and bf16; and, in bf16, a weight's
// gradient.
bool find_fast(Element element) {
  constexpr int kSize = 128;
  const auto has_code = [&](const memory::desc& b, bool is_gradient) {
    const matmul::primitive_desc found = describe({element, kPackedRows, kSize, kSize, is_gradient, is_gradient}, b);
    return found && std::string(found.impl_info_str()).rfind("brg", 0) == 0 && may_generate(found);
  };
  const auto plain = [&](bool transposed) { return matrix(type_of_b(element), kSize, kSize, transposed, kSize); };
  return translated([&] {
    const memory::desc any({kSize, kSize}, type_of_b(element), memory::format_tag::any);
    // Without instructions for bytes, sums of two products may not fit the 16 bits that they are made in.
    if (element == Element::kInt8) return has_byte_instructions() && has_code(any, false);
    return has_code(any, false) && has_code(plain(false), false) && has_code(plain(true), false) &&
           (element != Element::kBF16 || has_code(plain(false), true));
  });
}

std::string isa_name(Isa isa) {
  // What includes others comes before them.
  const std::pair<Isa, const char*> names[] = {{Isa::avx512_core_amx, "avx512_core_amx"},
#if DNNL_VERSION_MAJOR >= 3
                                               {Isa::avx512_core_fp16, "avx512_core_fp16"},
#endif
                                               {Isa::avx512_core_bf16, "avx512_core_bf16"},
                                               {Isa::avx512_core_vnni, "avx512_core_vnni"},
                                               {Isa::avx512_core, "avx512_core"},
#if DNNL_VERSION_MAJOR >= 3
                                               {Isa::avx2_vnni_2, "avx2_vnni_2"},
#endif
                                               {Isa::avx2_vnni, "avx2_vnni"},
                                               {Isa::avx2, "avx2"},
                                               {Isa::avx, "avx"},
                                               {Isa::sse41, "sse41"}};
  for (const auto& [known, name] : names) {
    if (includes(isa, known)) return name;
  }
  return "";
}

// Whether the code for a single row would sum in another order than that for several: oneDNN 3 takes the row for a column,
// which it cuts into shorter parts where k is more than 1024.
bool sums_otherwise(const Product& x) {
#if DNNL_VERSION_MAJOR < 3
  static_cast<void>(x);
  return false;
#else
  return x.element == Element::kF32 && x.m == 1 && x.k > 1024 && !x.add;
#endif
}

// One product of fixed sizes.
struct Key {
  Product product;
  Layout layout;
  int ldb;

  bool operator==(const Key&) const = default;
};
struct Hash {
  size_t operator()(const Key& key) const {
    const Product& x = key.product;
    size_t hash = static_cast<size_t>(x.element) * 8 + static_cast<size_t>(key.layout) * 2 + x.add;
    for (const int part : {x.m, x.n, x.k, key.ldb, static_cast<int>(x.transpose_a)}) {
      hash = hash * 1000003 + static_cast<size_t>(part);
    }
    return hash;
  }
};

struct Compiled {
  matmul product;
  memory a, b, c, scratch;
  size_t scratch_bytes;
};

}  // namespace

bool is_fast(Element element) {
  static const bool fast[] = {find_fast(Element::kF32), find_fast(Element::kBF16), find_fast(Element::kInt8)};
  return fast[static_cast<int>(element)];
}

std::string version() {
  const dnnl_version_t* found = dnnl_version();
  return std::to_string(found->major) + "." + std::to_string(found->minor) + "." + std::to_string(found->patch) + " " +
         isa_name(dnnl::get_effective_cpu_isa());
}

struct Packed::Memory {
  std::unique_ptr<bertune::Memory> block, rows_block;
  memory from, rows, b;
  // By way of `rows`, or the second alone, from `from`.
  dnnl::reorder turn, pack;
  dnnl::stream stream{engine()};
};

Packed::Packed(Element element, int n, int k, Layout layout, int ldb) {
  memory_ = translated([&] {
    auto packed = std::make_unique<Memory>();
    const memory::desc to = packed_layout(element, n, k);
    packed->block.reset(allocate_memory(to.get_size(), "weights laid out for products"));
    packed->b = memory(to, engine(), packed->block->data());
    const Type type = element == Element::kInt8 ? Type::s8 : Type::f32;
    packed->from = memory(matrix(type, k, n, layout == Layout::kColumns, ldb), engine(), nullptr);
    // oneDNN 3.7 takes columns into a last block that is not full in the wrong order; rows it takes right.
    const size_t size = element == Element::kInt8 ? 1 : element == Element::kBF16 ? 2 : 4;
    const bool is_full = to.get_size() == size * n * k;
    if (layout == Layout::kColumns && !is_full) {
      const memory::desc rows = matrix(type, k, n, false, n);
      packed->rows_block.reset(allocate_memory(rows.get_size(), "weights laid out by rows"));
      packed->rows = memory(rows, engine(), packed->rows_block->data());
      packed->turn = dnnl::reorder(packed->from, packed->rows);
    }
    packed->pack = dnnl::reorder(packed->rows ? packed->rows : packed->from, packed->b);
    return packed;
  });
}

Packed::~Packed() = default;

size_t Packed::bytes() const {
  return memory_->block->bytes() + (memory_->rows_block ? memory_->rows_block->bytes() : 0);
}

void Packed::fill(const void* b) {
  translated([&] {
    memory_->from.set_data_handle(const_cast<void*>(b));
    if (memory_->rows) memory_->turn.execute(memory_->stream, memory_->from, memory_->rows);
    memory_->pack.execute(memory_->stream, memory_->rows ? memory_->rows : memory_->from, memory_->b);
    memory_->stream.wait();
  });
}

void Packed::read(void* b) const {
  translated([&] {
    memory_->from.set_data_handle(b);
    dnnl::reorder(memory_->b, memory_->from).execute(memory_->stream, memory_->b, memory_->from);
    memory_->stream.wait();
  });
}

struct Products::Code {
  dnnl::stream stream{engine()};
  std::unordered_map<Key, Compiled, Hash> compiled;
  Scratch scratch;  // of one product at a time
  Scratch twice;

  Compiled& find(const Key& key) {
    const auto known = compiled.find(key);
    if (known != compiled.end()) return known->second;
    const Product& x = key.product;
    const memory::desc layout = key.layout == Layout::kPacked
                                    ? packed_layout(x.element, x.n, x.k)
                                    : matrix(type_of_b(x.element), x.k, x.n, key.layout == Layout::kColumns, key.ldb);
    const matmul::primitive_desc description = describe(x, layout);
    if (!description) throw Error("INTERNAL", "oneDNN has no such product");
    if (compiled.size() >= kMostCompiled) compiled.clear();
    const bool packed = key.layout == Layout::kPacked;
    return compiled
        .emplace(key, Compiled{matmul(description), memory(description.src_desc(), engine(), nullptr),
                               packed ? memory() : memory(description.weights_desc(), engine(), nullptr),
                               memory(description.dst_desc(), engine(), nullptr),
                               memory(description.scratchpad_desc(), engine(), nullptr),
                               description.scratchpad_desc().get_size()})
        .first->second;
  }

  void multiply(Key key, const void* a, const memory* packed, const void* b, void* c) {
    if (!sums_otherwise(key.product)) return run(key, a, packed, b, c);
    // The row is multiplied twice, as two rows.
    const size_t n = key.product.n, k = key.product.k;
    float* rows = twice.reserve<float>(2 * (k + n));
    float* products = rows + 2 * k;
    std::copy_n(static_cast<const float*>(a), k, rows);
    std::copy_n(rows, k, rows + k);
    key.product.m = 2;
    run(key, rows, packed, b, products);
    std::copy_n(products, n, static_cast<float*>(c));
  }

  void run(const Key& key, const void* a, const memory* packed, const void* b, void* c) {
    Compiled& code = find(key);
    code.a.set_data_handle(const_cast<void*>(a));
    code.c.set_data_handle(c);
    if (!packed) code.b.set_data_handle(const_cast<void*>(b));
    if (code.scratch_bytes > 0) code.scratch.set_data_handle(scratch.reserve<char>(code.scratch_bytes));
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, code.a.get()},
                                         {DNNL_ARG_WEIGHTS, packed ? packed->get() : code.b.get()},
                                         {DNNL_ARG_DST, code.c.get()},
                                         {DNNL_ARG_SCRATCHPAD, code.scratch.get()}};
    const int count = code.scratch_bytes > 0 ? 4 : 3;
    dnnl::error::wrap_c_api(dnnl_primitive_execute(code.product.get(), stream.get(), count, arguments),
                            "a product failed");
  }
};

Products::Products() = default;
Products::~Products() = default;

void Products::multiply(const Product& product, const void* a, const Packed& b, void* c) {
  translated([&] {
    if (!code_) code_ = std::make_unique<Code>();
    code_->multiply({product, Layout::kPacked, 0}, a, &b.memory_->b, nullptr, c);
  });
}

void Products::multiply(const Product& product, const void* a, Layout layout, const void* b, int ldb, void* c) {
  translated([&] {
    if (!code_) code_ = std::make_unique<Code>();
    code_->multiply({product, layout, ldb}, a, nullptr, b, c);
  });
}

#if defined(BERTUNE_HAS_ONEDNN_SGEMM)
bool has_sgemm() { return is_fast(Element::kF32); }

void sgemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
           const float* b, int ldb, float beta, float* c, int ldc) {
  translated([&] {
    dnnl::error::wrap_c_api(
        dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc),
        "a product failed");
  });
}
#endif

}  // namespace bertune::onednn

#else

namespace bertune::onednn {

bool is_fast(Element) { return false; }
std::string version() { return ""; }

struct Packed::Memory {};
Packed::Packed(Element, int, int, Layout, int) {}
Packed::~Packed() = default;
size_t Packed::bytes() const { return 0; }
void Packed::fill(const void*) {}
void Packed::read(void*) const {}

struct Products::Code {};
Products::Products() = default;
Products::~Products() = default;
void Products::multiply(const Product&, const void*, const Packed&, void*) {}
void Products::multiply(const Product&, const void*, Layout, const void*, int, void*) {}

}  // namespace bertune::onednn

#endif

#if !defined(BERTUNE_HAS_ONEDNN_SGEMM)
namespace bertune::onednn {

bool has_sgemm() { return false; }
void sgemm(bool, bool, int, int, int, float, const float*, int, const float*, int, float, float*, int) {}

}  // namespace bertune::onednn
#endif
