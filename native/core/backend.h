// The one interface between the model and a device: the fused operations that make up BERT's forward and backward.
//
// native/model calls it and names no device; native/cpu and native/cuda implement it. The readable specification of an
// operation is its reference in double, test/operations/reference.ts. A new operation takes a struct and a row of
// BERTUNE_OPERATIONS here, a file for each device, a reference and, for tests, a function that fills its fields
// (native/operations/table.cpp).
//
// Scalars. `Real` is the compute scalar of activations and weights (float, double, bf16), `Acc` the scalar of
// statistics, gradients and moments (float, or double in a double run). Both are opaque here; on the CPU they are the
// same type. All pointers are to device memory of the backend unless a comment says host.
//
// Contracts, stated once:
// - An output is assigned. A parameter gradient (dweight, dbias, dgamma, ...) is assigned when `accumulate` is false
//   and added to when it is true. `dinp` of linear_backward_input and of lora_backward follows a flag of its own. An
//   operation whose name says "add" adds.
// - A gradient whose pointer is null is not computed.
// - Matrices are row-major; a `stride` is the distance between rows, in elements.
// - Dropout with p = 0 reads no random numbers. Training mode is p > 0: evaluation passes p = 0.
// - Every reduction has a fixed order: the same call with the same thread count gives the same bits.
// - Letters: B sequences, T packed tokens, C hidden, NH heads, HS = C / NH, F feed-forward, V vocabulary, NC labels,
//   P prefix tokens, r LoRA rank, L layers.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/error.h"

