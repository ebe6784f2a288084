/** The weights of a checkpoint: in one file, or in several that an index names. */
export const WEIGHTS_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';
