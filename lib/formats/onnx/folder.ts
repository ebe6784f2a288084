import type { ModelConfig } from '../../architectures/index.js';
import type { HeadKind } from '../../architectures/rows.js';
import { ALL_ONNX_FILES, ONNX_FILES, onnxDataFile } from '../../files/model-files.js';
import { dataFile, formatJson, type OutputFile } from '../../files/output.js';
import { configToJson, FLOAT_KEYS } from '../checkpoint/config.js';
import { plainTokenizerFiles } from '../checkpoint/tokenizer-files.js';
import { classifierGraph, type OnnxClassifier, type OnnxWeights } from './classifier.js';

/** A classifier as a folder that transformers.js loads. */
export interface OnnxFolder extends Omit<OnnxClassifier, 'labels'> {
  config: ModelConfig;
  /** Names of the classes in order. */
  labels: readonly string[];
  head: HeadKind;
  /** Directory of the tokenizer. */
  tokenizerFrom: string;
  /** Tokens of the longest text that it takes, special ones included. */
  maxLength: number;
  /** The graphs that the folder is to have. */
  weights: readonly OnnxWeights[];
}

/** What transformers.js calls them. */
const JS_DTYPES = { fp32: 'fp32', int8: 'q8' } as const satisfies Record<OnnxWeights, string>;

/**
 * The files of the folder, for writeFilesAtomic: onnx/model.onnx in fp32, onnx/model_quantized.onnx in int8, config.json and
 * the tokenizer's; and what would be taken for part of it.
 *
 * @param mostBytes of a graph's file. Defaults to what one may have
 * @throws BertuneError CHECKPOINT_INVALID, NOT_FOUND for the tokenizer
 */
export async function onnxFiles(
  { labels, head, tokenizerFrom, maxLength, weights, ...model }: OnnxFolder,
  mostBytes?: number,
): Promise<{ files: OutputFile[]; remove: string[] }> {
  const tokenizer = await plainTokenizerFiles(tokenizerFrom, maxLength);
  const graphs = weights.flatMap((each) =>
    classifierGraph({ ...model, labels: labels.length }, each).files(ONNX_FILES[each], mostBytes),
  );
  const names = graphs.map(({ name }) => name);
  const inParts = names.filter((name) => names.includes(onnxDataFile(name))).map((name) => name.replace('onnx/', ''));
  const forJs = {
    // Where there is one graph alone it is that which is loaded.
    ...(weights.length === 1 && { dtype: JS_DTYPES[weights[0]!] }),
    ...(inParts.length > 0 && { use_external_data_format: Object.fromEntries(inParts.map((name) => [name, 1])) }),
  };
  const config = {
    ...configToJson(model.config, labels, head, 'float32'),
    ...(Object.keys(forJs).length > 0 && { 'transformers.js_config': forJs }),
  };
  const files = [
    ...tokenizer.files,
    ...graphs,
    dataFile('config.json', formatJson(config, { sortKeys: true, floats: FLOAT_KEYS })),
  ];
  return { files, remove: [...tokenizer.remove, ...ALL_ONNX_FILES.filter((name) => !names.includes(name))] };
}
