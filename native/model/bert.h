// BERT for sequence classification, forward and backward over a packed batch:
//
//   ids (T) → embeddings (T,C) → L encoder layers (T,C) → first tokens (B,C) → pooler → head → logits (B,NC)
//
// The method decides which parameters train; backward stops at the lowest of them, and only what it reads is saved.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "model/dataset.h"
#include "model/embeddings.h"
#include "model/encoder_layer.h"
#include "model/heads.h"
#include "model/parameters.h"
#include "model/prefix.h"

namespace bertune {

// The most a batch may hold.
struct BatchLimits {
  int tokens = 0;
  int sequences = 0;
  bool operator==(const BatchLimits&) const = default;
};

// The buffers of one kind of pass: training keeps what backward reads, inference keeps nothing.
struct Activations {
  BatchLimits limits;
  Batch batch;
  int32_t* order;  // (B)
  EmbeddingBuffers embeddings;
  std::vector<LayerBuffers> layers;  // the last one first_only
  LayerBuffers last_layer_full;      // the last one on all tokens; inference
  HeadBuffers head;
  LoraBuffers lora;
  BackwardBuffers grads;
  Acc* loss;             // (1)
  Acc* grad_norm;        // (1)
  Acc* class_weights;    // (NC)
  int32_t* predictions;  // (B)
};

class Bert {
 public:
  Bert(Backend& backend, const ModelConfig& model, const MethodConfig& method);

  const ModelConfig& config() const { return model_; }
  Backend& backend() { return backend_; }
  ParameterTable& parameters() { return parameters_; }
  size_t activation_bytes() const { return arena_.bytes(); }
  int prefix_tokens() const { return method_.prefix_tokens(); }

  // Plans memory for batches of at most these sizes; grows, never shrinks. Nothing is allocated after it. Throws
  // OUT_OF_MEMORY, and is then as it was.
  void reserve(BatchLimits training, BatchLimits inference);
  BatchLimits training_limits() const { return training_.limits; }
  BatchLimits inference_limits() const { return inference_.limits; }

  // Gathers the examples into the batch of the next pass.
  Activations& gather(const Dataset& dataset, const int32_t* order, int count, bool training);

  // logits (B,NC) of the gathered batch, in activations.head.logits.
  void forward(Activations& activations, bool training);
  // dlogits (B,NC) in activations.head.dlogits → gradients of every trainable parameter.
  void backward(Activations& activations, bool accumulate);

  // Runs every layer on all tokens, dropout off, and shows each hidden state (T,C): the embeddings', then each layer's.
  void hidden_states(Activations& activations, const std::function<void(const Real*)>& show);
  // The prompt (P,2LC) of prefix tuning. Throws INVALID_OPTION without a prefix.
  const Real* prompt_embeddings();

  // Results of the last training pass, on the device: logits (B,NC), loss (1).
  const Real* training_logits() const { return training_.head.logits; }
  const Acc* last_loss() const { return training_.loss; }

  // Must follow any change of weights.
  void weights_changed();

 private:
  void plan(BatchLimits training, BatchLimits inference);
  void lay_out(Cutter& cutter, Activations& activations, bool training);
  void run_layers(const Pass& pass, Activations& activations, bool first_only_last,
                  const std::function<void(const Real*)>& show);
  PrefixView prefix_view(const Pass& pass, int layer) const;
  Real* layer_input(const Activations& activations, int layer) const;

  Backend& backend_;
  const ModelConfig model_;
  const MethodConfig method_;
  ParameterTable parameters_;
  Embeddings embeddings_;
  std::optional<Prefix> prefix_;
  std::vector<EncoderLayer> layers_;
  std::optional<Heads> heads_;
  Arena arena_;
  Activations training_{}, inference_{};
};

}  // namespace bertune