namespace bertune {

class Collective;  // collective.h

struct Real;  // opaque: compute scalar
struct Acc;   // opaque: statistics, gradients, moments
// Opaque: what a trainable weight has beside its compute scalar, so that both together are a weight in the precision of
// Acc. It is the weight's own memory if the compute scalar is that precise.
struct Master;

// Element types of host buffers that cross into device memory.
enum class Dtype { kF64, kF32, kF16, kBF16 };

// The most variants of a model: sets of trained weights over the same frozen ones, which train together. A batch of them
// consists of equal parts, one a variant.
constexpr int kMostVariants = 8;

// A data set on the device, and the order in which a run takes its examples.
struct Examples {
  const int32_t* ids = nullptr;          // (Σ lengths)
  const int32_t* token_types = nullptr;  // (Σ lengths) or null: all 0
  const int32_t* positions = nullptr;    // (Σ lengths), −1 or more, or null: the place within the sequence
  const int32_t* offsets = nullptr;      // (N + 1)
  const int32_t* labels = nullptr;       // (N) or null
  const Acc* targets = nullptr;          // (N,NC) or null
  const int32_t* order = nullptr;        // (order_begin + B) example indices
};

// What the device needs to know about a micro-batch; the backend writes it before the operations run. Everything that
// differs between two runs of one recording is here, so a recording serves any data set and any run.
struct StepState {
  uint64_t seed;                         // dropout key
  uint32_t dropout_step;                 // dropout counter: one per micro-batch
  uint32_t step;                         // AdamW's t, from 1
  double learning_rates[kMostVariants];  // of each variant; a model without variants is number 0
  int32_t order_begin;                   // its examples are GatherBatch.order[order_begin .. order_begin + B)
  int32_t B, T;                          // its sequences and tokens; those of Batch may be padded
  int32_t slot;                          // where keep_step writes
  int32_t loss_B;  // the sequences that count in a loss: those of a part, if the batch consists of parts
  // If several processes share the micro-batch: what comes before this part, because dropout depends on an element's
  // place in the whole, and this part's share of the whole loss.
  uint32_t tokens_before = 0, sequences_before = 0;
  double share = 1;
  int32_t counted = 1;  // 0: nothing is left for this process; its one example is another's, with share 0
  Acc* kept_logits;     // (examples of the order, NC) where keep_logits writes
  Examples examples;    // what gather_batch reads
};

// What decides the dropout mask of a row: its number in its micro-batch, and the micro-batch's dropout_step.
struct DropoutPlace {
  uint32_t row, step;
};

struct Dropout {
  double p = 0.0;     // probability of dropping, in [0, 1)
  uint32_t site = 0;  // which dropout of the model; the masks of two sites are independent
};

// B sequences packed end to end into T tokens. Filled by gather_batch. The three sizes come from Backend::pad: rows
// beyond StepState's counts are padding, which every operation leaves zero or finite, and whose gradients are zero.
struct Batch {
  int B = 0;
  int T = 0;
  int max_length = 0;                     // at least the longest sequence, in tokens
  int32_t* ids = nullptr;                 // (T) token ids
  int32_t* token_types = nullptr;         // (T)
  int32_t* positions = nullptr;           // (T) place within the sequence, from 0, or the data set's own
  int32_t* labels = nullptr;              // (B), unset for prediction
  Acc* targets = nullptr;                 // (B,NC), unset for prediction
  int32_t* cu_seqlens = nullptr;          // (B + 1) starts of the sequences, cu_seqlens[0] = 0
  int32_t* tokens_by_id = nullptr;        // (T) token indices, sorted by (id, index): the segments of equal ids
  int32_t* tokens_by_position = nullptr;  // (T) token indices, sorted by (position, index)
  // If several micro-batches run as one, each row's place in its own micro-batch; else null.
  DropoutPlace* token_places = nullptr;     // (T)
  DropoutPlace* sequence_places = nullptr;  // (B)
};

// Which rows an operation runs over. The CPU backend splits each kind the same way in every operation.
enum class RowKind {
  kTokens,     // one row per packed token, batch.T
  kSequences,  // one row per sequence, batch.B
  kPrefix,     // one row per virtual token
};
struct Rows {
  RowKind kind;
  int count;
};

// kGelu is exact (erf); kGeluTanh is its tanh approximation, GPT-2's "gelu_new".
enum class Activation { kNone, kGelu, kTanh, kRelu, kGeluTanh, kSilu };

// Picks sequences `order[order_begin .. order_begin + B)` of the step's examples, packs them into the batch's arrays
// and makes the batch current. The caller, who knows the lengths, sets its sizes.
struct GatherBatch {
  int NC;                  // of targets, which are copied if both the examples and the batch have them
  bool sort_tokens;        // fill tokens_by_id and tokens_by_position (needed by embedding_backward)
  int micro_batch = 0;     // if the batch has places: sequences per micro-batch; the step's micro-batch is the first
  bool are_parts = false;  // the micro-batches are parts of one, so they have its dropout_step
  Batch batch{};
};

// x[t] = word[id] + token_type[type] + position[P + p];  out = dropout(LayerNorm(x)), p the token's position in the
// batch. A token whose p is −1 is padding and takes the row padding_position instead, whatever P is.
struct EmbeddingForward {
  int V, C, P;           // P: row of position 0
  int padding_position;  // read only if a position is −1
  double eps;
  Dropout dropout;
  const Real* word;        // (V,C)
  const Real* token_type;  // (types,C) or null: none
  const Real* position;    // (positions,C)
  const Real* gamma;       // (C)
  const Real* beta;        // (C)
  Real* sum;               // (T,C) x, saved for backward; may be out if nothing is saved
  Acc* mean;               // (T) saved
  Acc* rstd;               // (T) saved
  Real* out;               // (T,C)
};
// dsum = LayerNorm backward of dropout backward of dout; rows of equal ids, types and positions are summed in token
// order. Neither the row of `padding_id` nor the position of padding gets a gradient. Table gradients are whole tables:
// rows of absent tokens are zero.
//
// dword has V rows, or where the backend makes_compact, fewer: one for each token since it was assigned, or more. It is then
// compact: the backend knows which of its rows, if any, is that of an id, and tells by read_places; all_reduce, grad_norm
// and adamw take it as it is.
struct EmbeddingBackward {
  int V, C, P, types, positions;  // types: 0 if there is no such table
  int word_rows;                  // of dword
  int padding_id;                 // −1: none
  bool accumulate;
  Dropout dropout;
  const Real* sum;    // (T,C)
  const Acc* mean;    // (T)
  const Acc* rstd;    // (T)
  const Real* gamma;  // (C)
  const Real* dout;   // (T,C)
  Real* dsum;         // (T,C) workspace
  Acc* dword;         // (word_rows,C) or null
  Acc* dtoken_type;   // (types,C) or null
  Acc* dposition;     // (positions,C) or null
  Acc* dgamma;        // (C) or null
  Acc* dbeta;         // (C) or null
};

// out = activation(inp · weightᵀ + bias):  inp (rows,k) → out (rows,n)
struct LinearForward {
  Rows rows;
  int n, k;
  int inp_stride, out_stride;
  Activation activation;
  const Real* inp;      // (rows,k)
  const Real* weight;   // (n,k)
  const Real* bias;     // (n) or null
  Real* preactivation;  // (rows,n) dense: saved for backward, or null
  Real* out;            // (rows,n)
};
// dinp = (dout · weight) · activation'(·), or with add_to_dinp, dinp += dout · weight without an activation. `saved` is as
// in ActivationBackward, for the activation that the linear's input came from. If the input is a parameter, its
// `gradient` replaces dinp, without an activation.
struct LinearBackwardInput {
  Rows rows;
  int n, k;
  int dout_stride, dinp_stride;
  bool add_to_dinp;
  Activation activation;
  const Real* dout;    // (rows,n)
  const Real* weight;  // (n,k)
  const Real* saved;   // (rows,k) dense; null without an activation
  Real* dinp;          // (rows,k)
  Acc* gradient;       // (rows,k) dense, or null
};
// dweight = doutᵀ · inp;  dbias = column sums of dout
struct LinearBackwardWeight {
  Rows rows;
  int n, k;
  int dout_stride, inp_stride;
  bool accumulate;
  const Real* dout;  // (rows,n)
  const Real* inp;   // (rows,k); may be null when dweight is
  Acc* dweight;      // (n,k) or null
  Acc* dbias;        // (n) or null
};
// out = activation(inp), dense (rows,n), for when something is added between a linear and its activation.
struct ActivationForward {
  Rows rows;
  int n;
  Activation activation;
  const Real* inp;  // (rows,n)
  Real* out;        // (rows,n); may be inp
};
// dinp = dropout(dout) · activation'(·), in place if dinp == dout; the dropout is that of the activation's output. `saved`
// is the preactivation for GELU (both) and SiLU, the output for tanh; for ReLU either one gives the same bits. Dense
// (rows,n).
struct ActivationBackward {
  Rows rows;
  int n;
  Activation activation;
  const Real* saved;  // (rows,n)
  const Real* dout;   // (rows,n)
  Real* dinp;         // (rows,n)
  Dropout dropout;
};

// out = dropout(inp), or out += dropout(inp) with add_to_out, dense (rows,n); in place if out == inp. Its backward is the
// same operation on the gradient.
struct DropoutApply {
  Rows rows;
  int n;
  Dropout dropout;
  const Real* inp;
  Real* out;
  bool add_to_out = false;
};

// sum = residual + dropout(inp);  out = LayerNorm(sum) · gamma + beta. Variance in two passes. sum may be inp.
struct DropoutResidualLayernormForward {
  Rows rows;
  int C;
  double eps;
  Dropout dropout;
  const Real* inp;       // (rows,C)
  const Real* residual;  // (rows,C) or null: none
  const Real* gamma;     // (C)
  const Real* beta;      // (C)
  Real* sum;             // (rows,C) saved
  Acc* mean;             // (rows) saved
  Acc* rstd;             // (rows) saved
  Real* out;             // (rows,C)
  Real* first;           // (B,C) what first_rows_forward makes of out, if rows are tokens; or null
};
// dresidual = dsum;  dinp = dropout mask of dsum. They may be the same buffer when dropout.p is 0. If both are null, only
// the gradients of the parameters are computed.
struct DropoutResidualLayernormBackward {
  Rows rows;
  int C;
  bool accumulate;
  Dropout dropout;
  const Real* dout;   // (rows,C)
  const Real* sum;    // (rows,C)
  const Acc* mean;    // (rows)
  const Acc* rstd;    // (rows)
  const Real* gamma;  // (C)
  Real* dresidual;    // (rows,C) dsum; may be dout; null only if dinp is
  Real* dinp;         // (rows,C) or null
  Acc* dgamma;        // (C) or null
  Acc* dbeta;         // (C) or null
};

// Gradients that are sums over rows: of a bias, or of a LayerNorm's parameters.
struct RowSum {
  Rows rows;
  int n, dout_stride;
  const Real* dout;  // (rows,n)
  // What the LayerNorm saved; null for a bias.
  const Real* sum;  // (rows,n)
  const Acc* mean;  // (rows)
  const Acc* rstd;  // (rows)
  Acc* dgamma;      // (n) Σ dout · (sum − mean) · rstd; null for a bias or if not wanted
  Acc* dbeta;       // (n) Σ dout, which is also a bias's gradient; or null
};
// Independent sums, with the same bits that linear_backward_weight and dropout_residual_layernorm_backward give.
struct SumRows {
  const RowSum* sums;  // (count) host
  int count;
  bool accumulate;
};

// Per sequence and head: probs = softmax(q · [prefix_k; k]ᵀ / √HS), out = dropout(probs) · [prefix_v; v].
// Probabilities are not stored; `lse` (log of the sum of exponentials of the scaled scores) restores them.
// Dropout element: row = query row · NH + head, column = key (prefix keys first).
// Every token is a query, or with `first_only` only the first of each sequence: q, out and lse then have B rows.
struct AttentionForward {
  int C, NH, P;
  bool first_only;
  Dropout dropout;
  int q_stride, kv_stride, prefix_stride;
  const Real* q;         // (T,C) or (B,C)
  const Real* k;         // (T,C)
  const Real* v;         // (T,C)
  const Real* prefix_k;  // (P,C) or null when P = 0
  const Real* prefix_v;  // (P,C)
  Real* out;             // (T,C) or (B,C), dense
  Acc* lse;              // (query rows, NH) saved
};
// With D = Σ_HS dout ∘ out: dscores = probs ∘ (dprobs − D) / √HS. dq, dk, dv have the strides of q, k, v.
struct AttentionBackward {
  AttentionForward forward;
  bool accumulate;  // into dprefix_k and dprefix_v
  int dprefix_stride;
  const Real* dout;  // (T,C) or (B,C), dense
  Real* dq;          // like q
  Real* dk;          // like k
  Real* dv;          // like v
  // (B,P,2C) each sequence's share of dprefix_k and dprefix_v, side by side. A workspace; without those two, the input
  // of sum_prefix_partials. Null if no gradient of the prefix is wanted.
  Acc* prefix_partials;
  Acc* dprefix_k;  // (P,C) or null: Σ over sequences, in order
  Acc* dprefix_v;  // (P,C) or null
};

// dprefix[p][l] = Σ over sequences, in order, of partials[l][·][p], for all layers at once.
struct SumPrefixPartials {
  int L, P, C;
  bool accumulate;
  const Acc* partials;  // (L,B,P,2C)
  Acc* dprefix;         // (P,L,2C)
  Real* dprefix_real;   // (P,L,2C) the same, or null
};

// The most low-rank updates in one operation: those of query, key and value, which share their input.
constexpr int kMostLoraUpdates = 3;

struct LoraForwardUpdate {
  int n, r;
  int out_stride;
  double scaling;
  Dropout dropout;
  const Real* a;  // (r,k)
  const Real* b;  // (n,r)
  Real* h;        // (rows,r) saved
  Real* out;      // (rows,n)
};
// For each update: h = dropout(inp) · Aᵀ (rows,r);  out += scaling · h · Bᵀ (rows,n)
struct LoraForwardAdd {
  Rows rows;
  int k;
  int inp_stride;
  const Real* inp;  // (rows,k)
  Real* dropped;    // (rows,k) workspace; unused if no dropout.p is above 0
  int count;        // of updates, 1 or more
  LoraForwardUpdate updates[kMostLoraUpdates];
};

struct LoraBackwardUpdate {
  int n, r;
  int dout_stride;
  double scaling;
  Dropout dropout;
  const Real* dout;  // (rows,n)
  const Real* h;     // (rows,r)
  const Real* a;     // (r,k)
  const Real* b;     // (n,r)
  Real* dh;          // (rows,r) workspace
  Acc* da;           // (r,k) or null
  Acc* db;           // (n,r) or null
};
// For each update: dh = scaling · dout · B;  db = scaling · doutᵀ · h;  da = dhᵀ · dropout(inp);
//                  dinp += dropout mask of dh · A
struct LoraBackward {
  Rows rows;
  int k;
  int inp_stride, dinp_stride;
  bool accumulate;
  const Real* inp;  // (rows,k)
  Real* dropped;    // (rows,k) workspace; unused if no dropout.p is above 0
  Real* dinp;       // (rows,k) added to, or null
  int count;        // of updates; 0: `earlier` is all there is to do
  LoraBackwardUpdate updates[kMostLoraUpdates];
  // Sums over rows may be put off: with `later`, this call leaves da and db to a later one, which gets this one's
  // arguments as its `earlier`. Until then inp and each dout, h and dh must not change.
  bool later;
  const LoraBackward* earlier;  // host, or null
  // The LayerNorm whose dout is dinp, run after the rest; host, or null. It computes no gradients of parameters.
  const DropoutResidualLayernormBackward* norm;
};

// DoRA (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024): a low-rank update with a magnitude m for each
// row of W turns W x + b into m ∘ (W + scaling · B · A) x / ‖W + scaling · B · A‖ + b, with norms of rows. That is a
// low-rank update in which the rows of B are scaled, and the base's product likewise:
//   scale_i = m_i / ‖W_i + scaling · B_i · A‖, or 0 where that is 0;  scaled_b_i = scale_i · B_i
struct DoraScale {
  int n, k, r;
  double scaling;
  const Real* weight;              // (n,k) W
  const Real* a;                   // (r,k)
  const Real* b;                   // (n,r)
  const Real* magnitude;           // (n) m
  const Master* magnitude_master;  // (n) its master
  Acc* norm;                       // (n)
  Acc* scale;                      // (n)
  Real* scaled_b;                  // (n,r)
};
// Turns the gradients by scale and scaled_b into those by m and B, in place; norms are constants (the paper's section 4.3):
//   dm_i = (dscale_i + B_i · dscaled_b_i) / norm_i, or 0 where that is 0;  db_i = scale_i · dscaled_b_i
struct DoraScaleBackward {
  int n, r;
  const Real* b;     // (n,r)
  const Acc* norm;   // (n)
  const Acc* scale;  // (n)
  Acc* dmagnitude;   // (n) dscale → dm
  Acc* db;           // (n,r) dscaled_b → db
};
// out += (scale − 1) ∘ base, where base is W times the update's input; without dropout, base = out − bias.
struct DoraForward {
  Rows rows;
  int n, out_stride;
  const Acc* scale;  // (n)
  const Real* bias;  // (n) to compute base from out; null: base is given
  Real* base;        // (rows,n) saved; null: not kept
  Real* out;         // (rows,n)
};
// dbase = (scale − 1) ∘ dout;  dscale = column sums of dout ∘ base
struct DoraBackward {
  Rows rows;
  int n, dout_stride;
  bool accumulate;
  const Acc* scale;  // (n)
  const Real* dout;  // (rows,n)
  const Real* base;  // (rows,n)
  Real* dbase;       // (rows,n) or null
  Acc* dscale;       // (n)
};

// One adapter's low-rank update of one module; r = 0: the adapter leaves the module alone.
struct LowRankFactors {
  const Real* a;     // (r,k)
  const Real* b;     // (n,r); for DoRA, scaled_b
  const Acc* scale;  // (n) for DoRA, or null
  double scaling;
  int32_t r;
  int32_t padding;  // so that two builds agree on the size
};
// For a batch whose sequences use several adapters: all rows of sequence b take the update
// u = updates[slots[order_begin + b]], with the step's order_begin:
//   h = inp · Aᵀ (rows,r);  out += scaling · h · Bᵀ (rows,n)
// Neighbors with the same slot are multiplied together, so sequences are best sorted by slot. Without dropout.
struct MixedLoraForwardAdd {
  Rows rows;    // tokens or sequences
  int n, k, r;  // r: the highest of any update
  int inp_stride, out_stride;
  const int32_t* slots;           // (order_begin + B)
  const LowRankFactors* updates;  // (slots)
  const Real* inp;                // (rows,k)
  Real* h;                        // (rows,r) workspace
  Real* out;                      // (rows,n)
};
// dora_forward for such a batch, before mixed_lora_forward_add: out += (scale − 1) ∘ (out − bias) in the rows whose
// update has a scale.
struct MixedDoraForward {
  Rows rows;  // tokens or sequences
  int n;
  int out_stride;
  const int32_t* slots;           // (order_begin + B)
  const LowRankFactors* updates;  // (slots)
  const Real* bias;               // (n)
  Real* out;                      // (rows,n)
};
// One adapter's linear module; n = 0: the adapter has none.
struct LinearFactors {
  const Real* weight;  // (n,k)
  const Real* bias;    // (n)
  int32_t n;
  int32_t padding;
};
// The same for heads, one row per sequence: out[b][0 .. n) = inp[b] · weightᵀ + bias by linears[slots[order_begin + b]].
// The rest of the row becomes zero; rows whose n is 0 stay as they are.
struct MixedLinearForward {
  int n, k;  // n: the highest of any linear
  int out_stride;
  const int32_t* slots;          // (order_begin + B)
  const LinearFactors* linears;  // (slots)
  const Real* inp;               // (B,k) dense
  Real* out;                     // (B,n)
};

// out[b] = inp[cu_seqlens[b]]
struct FirstRowsForward {
  int C;
  int inp_stride;
  const Real* inp;  // (T,C)
  Real* out;        // (B,C)
};
// dinp[cu_seqlens[b]] += dout[b] (dinp has T rows); other rows are set to zero first unless add_to_dinp
struct FirstRowsBackward {
  int C;
  bool add_to_dinp;
  const Real* dout;  // (B,C)
  Real* dinp;        // (T,C)
};

// Cross-entropy with class weights w and label smoothing s, as torch.nn.functional.cross_entropy(reduction="mean"):
//   loss = [(1 − s) · Σ_b −w_y log p_y + s / NC · Σ_b Σ_c −w_c log p_c] / Σ_b w_y,   dlogits = loss_scale · share · ∂loss
// with the step's share, here and in the other losses. With γ > 0 it is the focal loss (Lin et al., 2017), which takes no
// smoothing: Σ_b −w_y (1 − p_y)^γ log p_y / Σ_b w_y.
struct CrossEntropy {
  int NC;
  double label_smoothing;
  double focal_gamma;        // γ ≥ 0
  double loss_scale;         // 1 / micro-batches of the step
  const Real* logits;        // (B,NC)
  const Acc* class_weights;  // (NC) or null: all 1
  Acc* loss;                 // (1) not scaled
  int32_t* predictions;      // (B) argmax, the first of several equal ones; or null
  Real* dlogits;             // (B,NC) or null
};

// Binary cross-entropy of each label on its own, with targets y in [0, 1], class weights w and weights p of the positive
// class, as torch.nn.BCEWithLogitsLoss(weight, pos_weight):
//   loss = Σ_b Σ_c w_c · [(1 − y) · log(1 + eˣ) + p_c · y · log(1 + e⁻ˣ)] / (B · NC),   dlogits = loss_scale · share · ∂loss
// With γ > 0 it is the focal loss (Lin et al., 2017): (1 − y) · σ(x)^γ and y · σ(−x)^γ replace 1 − y and y.
struct BinaryCrossEntropy {
  int NC;
  double focal_gamma;           // γ ≥ 0
  double loss_scale;            // 1 / micro-batches of the step
  const Real* logits;           // (B,NC) x
  const Acc* class_weights;     // (NC) or null: all 1
  const Acc* positive_weights;  // (NC) or null: all 1
  Acc* loss;                    // (1) not scaled
  int32_t* right;               // (B) 1 where x > 0 for exactly the labels with y > 1/2, else 0; or null
  Real* dlogits;                // (B,NC) or null
};
// loss = Σ_b Σ_c (x − y)² / (B · NC),   dlogits = loss_scale · share · ∂loss
struct MeanSquaredError {
  int NC;
  double loss_scale;   // 1 / micro-batches of the step
  const Real* logits;  // (B,NC) x
  Acc* loss;           // (1) not scaled
  Real* dlogits;       // (B,NC) or null
};

// A classifier on a LayerNorm and its loss, forward, and back to the output of the ReLU before them, for the whole batch:
//   inp (B,k) → dropout → sum → LayerNorm → normed → Linear → logits (B,NC) → loss
//   dlogits (B,NC) → dnormed (B,k) → dsum → dropout, ReLU → dinp (B,k)
// normed_linear_gradients computes the gradients of its parameters.
struct NormedClassifier {
  int k, NC;
  double eps;
  Dropout dropout;
  const Real* inp;     // (B,k) the ReLU's output
  const Real* gamma;   // (k)
  const Real* beta;    // (k)
  const Real* weight;  // (NC,k)
  const Real* bias;    // (NC)
  Real* sum;           // (B,k) saved
  Acc* mean;           // (B) saved
  Acc* rstd;           // (B) saved
  Real* normed;        // (B,k) workspace
  Real* logits;        // (B,NC)
  Real* dlogits;       // (B,NC)
  Real* dnormed;       // (B,k) workspace
  Real* dinp;          // (B,k)
  // Host: the loss, on these logits and dlogits, is one of the three; the others are null.
  const CrossEntropy* class_loss;
  const BinaryCrossEntropy* label_loss;
  const MeanSquaredError* number_loss;
};

// A linear on a LayerNorm's output: (sum − mean) · rstd · gamma + beta (rows,k) → (rows,n).
struct NormedLinear {
  Rows rows;
  int n, k;
  const Real* dout;    // (rows,n)
  const Real* weight;  // (n,k)
  const Real* sum;     // (rows,k)
  const Acc* mean;     // (rows)
  const Acc* rstd;     // (rows)
  const Real* gamma;   // (k)
  const Real* beta;    // (k)
  Acc* dweight;        // (n,k) or null
  Acc* dbias;          // (n) or null
  Acc* dgamma;         // (k) or null
  Acc* dbeta;          // (k) or null
};
// The gradients of the parameters of both, when no gradient before them is wanted. With x̂ = (sum − mean) · rstd and
// product = doutᵀ · x̂ (n,k):
//   dbias = Σ dout;  dweight = gamma · product + beta · dbias;  dgamma = Σ_n weight · product;  dbeta = weightᵀ · dbias
struct NormedLinearGradients {
  const NormedLinear* linears;  // (count) host
  int count;
  bool accumulate;
};

// Keeps the results of a micro-batch in `slot` of the step, until the host reads them:
//   losses = [losses +] scale · share · loss;  correct = [correct +] number of right predictions;  norms = norm
// with the step's share; if that is 0, no prediction counts.
struct KeepStep {
  bool add;                    // to the results of the step's earlier micro-batches
  double scale;                // 1 / micro-batches of the step
  const Acc* loss;             // (1)
  const int32_t* predictions;  // (B) right if equal to the labels; or null
  const int32_t* right;        // (B) 1 where right, instead of predictions; or null. Without either, none is right
  const Acc* norm;             // (1) or null: not known yet
  Acc* losses;                 // (slots)
  Acc* norms;                  // (slots)
  int32_t* correct;            // (slots)
};
// Keeps logits until the host reads them: kept_logits[order_begin + b] = logits[b], with the step's kept_logits and
// order_begin.
struct KeepLogits {
  int NC;
  const Real* logits;  // (B,NC)
};

// out = inp, from the scalar of statistics to the compute scalar.
struct CastToReal {
  int64_t count;
  const Acc* inp;
  Real* out;
};
// One parameter's share of the optimizer's work. `decay`: whether weight decay applies; `rate`: the factor between the
// step's learning rate and the parameter's.
struct OptimizerSegment {
  int64_t count;
  bool decay;
  double rate = 1;
  Master* master;  // (count)
  Real* weight;    // (count) compute copy; the same memory as master if there is only one
  Acc* grad;       // (count), or fewer if it is compact: see EmbeddingBackward
  Acc* m;          // (count)
  Acc* v;          // (count)
};
struct OptimizerSettings {
  double beta1, beta2, eps, weight_decay;
  double max_grad_norm;  // 0: no clipping
};
// norm = √Σ grad² over all segments, in a fixed order; kept for the variant's adamw and written to `norm`.
struct GradNorm {
  const OptimizerSegment* segments;  // (count) host
  int count;
  Acc* norm;  // (1)
  int variant;
  const KeepStep* keep;  // host, or null: keep_step as well, of this norm
  // Keeps what a deferred adamw needs to know of the step, keep's loss among it. Only if the backend runs aside.
  bool defers = false;
};
// Clip by the variant's last grad_norm, then AdamW (Loshchilov & Hutter, 2019) as torch.optim.AdamW:
//   g *= min(1, max_grad_norm / (norm + 1e-6));  p *= 1 − lr·wd;  m, v moments;
//   p −= lr / (1 − β1^t) · m / (√v / √(1 − β2^t) + eps)
// If that norm or `loss` is not finite, it does nothing for the variant, then and later, until start_run.
//
// Deferred, it makes the update of the last grad_norm with `defers`, in parts, after begin_step of the next step: only the
// segments begin .. end. If there is no such update, or its last part was made, it does nothing.
struct AdamW {
  const OptimizerSegment* segments;  // (count) host
  int count;
  OptimizerSettings settings;
  const Acc* loss;  // (1), or null if deferred
  int variant;
  bool deferred = false;
  int begin = 0, end = 0;
  bool last = false;  // whether this part is the last, so that the update is made
};

// The operations, X(name, Arguments). From this one list come Backend's virtual functions, a library's table and the code
// that fills and calls it, each device's declarations, and the operations' names.
#define BERTUNE_OPERATIONS(X)                                              \
  X(gather_batch, GatherBatch)                                             \
  X(embedding_forward, EmbeddingForward)                                   \
  X(embedding_backward, EmbeddingBackward)                                 \
  X(linear_forward, LinearForward)                                         \
  X(linear_backward_input, LinearBackwardInput)                            \
  X(linear_backward_weight, LinearBackwardWeight)                          \
  X(activation_forward, ActivationForward)                                 \
  X(activation_backward, ActivationBackward)                               \
  X(dropout_apply, DropoutApply)                                           \
  X(dropout_residual_layernorm_forward, DropoutResidualLayernormForward)   \
  X(dropout_residual_layernorm_backward, DropoutResidualLayernormBackward) \
  X(sum_rows, SumRows)                                                     \
  X(attention_forward, AttentionForward)                                   \
  X(attention_backward, AttentionBackward)                                 \
  X(sum_prefix_partials, SumPrefixPartials)                                \
  X(lora_forward_add, LoraForwardAdd)                                      \
  X(lora_backward, LoraBackward)                                           \
  X(dora_scale, DoraScale)                                                 \
  X(dora_scale_backward, DoraScaleBackward)                                \
  X(dora_forward, DoraForward)                                             \
  X(dora_backward, DoraBackward)                                           \
  X(mixed_dora_forward, MixedDoraForward)                                  \
  X(mixed_lora_forward_add, MixedLoraForwardAdd)                           \
  X(mixed_linear_forward, MixedLinearForward)                              \
  X(first_rows_forward, FirstRowsForward)                                  \
  X(first_rows_backward, FirstRowsBackward)                                \
  X(cross_entropy, CrossEntropy)                                           \
  X(binary_cross_entropy, BinaryCrossEntropy)                              \
  X(mean_squared_error, MeanSquaredError)                                  \
  X(normed_classifier, NormedClassifier)                                   \
  X(normed_linear_gradients, NormedLinearGradients)                        \
  X(keep_step, KeepStep)                                                   \
  X(keep_logits, KeepLogits)                                               \
  X(cast_to_real, CastToReal)                                              \
  X(grad_norm, GradNorm)                                                   \
  X(adamw, AdamW)

// Device memory, which arenas are cut from; frees itself.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual void* data() const = 0;
  virtual size_t bytes() const = 0;
};

