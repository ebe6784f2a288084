import type { BertConfig, HeadKind } from '../config.js';
import { BertuneError } from '../errors.js';

/** Parameter names (Hugging Face's) and their shapes, in the order of the model. */
export type ShapeTable = Map<string, number[]>;

/** The encoder and the pooler: `bert.*`. 199 tensors for bert-base. */
export function encoderTensors(config: BertConfig): ShapeTable {
  throw new BertuneError('INTERNAL', `not written yet: ${config}`);
}

/** The head's tensors for `labels` classes. */
export function headTensors(config: BertConfig, head: HeadKind, labels: number): ShapeTable {
  throw new BertuneError('INTERNAL', `not written yet: ${config} ${head} ${labels}`);
}

/**
 * All tensors of a full checkpoint: encoderTensors, then headTensors.
 *
 * @param head Defaults to 'classifier'.
 * @param labels number of classes. Defaults to the number of config.labels, or 2 where there are none.
 */
export function expectedTensors(config: BertConfig, head: HeadKind = 'classifier', labels?: number): ShapeTable {
  throw new BertuneError('INTERNAL', `not written yet: ${config} ${head} ${labels}`);
}

/** Full names of BERT's Linear modules that LoRA can be put on, in the order of the model: six a layer, then the pooler. */
export function linearModules(layers: number): string[] {
  throw new BertuneError('INTERNAL', `not written yet: ${layers}`);
}

/** lora_A (rank, in) and lora_B (out, rank) of each module. */
export function loraTensors(config: BertConfig, modules: readonly string[], rank: number): ShapeTable {
  throw new BertuneError('INTERNAL', `not written yet: ${config} ${modules} ${rank}`);
}

/** The prefix network: Embedding(P, C) → Linear(C, C) → tanh → Linear(C, 2LC) with projection, Embedding(P, 2LC) without. */
export function prefixTensors(config: BertConfig, virtualTokens: number, projection: boolean): ShapeTable {
  throw new BertuneError('INTERNAL', `not written yet: ${config} ${virtualTokens} ${projection}`);
}
