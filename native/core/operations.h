// The operations of backend.h that take one argument struct, as a list: X(name, Arguments).
#pragma once

#define BERTUNE_OPERATIONS(X)                                              \
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
  X(attention_forward, AttentionForward)                                   \
  X(attention_backward, AttentionBackward)                                 \
  X(lora_forward_add, LoraForwardAdd)                                      \
  X(lora_backward, LoraBackward)                                           \
  X(mixed_lora_forward_add, MixedLoraForwardAdd)                           \
  X(mixed_linear_forward, MixedLinearForward)                              \
  X(first_rows_forward, FirstRowsForward)                                  \
  X(first_rows_backward, FirstRowsBackward)                                \
  X(cross_entropy, CrossEntropy)                                           \
  X(binary_cross_entropy, BinaryCrossEntropy)                              \
  X(mean_squared_error, MeanSquaredError)                                  \
  X(keep_step, KeepStep)                                                   \
  X(keep_logits, KeepLogits)                                               \
  X(cast_to_real, CastToReal)                                              \
  X(cast_to_acc, CastToAcc)
