// An encoder with a head for sequence classification, forward and backward over a packed batch:
//
//   ids (T) → embeddings (T,C) → L encoder layers (T,C) → first tokens (B,C) → head → logits (B,NC)
//
// The table decides which parameters train. Backward stops at the lowest of them, and only what it reads is saved.
//
// A model may have several variants: sets of low-rank updates and heads over the same frozen weights. They train together,
// on batches of as many equal parts: what is frozen multiplies the rows of all parts at once, and each part goes through
// its variant's updates, head and loss. Inference is by one of them.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "model/adapter_set.h"
#include "model/dataset.h"
#include "model/embeddings.h"
#include "model/encoder_layer.h"
#include "model/heads.h"
#include "model/magnitudes.h"
#include "model/parameters.h"
#include "model/prefix.h"
#include "model/run_memory.h"

namespace bertune {

// The most that a batch may contain.
struct BatchLimits {
  int tokens = 0;
  int sequences = 0;
  // For training: gradient checkpointing (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). A layer keeps
  // only its input, and runs again when backward reaches it.
  bool recompute = false;
  int step_tokens = 0;  // for training: of the micro-batches of a step together
  bool operator==(const BatchLimits&) const = default;
};

// The buffers of one kind of pass. Training keeps what backward reads, inference keeps nothing.
struct Activations {
  BatchLimits limits;
  Batch batch;       // with sizes padded as the backend needs them
  BatchShape live;   // the sizes without padding
  BatchParts parts;  // by variant
  Batch part;  // what the head works on: a part, or one of several micro-batches whose features were computed at once
  int part_begin;  // its first sequence in the batch
  EmbeddingBuffers embeddings;
  std::vector<LayerBuffers> layers;  // the last one first_only
  LayerBuffers last_layer_full;      // the last one on all tokens; inference
  std::vector<HeadBuffers> heads;    // of each variant
  LoraBuffers lora;
  BackwardBuffers grads;
  Acc* loss;              // (parts)
  Acc* grad_norm;         // (parts)
  Acc* class_weights;     // (NC)
  Acc* positive_weights;  // (NC)
  int32_t* predictions;   // (B) of all parts, or whether each is right
};

class SequenceClassifier {
 public:
  SequenceClassifier(Backend& backend, const ModelConfig& model, const std::vector<ParameterRow>& rows,
                     const LoraConfigs& loras);

  const ModelConfig& config() const { return model_; }
  Backend& backend() { return backend_; }
  ParameterTable& parameters() { return parameters_; }
  size_t activation_bytes() const { return arena_.bytes() + run_.bytes() + magnitudes_.bytes(); }
  RunMemory& run() { return run_; }
  AdapterSet& adapters() { return *adapters_; }
  int prefix_tokens() const { return model_.P; }
  int variants() const { return parameters_.variants(); }
  // Which variant inference is by.
  void select(int variant) { selected_ = variant; }
  int selected() const { return selected_; }
  // The sequences that fill up each part of a batch, where a device wants tokens padded: with them every part begins at a
  // row that depends on padded sizes alone.
  int fillers() const { return variants() > 1 && token_padding() > 1 ? kFillers : 0; }
  int longest_filler() const { return fillers() > 0 ? (kFillers + token_padding() - 2) / kFillers + 1 : 0; }
  // The tokens of a part with so many of its own.
  int tokens_of_part(int tokens) const { return fillers() > 0 ? backend_.pad({1, tokens + fillers(), 1}).T : tokens; }

  // Reserves memory for batches of at most these sizes, in training as many for each variant, workspaces included. It grows, and shrinks only when `recompute`
  // changes. Nothing is allocated after it. Throws OUT_OF_MEMORY, and then nothing has changed.
  void reserve(BatchLimits training, BatchLimits inference);
  BatchLimits inference_limits() const { return inference_.limits; }

  // Sets the sizes of the next batch to those of the examples order[0..count), in host memory: equal parts, of these
  // variants.
  Activations& size_batch(const Dataset& dataset, const int32_t* order, int count, bool training,
                          const std::vector<int32_t>& variants);
  // Gathers the step's examples into the batch.
  void gather(Activations& activations, bool training);