// Sizes of a batch.
struct BatchShape {
  int B, T, max_length;
  bool operator==(const BatchShape&) const = default;
};

// What tells two recordings of operations apart, except for StepState.
struct RecordingKey {
  enum class Pass { kInference, kMixedInference, kTraining, kFeatures, kHead };

  Pass pass = Pass::kInference;
  BatchShape batch{};   // padded
  int prefix = 0;       // mixed inference: whose prefix the batch has
  int micro_batch = 0;  // features: GatherBatch's; training in parts: the sequences of one
  int begin = 0;        // a head: where its part of the batch begins

  // Training, or a head: the place of a micro-batch within its step, the step's settings, and if processes add up their
  // gradients in between, which part it is: up to the gradients, or from their sums on.
  enum class Part { kWhole, kGradients, kUpdate };
  bool first = false, last = false, update = false;
  Part part = Part::kWhole;
  int micro_batches = 0;
  uint64_t settings = 0;  // a hash of them
  uint64_t variants = 0;  // which, in the order of the parts: four bits each, from 1 on

  bool operator==(const RecordingKey&) const = default;
};

// Of a backend since it was made; all 0 if nothing is recorded.
struct RecordingCounts {
  uint64_t kept;      // recordings that can be replayed now
  uint64_t recorded;  // how often operations were recorded
  uint64_t replayed;  // how often a recording was launched again
  uint64_t nodes;     // kernels and copies in the recording launched last
  uint64_t launched;  // kernels and copies in all launches of recordings
};

