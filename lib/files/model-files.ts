/** The weights of a checkpoint: in one file, or in several that an index names. */
export const WEIGHTS_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

/** The files of a model's directory that belong together: they are replaced together, and read together. */
export const MODEL_FILES: readonly string[] = [
  'config.json',
  WEIGHTS_FILE,
  INDEX_FILE,
  'adapter_config.json',
  'adapter_model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'special_tokens_map.json',
  'added_tokens.json',
];

/** Where `save` puts the weights under an adapter that are not those of its base. */
export const OWN_BASE = 'base';

/** The card of a model: replaced together with its files, and no part of the model. */
export const CARD_FILE = 'README.md';

/** The graphs of a folder for ONNX Runtime by their weights, and what one leaves to a file of its own where it is too large. */
export const ONNX_FILES = { fp32: 'onnx/model.onnx', int8: 'onnx/model_quantized.onnx' } as const;
export const onnxDataFile = (name: string): string => `${name}_data`;

export const ALL_ONNX_FILES: readonly string[] = Object.values(ONNX_FILES).flatMap((name) => [
  name,
  onnxDataFile(name),
]);

/** Whether a name is that of one of these files, in the directory or in `base/`, or of a graph. */
export function isModelFile(name: unknown): name is string {
  if (typeof name !== 'string') return false;
  if (ALL_ONNX_FILES.includes(name)) return true;
  return MODEL_FILES.includes(name.startsWith(`${OWN_BASE}/`) ? name.slice(OWN_BASE.length + 1) : name);
}

/** Whether a save may replace a file of that name together with others. */
export function isSavedFile(name: unknown): name is string {
  return name === CARD_FILE || isModelFile(name);
}