  // Whether nothing that the head's features are made of trains, so that those of coming micro-batches can be computed at
  // once.
  bool looks_ahead() const { return variants() == 1 && !heads_[0].reaches_features(); }
  // Computes the features of the step's examples: micro-batches of `micro_batch` sequences, the last of which may be
  // smaller. Each has the same dropout as on its own. Call size_batch before it.
  void make_features(Activations& activations, int micro_batch);
  // Makes `count` of those sequences, starting at number `begin`, the current batch, for classify and backward_head.
  void use_part(Activations& activations, int begin, int count);
  Activations& training_activations() { return training_; }
  // logits (B,NC) of the current part
  void classify(Activations& activations);
  // The same as backward, for the current part.
  void backward_head(Activations& activations, bool accumulate);
  // learn_head does the work of classify, loss and backward_head.
  bool learns_head_at_once() const { return heads_[0].learns_at_once(backend_); }
  void learn_head(Activations& activations, const HeadLoss& loss, bool accumulate);

  // logits (B,NC) of the gathered batch, in activations.heads, or for a batch of several adapters in mix->logits.
  // `updates`: as in Pass.
  void forward(Activations& activations, bool training, const AdapterMix* mix = nullptr,
               const std::vector<int>* updates = nullptr);
  // Makes the sequences of a part the current batch, for its loss and what is kept of it.
  void use_part_of(Activations& activations, int part);
  // dlogits (B,NC) in activations.heads → gradients of every trainable parameter.
  void backward(Activations& activations, bool accumulate);

  // Whether a step's update is best made beside the next step's forward pass: see update_aside.
  bool defers_updates() const;
  // Makes the deferred update in parts: the embeddings', each layer's and the head's. Returns their marks, for forward.
  std::vector<int> update_aside(const OptimizerSettings& settings);

  // Runs every layer on all tokens, dropout off, and passes each hidden state (T,C), the embeddings' and then each layer's,
  // to `show`.
  void hidden_states(Activations& activations, const std::function<void(const Real*)>& show);
  // The prompt (P,2LC) of prefix tuning. Throws INVALID_OPTION without a prefix.
  const Real* prompt_embeddings();

  // On the device: the last training pass's logits (B,NC), and the weights (NC) in its loss.
  const Real* training_logits() const { return training_.heads[0].logits; }
  Acc* class_weights() const { return training_.class_weights; }
  Acc* positive_weights() const { return training_.positive_weights; }

  // Call it after any change of weights.
  void weights_changed();
  // Computes what depends on the weights alone, outside of any recording. Call it before an inference pass.
  void prepare_inference();
  // Computes the prompt of prefix tuning and the scales of magnitudes, once per training step, before its forward passes.
  void prepare_step();
  // Call it after the last backward pass of a step: computes what depends on the sums over all of them.
  void finish_gradients() { magnitudes_.finish_gradients(backend_); }
  // Fills a magnitude; the weights must be there.
  void initialize_magnitude(const Parameter& parameter) { magnitudes_.initialize(backend_, parameter); }

 private:
  static constexpr int kFillers = 8;  // so that none is long

  // Of (B,C) over all parts, the rows of the current one.
  Real* rows_of_part(const Activations& activations, Real* sequences) const;
  // One part alone.
  BatchParts parts_of(const Activations& activations, int part) const;
  HeadBuffers head_of_part(const Activations& activations) const;
  int token_padding() const { return backend_.pad({1, 1, 1}).T; }
  bool has_places() const { return looks_ahead() || variants() > 1; }
  // How many sequences to add to a training batch, because its parts are padded.
  int sequences_behind() const { return looks_ahead() ? backend_.pad({1, 0, 0}).B - 1 : 0; }
  void plan(BatchLimits training, BatchLimits inference);
  void lay_out(Cutter& cutter, Activations& activations, bool training);
  void lay_out_layers(Cutter& cutter, Activations& activations, bool training, SharedBuffers& shared);
  void lay_out_gradients(Cutter& cutter, Activations& activations);
  void run_layers(const Pass& pass, Activations& activations, bool first_only_last,
                  const std::function<void(const Real*)>& show);
  // Whether biases or LayerNorms of layers train, and whether their weights do.
  bool sums_rows() const;
  bool trains_weights() const;
  PrefixView prefix_view(const Pass& pass, int layer) const;
  // Whether backward finds the layer's input (from 1 on, a layer's output) where forward left it.
  bool keeps_input(const BatchLimits& limits, int layer) const;
  Real* layer_input(const Activations& activations, int layer) const;

  Backend& backend_;
  const ModelConfig model_;
  ParameterTable parameters_;
  LoraConfigs loras_;
  Magnitudes magnitudes_;
  Embeddings embeddings_;
  std::optional<Prefix> prefix_;
  std::vector<EncoderLayer> layers_;
  std::vector<Heads> heads_;  // of each variant
  int selected_ = 0;
  std::optional<AdapterSet> adapters_;
  Arena arena_;
  RunMemory run_;
  Activations training_{}, inference_{};
};

}  // namespace bertune
