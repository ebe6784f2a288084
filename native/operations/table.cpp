#include "operations/table.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>

#include "core/error.h"

namespace bertune {
namespace {

double area(double rows, double columns) { return rows * columns; }

std::string numbered(const char* name, size_t index) {
  std::string text = name;
  text += '.';
  text += std::to_string(index);
  return text;
}

void fill(Fields& f, EmbeddingForward& args) {
  const Batch batch = f.batch();
  f.size("V", args.V);
  f.size("C", args.C);
  f.size_or("P", args.P, 0);
  f.size_or("padding_position", args.padding_position, 0);
  f.number("eps", args.eps);
  f.dropout(args.dropout);
  f.batch_ids(args.V);
  f.batch_token_types(static_cast<int>(std::min(f.length("token_type") / args.C, double{INT32_MAX})));
  f.batch_positions(batch.max_length);
  f.inp("word", args.word, area(args.V, args.C));
  f.optional_inp("token_type", args.token_type, args.C);
  const double positions = std::max(static_cast<double>(args.P) + batch.max_length, args.padding_position + 1.0);
  f.inp("position", args.position, area(positions, args.C));
  f.inp("gamma", args.gamma, args.C);
  f.inp("beta", args.beta, args.C);
  f.out("sum", args.sum, area(batch.T, args.C));
  f.out("mean", args.mean, batch.T);
  f.out("rstd", args.rstd, batch.T);
  f.out("out", args.out, area(batch.T, args.C));
}

void fill(Fields& f, EmbeddingBackward& args) {
  const Batch batch = f.batch();
  f.size("V", args.V);
  f.size("C", args.C);
  f.size_or("P", args.P, 0);
  f.size("types", args.types, 0);
  f.size("positions", args.positions, static_cast<double>(args.P) + batch.max_length);
  f.size_or("padding_id", args.padding_id, -1, -1);
  f.flag("accumulate", args.accumulate);
  f.dropout(args.dropout);
  f.batch_ids(args.V);
  f.batch_token_types(args.types);
  f.batch_positions(args.positions - args.P);
  f.inp("sum", args.sum, area(batch.T, args.C));
  f.inp("mean", args.mean, batch.T);
  f.inp("rstd", args.rstd, batch.T);
  f.inp("gamma", args.gamma, args.C);
  f.inp("dout", args.dout, area(batch.T, args.C));
  f.out("dsum", args.dsum, area(batch.T, args.C));
  args.word_rows = args.V;
  f.optional_out("dword", args.dword, area(args.V, args.C));
  f.optional_out("dtoken_type", args.dtoken_type, area(args.types, args.C));
  f.optional_out("dposition", args.dposition, area(args.positions, args.C));
  f.optional_out("dgamma", args.dgamma, args.C);
  f.optional_out("dbeta", args.dbeta, args.C);
}

void fill(Fields& f, LinearForward& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.size("k", args.k);
  f.stride("inp_stride", args.inp_stride, args.k);
  f.stride("out_stride", args.out_stride, args.n);
  f.activation(args.activation);
  f.inp("inp", args.inp, Fields::strided(args.rows.count, args.k, args.inp_stride));
  f.inp("weight", args.weight, area(args.n, args.k));
  f.optional_inp("bias", args.bias, args.n);
  f.optional_out("preactivation", args.preactivation, area(args.rows.count, args.n));
  f.out("out", args.out, Fields::strided(args.rows.count, args.n, args.out_stride));
}

void fill(Fields& f, LinearBackwardInput& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.size("k", args.k);
  f.stride("dout_stride", args.dout_stride, args.n);
  f.stride("dinp_stride", args.dinp_stride, args.k);
  f.flag("add_to_dinp", args.add_to_dinp);
  f.activation(args.activation);
  f.inp("dout", args.dout, Fields::strided(args.rows.count, args.n, args.dout_stride));
  f.inp("weight", args.weight, area(args.n, args.k));
  if (args.activation != Activation::kNone) f.inp("saved", args.saved, area(args.rows.count, args.k));
  f.optional_out("gradient", args.gradient, area(args.rows.count, args.k));
  if (!args.gradient) f.out("dinp", args.dinp, Fields::strided(args.rows.count, args.k, args.dinp_stride));
}

void fill(Fields& f, LinearBackwardWeight& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.size("k", args.k);
  f.stride("dout_stride", args.dout_stride, args.n);
  f.stride("inp_stride", args.inp_stride, args.k);
  f.flag("accumulate", args.accumulate);
  f.inp("dout", args.dout, Fields::strided(args.rows.count, args.n, args.dout_stride));
  f.optional_out("dweight", args.dweight, area(args.n, args.k));
  f.optional_out("dbias", args.dbias, args.n);
  const double count = Fields::strided(args.rows.count, args.k, args.inp_stride);
  args.dweight ? f.inp("inp", args.inp, count) : f.optional_inp("inp", args.inp, count);
}

void fill(Fields& f, ActivationForward& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.activation(args.activation);
  f.inp("inp", args.inp, area(args.rows.count, args.n));
  f.out("out", args.out, area(args.rows.count, args.n));
}

void fill(Fields& f, ActivationBackward& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.activation(args.activation);
  f.inp("saved", args.saved, area(args.rows.count, args.n));
  f.inp("dout", args.dout, area(args.rows.count, args.n));
  f.out("dinp", args.dinp, area(args.rows.count, args.n));
  f.dropout(args.dropout);
}

void fill(Fields& f, DropoutApply& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.dropout(args.dropout);
  f.inp("inp", args.inp, area(args.rows.count, args.n));
  f.out("out", args.out, area(args.rows.count, args.n));
  f.flag("add_to_out", args.add_to_out);
}

void fill(Fields& f, DropoutResidualLayernormForward& args) {
  f.rows(args.rows);
  f.size("C", args.C);
  f.number("eps", args.eps);
  f.dropout(args.dropout);
  const double count = area(args.rows.count, args.C);
  f.inp("inp", args.inp, count);
  f.optional_inp("residual", args.residual, count);
  f.inp("gamma", args.gamma, args.C);
  f.inp("beta", args.beta, args.C);
  f.out("sum", args.sum, count);
  f.out("mean", args.mean, args.rows.count);
  f.out("rstd", args.rstd, args.rows.count);
  f.out("out", args.out, count);
  if (f.length("first") > 0) f.out("first", args.first, area(f.batch().B, args.C));
}

void fill(Fields& f, DropoutResidualLayernormBackward& args) {
  f.rows(args.rows);
  f.size("C", args.C);
  f.flag("accumulate", args.accumulate);
  f.dropout(args.dropout);
  const double count = area(args.rows.count, args.C);
  f.inp("dout", args.dout, count);
  f.inp("sum", args.sum, count);
  f.inp("mean", args.mean, args.rows.count);
  f.inp("rstd", args.rstd, args.rows.count);
  f.inp("gamma", args.gamma, args.C);
  f.optional_out("dresidual", args.dresidual, count);
  if (args.dresidual) f.optional_out("dinp", args.dinp, count);
  f.optional_out("dgamma", args.dgamma, args.C);
  f.optional_out("dbeta", args.dbeta, args.C);
}

// All of AttentionForward but its outputs, which backward reads. Returns the number of query rows.
int fill_inputs(Fields& f, AttentionForward& args) {
  const Batch batch = f.batch();
  f.size("C", args.C);
  f.size("NH", args.NH);
  if (args.C % args.NH != 0) throw Error("INVALID_OPTION", "Expected a divisor of C for NH");
  f.size_or("P", args.P, 0);
  f.flag("first_only", args.first_only);
  f.dropout(args.dropout);
  f.stride("q_stride", args.q_stride, args.C);
  f.stride("kv_stride", args.kv_stride, args.C);
  f.stride("prefix_stride", args.prefix_stride, args.C);
  const int queries = args.first_only ? batch.B : batch.T;
  f.inp("q", args.q, Fields::strided(queries, args.C, args.q_stride));
  f.inp("k", args.k, Fields::strided(batch.T, args.C, args.kv_stride));
  f.inp("v", args.v, Fields::strided(batch.T, args.C, args.kv_stride));
  if (args.P > 0) {
    f.inp("prefix_k", args.prefix_k, Fields::strided(args.P, args.C, args.prefix_stride));
    f.inp("prefix_v", args.prefix_v, Fields::strided(args.P, args.C, args.prefix_stride));
  }
  return queries;
}

void fill(Fields& f, AttentionForward& args) {
  const int queries = fill_inputs(f, args);
  f.out("out", args.out, area(queries, args.C));
  f.out("lse", args.lse, area(queries, args.NH));
}

void fill(Fields& f, AttentionBackward& args) {
  AttentionForward& forward = args.forward;
  const Batch batch = f.batch();
  const int queries = fill_inputs(f, forward);
  const int C = forward.C, P = forward.P;
  const Real* out = nullptr;
  const Acc* lse = nullptr;
  f.inp("out", out, area(queries, C));
  f.inp("lse", lse, area(queries, forward.NH));
  // The struct is forward's, which writes them; backward reads them.
  forward.out = const_cast<Real*>(out);
  forward.lse = const_cast<Acc*>(lse);
  f.flag("accumulate", args.accumulate);
  f.stride("dprefix_stride", args.dprefix_stride, C);
  f.inp("dout", args.dout, area(queries, C));
  f.optional_out("dq", args.dq, Fields::strided(queries, C, forward.q_stride));
  f.optional_out("dk", args.dk, Fields::strided(batch.T, C, forward.kv_stride));
  f.optional_out("dv", args.dv, Fields::strided(batch.T, C, forward.kv_stride));
  if (P == 0) return;
  f.optional_out("dprefix_k", args.dprefix_k, Fields::strided(P, C, args.dprefix_stride));
  f.optional_out("dprefix_v", args.dprefix_v, Fields::strided(P, C, args.dprefix_stride));
  const double partials = area(batch.B, area(P, 2.0 * C));
  f.optional_out("prefix_partials", args.prefix_partials, partials);
  if (!args.prefix_partials && (args.dprefix_k || args.dprefix_v)) args.prefix_partials = f.workspace<Acc>(partials);
}

void fill(Fields& f, SumPrefixPartials& args) {
  const Batch batch = f.batch();
  f.size("L", args.L);
  f.size("P", args.P);
  f.size("C", args.C);
  f.flag("accumulate", args.accumulate);
  const double prefix = area(args.P, area(args.L, 2.0 * args.C));
  f.inp("partials", args.partials, area(batch.B, prefix));
  f.out("dprefix", args.dprefix, prefix);
  f.optional_out("dprefix_real", args.dprefix_real, prefix);
}

// The field of the i-th of several updates that share an input: the first's is the name itself.
std::string of_update(const char* name, int i) { return i == 0 ? name : numbered(name, static_cast<size_t>(i)); }

int count_updates(const Fields& f) {
  int count = 1;
  while (count < kMostLoraUpdates && f.length(of_update("a", count)) > 0) ++count;
  return count;
}

// What both directions have of update i. Its dropout is at the site behind that of the one before.
template <typename Update>
void fill_update(Fields& f, int i, int k, Update& update) {
  f.size(of_update("n", i), update.n);
  f.size(of_update("r", i), update.r);
  f.number(of_update("scaling", i), update.scaling);
  f.dropout(update.dropout);
  update.dropout.site += static_cast<uint32_t>(i);
  f.inp(of_update("a", i), update.a, area(update.r, k));
  f.inp(of_update("b", i), update.b, area(update.n, update.r));
}

void fill(Fields& f, LoraForwardAdd& args) {
  f.rows(args.rows);
  f.size("k", args.k);
  f.stride("inp_stride", args.inp_stride, args.k);
  f.inp("inp", args.inp, Fields::strided(args.rows.count, args.k, args.inp_stride));
  args.dropped = f.workspace<Real>(area(args.rows.count, args.k));
  args.count = count_updates(f);
  for (int i = 0; i < args.count; ++i) {
    LoraForwardUpdate& update = args.updates[i];
    fill_update(f, i, args.k, update);
    f.stride(of_update("out_stride", i), update.out_stride, update.n);
    f.out(of_update("h", i), update.h, area(args.rows.count, update.r));
    f.out(of_update("out", i), update.out, Fields::strided(args.rows.count, update.n, update.out_stride));
  }
}

void fill(Fields& f, LoraBackward& args) {
  f.rows(args.rows);
  f.size("k", args.k);
  f.stride("inp_stride", args.inp_stride, args.k);
  f.stride("dinp_stride", args.dinp_stride, args.k);
  f.flag("accumulate", args.accumulate);
  f.inp("inp", args.inp, Fields::strided(args.rows.count, args.k, args.inp_stride));
  args.dropped = f.workspace<Real>(area(args.rows.count, args.k));
  f.optional_out("dinp", args.dinp, Fields::strided(args.rows.count, args.k, args.dinp_stride));
  args.count = count_updates(f);
  for (int i = 0; i < args.count; ++i) {
    LoraBackwardUpdate& update = args.updates[i];
    fill_update(f, i, args.k, update);
    f.stride(of_update("dout_stride", i), update.dout_stride, update.n);
    f.inp(of_update("dout", i), update.dout, Fields::strided(args.rows.count, update.n, update.dout_stride));
    f.inp(of_update("h", i), update.h, area(args.rows.count, update.r));
    f.optional_out(of_update("da", i), update.da, area(update.r, args.k));
    f.optional_out(of_update("db", i), update.db, area(update.n, update.r));
    update.dh = f.workspace<Real>(area(args.rows.count, update.r));
  }
}

void fill(Fields& f, DoraScale& args) {
  f.size("n", args.n);
  f.size("k", args.k);
  f.size("r", args.r);
  f.number("scaling", args.scaling);
  f.inp("weight", args.weight, area(args.n, args.k));
  f.inp("a", args.a, area(args.r, args.k));
  f.inp("b", args.b, area(args.n, args.r));
  // With a master it is as precise as Acc.
  Real* magnitude = nullptr;
  Master* master = nullptr;
  f.weight("magnitude", magnitude, master, args.n);
  args.magnitude = magnitude;
  args.magnitude_master = master;
  f.out("norm", args.norm, args.n);
  f.out("scale", args.scale, args.n);
  f.out("scaled_b", args.scaled_b, area(args.n, args.r));
}

void fill(Fields& f, DoraScaleBackward& args) {
  f.size("n", args.n);
  f.size("r", args.r);
  f.inp("b", args.b, area(args.n, args.r));
  f.inp("norm", args.norm, args.n);
  f.inp("scale", args.scale, args.n);
  f.out("dmagnitude", args.dmagnitude, args.n);
  f.out("db", args.db, area(args.n, args.r));
}

void fill(Fields& f, DoraForward& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.stride("out_stride", args.out_stride, args.n);
  f.inp("scale", args.scale, args.n);
  f.optional_inp("bias", args.bias, args.n);
  const double count = area(args.rows.count, args.n);
  args.bias ? f.optional_out("base", args.base, count) : f.out("base", args.base, count);
  f.out("out", args.out, Fields::strided(args.rows.count, args.n, args.out_stride));
}

void fill(Fields& f, DoraBackward& args) {
  f.rows(args.rows);
  f.size("n", args.n);
  f.stride("dout_stride", args.dout_stride, args.n);
  f.flag("accumulate", args.accumulate);
  const double count = area(args.rows.count, args.n);
  f.inp("scale", args.scale, args.n);
  f.inp("dout", args.dout, Fields::strided(args.rows.count, args.n, args.dout_stride));
  f.inp("base", args.base, count);
  f.optional_out("dbase", args.dbase, count);
  f.out("dscale", args.dscale, args.n);
}

// How many of the arrays name.0, name.1, ... there are.
int numbered_count(const Fields& f, const char* name) {
  int count = 0;
  while (f.length(numbered(name, count)) > 0) ++count;
  return count;
}

// A table of the host's in device memory.
template <typename Row>
const Row* upload_table(Fields& f, const std::vector<Row>& table) {
  static_assert(sizeof(Row) % sizeof(int32_t) == 0);
  const size_t bytes = table.size() * sizeof(Row);
  int32_t* device = f.workspace<int32_t>(static_cast<double>(bytes) / sizeof(int32_t));
  f.backend().copy_in(device, table.data(), bytes);
  return reinterpret_cast<const Row*>(device);
}

// The adapter of each sequence, of the order up to the batch's end.
void fill_slots(Fields& f, const int32_t*& slots, int live_sequences, size_t adapters) {
  const double count = static_cast<double>(f.order_begin()) + live_sequences;
  f.indices("slots", count, static_cast<double>(adapters));
  f.inp("slots", slots, count);
}

// Update i has the factors a.i and b.i, the rank r.i and the scaling scaling.i; slot 0 has none.
void fill(Fields& f, MixedLoraForwardAdd& args) {
  const Batch batch = f.batch();
  f.rows(args.rows);
  f.size("n", args.n);
  f.size("k", args.k);
  f.stride("inp_stride", args.inp_stride, args.k);
  f.stride("out_stride", args.out_stride, args.n);
  std::vector<LowRankFactors> updates(1 + static_cast<size_t>(numbered_count(f, "a")));
  args.r = 1;
  for (size_t i = 1; i < updates.size(); ++i) {
    LowRankFactors& update = updates[i];
    f.size(numbered("r", i - 1), update.r);
    f.number(numbered("scaling", i - 1), update.scaling);
    f.inp(numbered("a", i - 1), update.a, area(update.r, args.k));
    f.inp(numbered("b", i - 1), update.b, area(args.n, update.r));
    args.r = std::max(args.r, static_cast<int>(update.r));
  }
  args.updates = upload_table(f, updates);
  fill_slots(f, args.slots, batch.B - f.padding_sequences(), updates.size());
  f.inp("inp", args.inp, Fields::strided(args.rows.count, args.k, args.inp_stride));
  f.out("out", args.out, Fields::strided(args.rows.count, args.n, args.out_stride));
  args.h = f.workspace<Real>(area(args.rows.count, args.r));
}

// Update i has scale.i, or none where that is left out; slot 0 has none.
void fill(Fields& f, MixedDoraForward& args) {
  const Batch batch = f.batch();
  f.rows(args.rows);
  f.size("n", args.n);
  f.stride("out_stride", args.out_stride, args.n);
  int count = 0;
  f.size("updates", count);
  std::vector<LowRankFactors> updates(1 + static_cast<size_t>(count));
  for (size_t i = 1; i < updates.size(); ++i) f.optional_inp(numbered("scale", i - 1), updates[i].scale, args.n);
  args.updates = upload_table(f, updates);
  fill_slots(f, args.slots, batch.B - f.padding_sequences(), updates.size());
  f.inp("bias", args.bias, args.n);
  f.out("out", args.out, Fields::strided(args.rows.count, args.n, args.out_stride));
}

// Linear i has weight.i and bias.i; slot 0 has none.
void fill(Fields& f, MixedLinearForward& args) {
  const Batch batch = f.batch();
  f.size("n", args.n);
  f.size("k", args.k);
  f.stride("out_stride", args.out_stride, args.n);
  std::vector<LinearFactors> linears(1 + static_cast<size_t>(numbered_count(f, "bias")));
  for (size_t i = 1; i < linears.size(); ++i) {
    LinearFactors& linear = linears[i];
    const double n = f.length(numbered("bias", i - 1));
    if (n > args.n) throw Error("INVALID_OPTION", "Expected at most n elements for each bias");
    linear.n = static_cast<int32_t>(n);
    f.inp(numbered("bias", i - 1), linear.bias, n);
    f.inp(numbered("weight", i - 1), linear.weight, area(n, args.k));
  }
  args.linears = upload_table(f, linears);
  fill_slots(f, args.slots, batch.B - f.padding_sequences(), linears.size());
  f.inp("inp", args.inp, area(batch.B, args.k));
  f.out("out", args.out, Fields::strided(batch.B, args.n, args.out_stride));
}

void fill(Fields& f, FirstRowsForward& args) {
  const Batch batch = f.batch();
  f.size("C", args.C);
  f.stride("inp_stride", args.inp_stride, args.C);
  f.inp("inp", args.inp, Fields::strided(batch.T, args.C, args.inp_stride));
  f.out("out", args.out, area(batch.B, args.C));
}

void fill(Fields& f, FirstRowsBackward& args) {
  const Batch batch = f.batch();
  f.size("C", args.C);
  f.flag("add_to_dinp", args.add_to_dinp);
  f.inp("dout", args.dout, area(batch.B, args.C));
  f.out("dinp", args.dinp, area(batch.T, args.C));
}

void fill(Fields& f, CrossEntropy& args) {
  const Batch batch = f.batch();
  f.size("NC", args.NC);
  f.number_or("label_smoothing", args.label_smoothing, 0);
  f.number_or("focal_gamma", args.focal_gamma, 0);
  f.number_or("loss_scale", args.loss_scale, 1);
  f.batch_labels(args.NC);
  f.inp("logits", args.logits, area(batch.B, args.NC));
  f.optional_inp("class_weights", args.class_weights, args.NC);
  f.out("loss", args.loss, 1);
  f.optional_out("predictions", args.predictions, batch.B);
  f.optional_out("dlogits", args.dlogits, area(batch.B, args.NC));
}

void fill(Fields& f, BinaryCrossEntropy& args) {
  const Batch batch = f.batch();
  f.size("NC", args.NC);
  f.number_or("focal_gamma", args.focal_gamma, 0);
  f.number_or("loss_scale", args.loss_scale, 1);
  f.batch_targets(args.NC);
  f.inp("logits", args.logits, area(batch.B, args.NC));
  f.optional_inp("class_weights", args.class_weights, args.NC);
  f.optional_inp("positive_weights", args.positive_weights, args.NC);
  f.out("loss", args.loss, 1);
  f.optional_out("right", args.right, batch.B);
  f.optional_out("dlogits", args.dlogits, area(batch.B, args.NC));
}

void fill(Fields& f, MeanSquaredError& args) {
  const Batch batch = f.batch();
  f.size("NC", args.NC);
  f.number_or("loss_scale", args.loss_scale, 1);
  f.batch_targets(args.NC);
  f.inp("logits", args.logits, area(batch.B, args.NC));
  f.out("loss", args.loss, 1);
  f.optional_out("dlogits", args.dlogits, area(batch.B, args.NC));
}

void fill(Fields& f, KeepStep& args) {
  const Batch batch = f.batch();
  const double slots = f.slot() + 1.0;
  f.flag("add", args.add);
  f.number_or("scale", args.scale, 1);
  f.inp("loss", args.loss, 1);
  f.optional_inp("predictions", args.predictions, batch.B);
  f.optional_inp("right", args.right, batch.B);
  if (args.predictions != nullptr) f.batch_labels(INT32_MAX);
  f.optional_inp("norm", args.norm, 1);
  f.out("losses", args.losses, slots);
  f.out("norms", args.norms, slots);
  f.out("correct", args.correct, slots);
}

void fill(Fields& f, KeepLogits& args) {
  const Batch batch = f.batch();
  f.size("NC", args.NC);
  f.inp("logits", args.logits, area(batch.B, args.NC));
  const double kept = static_cast<double>(f.order_begin()) + batch.B - f.padding_sequences();
  f.out("kept_logits", f.step().kept_logits, area(kept, args.NC));
}

void fill(Fields& f, CastToReal& args) {
  args.count = static_cast<int64_t>(f.length("inp"));
  f.inp("inp", args.inp, 0);
  f.out("out", args.out, static_cast<double>(args.count));
}

// Packs examples order[order_begin ..] of a data set; the outputs are the arrays of Batch.
void fill(Fields& f, GatherBatch& args) {
  Batch& batch = args.batch;
  const std::vector<int32_t> offsets = f.offsets("dataset_offsets");
  const int examples = static_cast<int>(offsets.size()) - 1;
  const std::vector<int32_t> order = f.indices("order", f.length("order"), examples);
  for (size_t i = f.order_begin(); i < order.size(); ++i) {
    const int length = offsets[order[i] + 1] - offsets[order[i]];
    if (length > INT32_MAX / 2 - batch.T) throw Error("INVALID_OPTION", "Expected fewer than 2^30 tokens for order");
    batch.B += 1;
    batch.T += length;
    batch.max_length = std::max(batch.max_length, length);
  }
  if (batch.B == 0) throw Error("INVALID_OPTION", "Expected at least one example for order but received none");
  f.live(batch.B, batch.T);
  batch.B += f.padding_sequences();
  batch.T += f.padding_tokens();
  f.flag("sort_tokens", args.sort_tokens);
  Examples& from = f.step().examples;
  f.inp("dataset_ids", from.ids, offsets.back());
  f.optional_inp("dataset_token_types", from.token_types, offsets.back());
  f.optional_inp("dataset_positions", from.positions, offsets.back());
  f.inp("dataset_offsets", from.offsets, examples + 1.0);
  f.optional_inp("dataset_labels", from.labels, examples);
  const bool has_targets = f.length("dataset_targets") > 0;
  if (has_targets) f.size("NC", args.NC);
  f.optional_inp("dataset_targets", from.targets, area(examples, args.NC));
  f.inp("order", from.order, 1);
  f.out("ids", batch.ids, batch.T);
  f.out("token_types", batch.token_types, batch.T);
  f.out("positions", batch.positions, batch.T);
  f.out("labels", batch.labels, batch.B);
  if (has_targets) f.out("targets", batch.targets, area(batch.B, args.NC));
  f.out("cu_seqlens", batch.cu_seqlens, batch.B + 1.0);
  f.out("tokens_by_id", batch.tokens_by_id, batch.T);
  f.out("tokens_by_position", batch.tokens_by_position, batch.T);
}

// What runs an operation on arguments that are filled from the fields.
template <typename Args>
std::function<void()> bind(Fields& f, void (Backend::*run)(const Args&)) {
  Args args{};
  fill(f, args);
  return [run, &backend = f.backend(), args] { (backend.*run)(args); };
}

// The LayerNorm that goes on from dinp, where there is an array norm_sum. It has the dropout of the updates.
std::shared_ptr<DropoutResidualLayernormBackward> fill_norm(Fields& f, const LoraBackward& lora) {
  auto args = std::make_shared<DropoutResidualLayernormBackward>();
  args->rows = lora.rows;
  args->C = lora.k;
  args->dropout = lora.updates[0].dropout;
  args->dout = lora.dinp;
  const double count = area(args->rows.count, args->C);
  f.optional_inp("norm_sum", args->sum, count);
  if (!args->sum) return nullptr;
  f.inp("norm_mean", args->mean, args->rows.count);
  f.inp("norm_rstd", args->rstd, args->rows.count);
  f.inp("norm_gamma", args->gamma, args->C);
  f.out("norm_dresidual", args->dresidual, count);
  f.out("norm_dinp", args->dinp, count);
  return args;
}

// With `put_off` each update has a call of its own, which leaves its sums to the next, and a call at the end has the last.
std::function<void()> bind(Fields& f, void (Backend::*run)(const LoraBackward&)) {
  LoraBackward args{};
  fill(f, args);
  bool put_off = false;
  f.flag("put_off", put_off);
  if (!put_off) {
    const auto norm = fill_norm(f, args);
    args.norm = norm.get();
    return [run, &backend = f.backend(), args, norm] { (backend.*run)(args); };
  }
  std::vector<LoraBackward> calls(static_cast<size_t>(args.count), args);
  for (size_t i = 0; i < calls.size(); ++i) {
    calls[i].count = 1;
    calls[i].updates[0] = args.updates[i];
    calls[i].later = true;
  }
  return [run, &backend = f.backend(), calls = std::move(calls)]() mutable {
    LoraBackward last{};
    for (size_t i = 0; i < calls.size(); ++i) calls[i].earlier = i > 0 ? &calls[i - 1] : nullptr;
    for (const LoraBackward& call : calls) (backend.*run)(call);
    last.earlier = &calls.back();
    (backend.*run)(last);
  };
}

// The arrays of sum i are named dout.i, dbeta.i, and of a LayerNorm sum.i, mean.i, rstd.i and dgamma.i.
std::function<void()> bind(Fields& f, void (Backend::*run)(const SumRows&)) {
  int count = 0;
  f.size("sums", count);
  const auto sums = std::make_shared<std::vector<RowSum>>(static_cast<size_t>(count));
  SumRows args{sums->data(), count, false};
  f.flag("accumulate", args.accumulate);
  Rows rows{};
  f.rows(rows);
  for (size_t i = 0; i < sums->size(); ++i) {
    RowSum& sum = (*sums)[i];
    sum.rows = rows;
    f.size(numbered("n", i), sum.n);
    f.stride(numbered("dout_stride", i), sum.dout_stride, sum.n);
    f.inp(numbered("dout", i), sum.dout, Fields::strided(rows.count, sum.n, sum.dout_stride));
    f.optional_out(numbered("dbeta", i), sum.dbeta, sum.n);
    if (f.length(numbered("sum", i)) == 0) continue;
    f.inp(numbered("sum", i), sum.sum, area(rows.count, sum.n));
    f.inp(numbered("mean", i), sum.mean, rows.count);
    f.inp(numbered("rstd", i), sum.rstd, rows.count);
    f.optional_out(numbered("dgamma", i), sum.dgamma, sum.n);
  }
  return [run, &backend = f.backend(), sums, args] { (backend.*run)(args); };
}

// `loss_kind` says which loss it is, with the fields of that: 0 cross-entropy, 1 binary cross-entropy, 2 mean squared error.
std::function<void()> bind(Fields& f, void (Backend::*run)(const NormedClassifier&)) {
  struct Losses {
    CrossEntropy of_classes;
    BinaryCrossEntropy of_labels;
    MeanSquaredError of_numbers;
  };
  const auto losses = std::make_shared<Losses>();
  NormedClassifier args{};
  const Batch batch = f.batch();
  f.size("k", args.k);
  f.size("NC", args.NC);
  f.number("eps", args.eps);
  f.dropout(args.dropout);
  const double wide = area(batch.B, args.k), labels = area(batch.B, args.NC);
  f.inp("inp", args.inp, wide);
  f.inp("gamma", args.gamma, args.k);
  f.inp("beta", args.beta, args.k);
  f.inp("weight", args.weight, area(args.NC, args.k));
  f.inp("bias", args.bias, args.NC);
  f.out("sum", args.sum, wide);
  f.out("mean", args.mean, batch.B);
  f.out("rstd", args.rstd, batch.B);
  f.out("logits", args.logits, labels);
  f.out("dlogits", args.dlogits, labels);
  f.out("dinp", args.dinp, wide);
  args.normed = f.workspace<Real>(wide);
  args.dnormed = f.workspace<Real>(wide);
  int kind = 0;
  f.size_or("loss_kind", kind, 0);
  if (kind == 0) {
    fill(f, losses->of_classes);
    args.class_loss = &losses->of_classes;
  } else if (kind == 1) {
    fill(f, losses->of_labels);
    args.label_loss = &losses->of_labels;
  } else {
    fill(f, losses->of_numbers);
    args.number_loss = &losses->of_numbers;
  }
  return [run, &backend = f.backend(), losses, args] { (backend.*run)(args); };
}

// The arrays of linear i are named dout.i, weight.i, sum.i, mean.i, rstd.i, gamma.i, beta.i, dweight.i, dbias.i, dgamma.i and
// dbeta.i.
std::function<void()> bind(Fields& f, void (Backend::*run)(const NormedLinearGradients&)) {
  int count = 0;
  f.size("linears", count);
  const auto linears = std::make_shared<std::vector<NormedLinear>>(static_cast<size_t>(count));
  NormedLinearGradients args{linears->data(), count, false};
  f.flag("accumulate", args.accumulate);
  Rows rows{};
  f.rows(rows);
  for (size_t i = 0; i < linears->size(); ++i) {
    NormedLinear& linear = (*linears)[i];
    linear.rows = rows;
    f.size(numbered("n", i), linear.n);
    f.size(numbered("k", i), linear.k);
    f.inp(numbered("dout", i), linear.dout, area(rows.count, linear.n));
    f.inp(numbered("weight", i), linear.weight, area(linear.n, linear.k));
    f.inp(numbered("sum", i), linear.sum, area(rows.count, linear.k));
    f.inp(numbered("mean", i), linear.mean, rows.count);
    f.inp(numbered("rstd", i), linear.rstd, rows.count);
    f.inp(numbered("gamma", i), linear.gamma, linear.k);
    f.inp(numbered("beta", i), linear.beta, linear.k);
    f.optional_out(numbered("dweight", i), linear.dweight, area(linear.n, linear.k));
    f.optional_out(numbered("dbias", i), linear.dbias, linear.n);
    f.optional_out(numbered("dgamma", i), linear.dgamma, linear.k);
    f.optional_out(numbered("dbeta", i), linear.dbeta, linear.k);
  }
  return [run, &backend = f.backend(), linears, args] { (backend.*run)(args); };
}

// The arrays of segment i are named grad.i, m.i, v.i, master.i (the weight as precise as it is kept) and weight.i (as
// it is computed with, where it is asked for).
std::vector<OptimizerSegment> gradient_segments(Fields& f) {
  int count = 0;
  f.size("segments", count);
  std::vector<OptimizerSegment> segments;
  for (int i = 0; i < count; ++i) {
    const std::string name = numbered("grad", i);
    OptimizerSegment segment{};
    segment.count = static_cast<int64_t>(f.length(name));
    f.out(name, segment.grad, 1);
    segments.push_back(segment);
  }
  return segments;
}

GradNorm grad_norm_of(Fields& f, const std::vector<OptimizerSegment>& segments) {
  GradNorm args{segments.data(), static_cast<int>(segments.size()), nullptr, 0, nullptr};
  f.out("norm", args.norm, 1);
  return args;
}

std::function<void()> bind(Fields& f, void (Backend::*run)(const GradNorm&)) {
  const auto segments = std::make_shared<const std::vector<OptimizerSegment>>(gradient_segments(f));
  GradNorm args = grad_norm_of(f, *segments);
  const auto keep = std::make_shared<KeepStep>();
  if (f.length("losses") > 0) {
    fill(f, *keep);
    args.keep = keep.get();
  }
  return [run, &backend = f.backend(), segments, keep, args] { (backend.*run)(args); };
}

// The gradients' norm, which AdamW clips by, and AdamW. Where `earlier_loss` is given, first an update with that loss,
// which may halt all others, and with `restart` what lets them go on.
std::function<void()> bind(Fields& f, void (Backend::*run)(const AdamW&)) {
  const auto segments = std::make_shared<std::vector<OptimizerSegment>>(gradient_segments(f));
  for (size_t i = 0; i < segments->size(); ++i) {
    OptimizerSegment& segment = (*segments)[i];
    const double count = static_cast<double>(segment.count);
    f.flag(numbered("decay", i), segment.decay);
    f.number_or(numbered("rate", i), segment.rate, 1);
    f.weight(numbered("master", i), segment.weight, segment.master, count);
    f.out(numbered("m", i), segment.m, count);
    f.out(numbered("v", i), segment.v, count);
    f.optional_copy(numbered("weight", i), segment.weight, count);
  }
  AdamW args{segments->data(), static_cast<int>(segments->size()), {}, nullptr, 0};
  f.number("beta1", args.settings.beta1);
  f.number("beta2", args.settings.beta2);
  f.number("eps", args.settings.eps);
  f.number("weight_decay", args.settings.weight_decay);
  f.number_or("max_grad_norm", args.settings.max_grad_norm, 0);
  f.inp("loss", args.loss, 1);
  AdamW earlier = args;
  f.optional_inp("earlier_loss", earlier.loss, 1);
  bool restart = false;
  f.flag("restart", restart);
  const GradNorm norm = grad_norm_of(f, *segments);
  return [run, &backend = f.backend(), segments, args, earlier, restart, norm] {
    backend.grad_norm(norm);
    if (earlier.loss != nullptr) (backend.*run)(earlier);
    if (restart) backend.start_run();
    (backend.*run)(args);
  };
}

const std::map<std::string, Operation>& table() {
#define BERTUNE_ROW(name, Arguments) {#name, [](Fields& f) { return bind(f, &Backend::name); }},
  static const std::map<std::string, Operation> operations = {BERTUNE_OPERATIONS(BERTUNE_ROW)};
#undef BERTUNE_ROW
  return operations;
}

}  // namespace

const Operation& find_operation(const std::string& name) {
  const auto found = table().find(name);
  if (found == table().end()) throw Error("NOT_FOUND", "Expected an operation of the backend but received " + name);
  return found->second;
}

std::vector<std::string> operation_names() {
  std::vector<std::string> names;
  for (const auto& [name, operation] : table()) names.push_back(name);
  return names;
}

}  // namespace bertune