// How a process meets the others, if their devices exchange data among themselves: as which rank, where and for how long.
struct RanksMeeting {
  int rank, size;
  char address[256];                   // of rank 0's machine, a name or a number
  int port;                            // where rank 0 listens
  double seconds;                      // how long a call waits for the others
  const std::atomic<bool>* is_ending;  // true once the process ends: no call waits from then on
};

// Bytes of the device that a backend runs on; 0 if not known.
struct DeviceMemory {
  uint64_t used;  // by all processes
  uint64_t total;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Bytes of one Real, one Acc and one Master.
  virtual size_t real_size() const = 0;
  virtual size_t acc_size() const = 0;
  virtual size_t master_size() const = 0;
  // Whether OptimizerSegment.weight and .master are one buffer.
  virtual bool weights_are_master() const = 0;
  // The largest head size that attention supports; 0: any.
  virtual int max_head_size() const = 0;

  // Zero-filled, aligned to 64 bytes. Throws OUT_OF_MEMORY, naming `what`. The caller owns it.
  virtual Memory* allocate(size_t bytes, const char* what) = 0;
  virtual void copy_in(void* device, const void* host, size_t bytes) = 0;
  virtual void copy_out(void* host, const void* device, size_t bytes) = 0;
  virtual void zero(void* device, size_t bytes) = 0;
  // Conversions between host elements and device scalars. If weight and master differ, write_weight fills both and
  // read_weight reads both; a frozen weight has no master (null).
  virtual void write_weight(Real* weight, Master* master, const void* host, Dtype dtype, int64_t count) = 0;
  virtual void read_weight(void* host, Dtype dtype, const Real* weight, const Master* master, int64_t count) = 0;
  virtual void write_acc(Acc* device, const void* host, Dtype dtype, int64_t count) = 0;
  virtual void read_acc(void* host, Dtype dtype, const Acc* device, int64_t count) = 0;
  virtual void read_real(void* host, Dtype dtype, const Real* device, int64_t count) = 0;

