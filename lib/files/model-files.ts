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

/** Whether a name is that of one of these files, in the directory or in `base/`. */
export function isModelFile(name: unknown): name is string {
  if (typeof name !== 'string') return false;
  return MODEL_FILES.includes(name.startsWith(`${OWN_BASE}/`) ? name.slice(OWN_BASE.length + 1) : name);
}
