/** Modules of an encoder layer. */
export const LAYER_ROLES = [
  'query',
  'key',
  'value',
  'attention_output',
  'attention_norm',
  'intermediate',
  'output',
  'output_norm',
] as const;
export type LayerRole = (typeof LAYER_ROLES)[number];

/** What a module is to the model (native/model/roles.h). */
export type Role =
  | 'word'
  | 'position'
  | 'token_type'
  | 'embedding_norm'
  | 'embedding_projection'
  | LayerRole
  | 'head_dense'
  | 'classifier'
  | 'probe_norm'
  | 'probe_dense'
  | 'probe_output_norm'
  | 'prompt'
  | 'prompt_dense'
  | 'prompt_output';

export type Part = 'weight' | 'bias' | 'lora_A' | 'lora_B' | 'lora_magnitude_vector';