  // Whether embedding_backward makes compact gradients of a table (V,C).
  virtual bool makes_compact(int V, int C) const = 0;
  // places (V) host: the row of a compact gradient that is the table's, or −1: that one is zero.
  virtual void read_places(int32_t* places, const Acc* gradient, int V) = 0;

  // Memory outside of the arenas: workspaces of operations. reserve_workspace allocates those for batches of at most
  // these sizes and rows of at most this many columns. Throws OUT_OF_MEMORY.
  virtual void reserve_workspace(const BatchShape& largest, int columns, int64_t trainable) = 0;
  virtual size_t workspace_bytes() const = 0;
  // How much allocated memory is given back to the system for now, because a workspace holds the same data.
  virtual size_t released_bytes() const { return 0; }
  virtual DeviceMemory device_memory() = 0;

  // The sizes, no smaller, at which batches of this shape are planned and run.
  virtual BatchShape pad(const BatchShape& shape) const = 0;

  // Operations may be recorded: between replay and end_recording, only operations are called. replay returns true if they
  // were recorded under this key and have been launched again; then do not call them, nor end_recording.
  virtual bool replay(const RecordingKey& key) = 0;
  // `failure`: what an operation threw, or null. Returns false if operations were recorded but the recording failed: none
  // of them has run, so call them again. Nothing is recorded from then on.
  virtual bool end_recording(const char* failure) = 0;
  // Call it when an array, or a setting that is not in the key, has changed.
  virtual void forget_recordings() = 0;
  virtual RecordingCounts recordings() const = 0;
  // Says once, in words for the user, what the backend had to do in a slower way than intended; null: nothing. Valid
  // until the next call.
  virtual const char* take_warning() = 0;

