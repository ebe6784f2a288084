import type { BertConfig, HeadKind } from './config.js';

/** Parameter names (Hugging Face's) and their shapes, in the order of the model. */
export type ShapeTable = Map<string, number[]>;

/** The Linear modules of one encoder layer, below `bert.encoder.layer.N.`, in the order of the model. */
const LAYER_MODULES = [
  'attention.self.query',
  'attention.self.key',
  'attention.self.value',
  'attention.output.dense',
  'intermediate.dense',
  'output.dense',
] as const;

const POOLER = 'bert.pooler.dense';

/** The encoder and the pooler: `bert.*`. 199 tensors for bert-base. */
export function encoderTensors(config: BertConfig): ShapeTable {
  const { hiddenSize, layers } = config;
  const table: ShapeTable = new Map([
    ['bert.embeddings.word_embeddings.weight', [config.vocabSize, hiddenSize]],
    ['bert.embeddings.position_embeddings.weight', [config.maxPositions, hiddenSize]],
    ['bert.embeddings.token_type_embeddings.weight', [config.typeVocabSize, hiddenSize]],
  ]);
  addLayerNorm(table, 'bert.embeddings.LayerNorm', hiddenSize);
  for (let layer = 0; layer < layers; layer++) {
    for (const module of LAYER_MODULES) {
      const name = `bert.encoder.layer.${layer}.${module}`;
      addLinear(table, name, ...moduleShape(config, name));
      if (module === 'attention.output.dense' || module === 'output.dense') {
        addLayerNorm(table, name.replace(/dense$/, 'LayerNorm'), hiddenSize);
      }
    }
  }
  addLinear(table, POOLER, hiddenSize, hiddenSize);
  return table;
}

/**
 * The head's tensors. The probe is LayerNorm(C) → Linear(C, C/2) → ReLU → dropout → LayerNorm(C/2) → Linear(C/2, NC), its
 * modules numbered as in a torch Sequential.
 *
 * @param labels NC, the number of classes
 */
export function headTensors(config: BertConfig, head: HeadKind, labels: number): ShapeTable {
  const { hiddenSize } = config;
  const table: ShapeTable = new Map();
  if (head === 'classifier') {
    addLinear(table, 'classifier', labels, hiddenSize);
  } else {
    const half = Math.floor(hiddenSize / 2);
    addLayerNorm(table, 'classifier.classifier.0', hiddenSize);
    addLinear(table, 'classifier.classifier.1', half, hiddenSize);
    addLayerNorm(table, 'classifier.classifier.4', half);
    addLinear(table, 'classifier.classifier.5', labels, half);
  }
  return table;
}

/** The Linear whose rows are the classes. */
export function outputModule(head: HeadKind): string {
  return head === 'classifier' ? 'classifier' : 'classifier.classifier.5';
}

/**
 * All tensors of a full checkpoint: encoderTensors, then headTensors.
 *
 * @param head Defaults to 'classifier'.
 * @param labels number of classes. Defaults to the number of config.labels, or 2 where there are none.
 */
export function expectedTensors(config: BertConfig, head: HeadKind = 'classifier', labels?: number): ShapeTable {
  const classes = labels ?? config.labels?.length ?? 2;
  return new Map([...encoderTensors(config), ...headTensors(config, head, classes)]);
}

/** Full names of BERT's Linear modules that LoRA can be put on, in the order of the model: six a layer, then the pooler. */
export function linearModules(layers: number): string[] {
  const names: string[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (const module of LAYER_MODULES) names.push(`bert.encoder.layer.${layer}.${module}`);
  }
  return [...names, POOLER];
}

/** lora_A (rank, in) and lora_B (out, rank) of each module. */
export function loraTensors(config: BertConfig, modules: readonly string[], rank: number): ShapeTable {
  const table: ShapeTable = new Map();
  for (const module of modules) {
    const [out, inp] = moduleShape(config, module);
    table.set(`${module}.lora_A.weight`, [rank, inp]);
    table.set(`${module}.lora_B.weight`, [out, rank]);
  }
  return table;
}

/** The prefix network: Embedding(P, C) → Linear(C, C) → tanh → Linear(C, 2LC) with projection, Embedding(P, 2LC) without. */
export function prefixTensors(config: BertConfig, virtualTokens: number, projection: boolean): ShapeTable {
  const { hiddenSize, layers } = config;
  const flat = 2 * layers * hiddenSize;
  const table: ShapeTable = new Map([
    ['prompt_encoder.embedding.weight', [virtualTokens, projection ? hiddenSize : flat]],
  ]);
  if (projection) {
    addLinear(table, 'prompt_encoder.transform.0', hiddenSize, hiddenSize);
    addLinear(table, 'prompt_encoder.transform.2', flat, hiddenSize);
  }
  return table;
}

/** [out, in] of one of linearModules. */
function moduleShape({ hiddenSize, feedForwardSize }: BertConfig, module: string): [out: number, inp: number] {
  if (module.endsWith('.intermediate.dense')) return [feedForwardSize, hiddenSize];
  if (module.endsWith('.output.dense') && !module.endsWith('.attention.output.dense')) {
    return [hiddenSize, feedForwardSize];
  }
  return [hiddenSize, hiddenSize];
}

function addLinear(table: ShapeTable, name: string, out: number, inp: number): void {
  table.set(`${name}.weight`, [out, inp]).set(`${name}.bias`, [out]);
}

function addLayerNorm(table: ShapeTable, name: string, size: number): void {
  table.set(`${name}.weight`, [size]).set(`${name}.bias`, [size]);
}
