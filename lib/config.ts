import { BertuneError } from './errors.js';

/** What config.json says of a BERT classifier. Keys that are absent take BERT's defaults, as in transformers. */
export interface BertConfig {
  modelType: 'bert';
  vocabSize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  feedForwardSize: number;
  maxPositions: number;
  typeVocabSize: number;
  layerNormEps: number;
  hiddenDropout: number;
  attentionDropout: number;
  /** null: the same as hiddenDropout. */
  classifierDropout: number | null;
  /** null: there is none. */
  padTokenId: number | null;
  /** Standard deviation of new weights. */
  initializerRange: number;
  /** Names of the classes in order, from id2label; null where the file names none. */
  labels: string[] | null;
  problemType: string | null;
  /** Everything the file holds, so that keys unknown here survive a round trip. */
  raw: Record<string, unknown>;
}

/** The classification head on the pooled output: one Linear, or the probe's two-layer network. */
export type HeadKind = 'classifier' | 'probe';

/**
 * Reads and checks config.json of a checkpoint directory.
 *
 * @throws BertuneError NOT_FOUND, CHECKPOINT_INVALID
 */
export async function readConfig(directory: string): Promise<BertConfig> {
  throw new BertuneError('INTERNAL', `not written yet: ${directory}`);
}