  // Whether launches cost more than memory, so that sums are best put off and computed together, by sum_rows and
  // sum_prefix_partials.
  virtual bool sums_together() const = 0;
  // Whether the backend has a second stream: operations that are called from begin_aside to end_aside may then run beside
  // those that follow, and come after all that were called before. end_aside returns a mark, and operations called after
  // wait_for(mark) come after those aside up to the mark. join_aside waits for all of them; marks are of no use afterward,
  // and a recording ends after it.
  virtual bool runs_aside() const { return false; }
  virtual void begin_aside() {}
  virtual int end_aside() { return 0; }
  virtual void wait_for(int /*mark*/) {}
  virtual void join_aside() {}
  // How many steps may be under way before the host reads their results.
  virtual int run_ahead() const = 0;
  // Lets adamw change weights again, after a loss or norm that was not finite.
  virtual void start_run() = 0;
  // Call it before the operations of a micro-batch.
  virtual void begin_step(const StepState& state) = 0;
  // Makes some sequences of the last gathered batch the current batch: their part of its arrays, without tokens.
  virtual void use_batch(const Batch& part) = 0;
  // The gradients of the segments become their sums over the ranks, and if the loss (1) of any rank is not finite, none
  // is. Throws RANK_LOST.
  virtual void all_reduce(Collective& /*ranks*/, const OptimizerSegment* segments, int count, Acc* loss) {
    reduce_gradients(segments, count, loss);
  }
  // For a device that exchanges data itself, see core/collective.h. join_ranks throws COLLECTIVE_UNAVAILABLE, and all of
  // them throw RANK_LOST. reduce_gradients is its all_reduce; sum_over_ranks is Collective's, for doubles.
  virtual void join_ranks(const RanksMeeting& /*meeting*/) { refuse_ranks(); }
  virtual void reduce_gradients(const OptimizerSegment* /*segments*/, int /*count*/, Acc* /*loss*/) { refuse_ranks(); }
  virtual void sum_over_ranks(double* /*values*/, int64_t /*count*/) { refuse_ranks(); }
  virtual void leave_ranks() { refuse_ranks(); }
  // Waits for all operations. The host then reads results through copy_out or read_*.
  virtual void synchronize() = 0;

#define BERTUNE_VIRTUAL(name, Arguments) virtual void name(const Arguments& args) = 0;
  BERTUNE_OPERATIONS(BERTUNE_VIRTUAL)
#undef BERTUNE_VIRTUAL

 private:
  [[noreturn]] static void refuse_ranks() {
    throw Error("COLLECTIVE_UNAVAILABLE", "Expected a device that exchanges data with those of other processes");
  }
};

}  // namespace bertune
