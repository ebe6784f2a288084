import { BertuneError } from '../../errors.js';
import { WEIGHTS_FILE } from '../../files/model-files.js';
import { CONVERSION_ADVICE } from '../safetensors.js';

/*
 * What is not read here, and the way out: folders and repositories that hold something else than a checkpoint, and models
 * of other kinds.
 */

const ORIGINAL = 'Take the model that it was made from, as Hugging Face saves it: its name or card says which that is';
const FROM = (flag: string, library: string) =>
  `Convert it first, in Python with transformers 4 and ${library}: ` +
  `AutoModelForSequenceClassification.from_pretrained('DIRECTORY', ${flag}=True).save_pretrained('NEW_DIRECTORY')`;

/** Kinds of weights that are not read, those that say most first. Some are pickles, which can run code. */
const KINDS: readonly { name: RegExp; what: string; wayOut: string }[] = [
  {
    name: /^bert_model\.ckpt\./,
    what: "Google's original checkpoint for TensorFlow 1",
    wayOut: 'Take the same model from google-bert on the hub, such as google-bert/bert-base-uncased',
  },
  { name: /^openvino_.*\.(bin|xml)$/, what: 'a model for OpenVINO, which cannot be trained', wayOut: ORIGINAL },
  {
    name: /\.(bin|pt|pth|ckpt|pkl)(\.index\.json)?$/,
    what: 'which may be a pickle and is never read here',
    wayOut: CONVERSION_ADVICE,
  },
  { name: /\.h5(\.index\.json)?$/, what: 'weights for TensorFlow', wayOut: FROM('from_tf', 'TensorFlow') },
  { name: /\.msgpack(\.index\.json)?$/, what: 'weights for Flax', wayOut: FROM('from_flax', 'Flax') },
  { name: /\.onnx(_data)?$/, what: 'a model for ONNX, which cannot be trained', wayOut: ORIGINAL },
  { name: /\.tflite$/, what: 'a model for TensorFlow Lite, which cannot be trained', wayOut: ORIGINAL },
  { name: /\.gguf$/, what: 'a model for llama.cpp, which cannot be trained', wayOut: ORIGINAL },
];

/** What has none of these names is weights, but not a checkpoint's by name. */
const OTHER_SAFETENSORS = /\.safetensors$/;

/**
 * The error for weights of another kind only.
 *
 * @param where the directory or repository, for messages
 * @param names the files in it, and in folders of it: `onnx/model.onnx`
 * @returns undefined where there are none such
 */
export function foreignWeights(where: string, names: readonly string[]): BertuneError | undefined {
  for (const { name: pattern, what, wayOut } of KINDS) {
    const found = names.filter((name) => pattern.test(name.slice(name.lastIndexOf('/') + 1))).sort();
    if (found.length > 0) {
      return invalid(`Expected ${WEIGHTS_FILE} in ${where} but found ${listed(found)}, ${what}. ${wayOut}`);
    }
  }
  const others = names.filter((name) => OTHER_SAFETENSORS.test(name) && !name.includes('/')).sort();
  if (others.length === 0) return undefined;
  return invalid(
    `Expected ${WEIGHTS_FILE} in ${where} but found ${listed(others)}. Rename it where it holds the whole model, or fetch ` +
      `the ${WEIGHTS_FILE}.index.json of its parts as well`,
  );
}

/**
 * The error for a folder without a config.json: what is in it instead.
 *
 * @param names as in foreignWeights
 */
export function noCheckpoint(where: string, names: readonly string[]): BertuneError {
  const expected = `Expected a checkpoint in ${where} but there is no config.json`;
  const notFound = (rest: string) => new BertuneError('NOT_FOUND', `${expected}${rest}`);
  if (names.length === 0) return notFound(': the folder is empty');
  if (names.includes('adapter_config.json')) {
    return notFound(
      ': it is an adapter. Give it as the model, and the checkpoint that it was trained on as its base (--model and --base)',
    );
  }
  const runs = names.filter((name) => /^checkpoint-\d+$/.test(name));
  if (runs.length > 0) return notFound(`: it holds checkpoints of a run. Name one of them: ${listed(runs)}`);
  if (names.includes(WEIGHTS_FILE)) {
    return notFound(` beside ${WEIGHTS_FILE}. Copy it, and the tokenizer's files, from where the weights are from`);
  }
  const data = names.filter((name) => /\.(csv|tsv|jsonl|parquet)$/.test(name));
  if (data.length > 0) {
    return notFound(`: it holds data (${listed(data)}), which are named with --data, or read with loadDataset`);
  }
  return foreignWeights(where, names) ?? notFound(` among ${listed(names)}`);
}

function listed(names: readonly string[]): string {
  return names.slice(0, 8).join(', ') + (names.length > 8 ? ', ...' : '');
}

function invalid(message: string): BertuneError {
  return new BertuneError('CHECKPOINT_INVALID', message);
}

const ENGLISH = 'for English take google-bert/bert-base-uncased or FacebookAI/roberta-base, or bert-mini';
const MULTILINGUAL = 'for many languages take FacebookAI/xlm-roberta-base';
const GENERATIVE = `it writes text; to classify, ${ENGLISH}`;

/** What serves the same purpose, by model_type. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  albert: ENGLISH,
  bart: ENGLISH,
  big_bird: ENGLISH,
  deberta: ENGLISH,
  'deberta-v2': ENGLISH,
  flaubert: MULTILINGUAL,
  gemma: GENERATIVE,
  gpt2: GENERATIVE,
  llama: GENERATIVE,
  longformer: ENGLISH,
  mistral: GENERATIVE,
  mobilebert: ENGLISH,
  modernbert: ENGLISH,
  mpnet: ENGLISH,
  qwen2: GENERATIVE,
  qwen3: GENERATIVE,
  t5: GENERATIVE,
  xlm: MULTILINGUAL,
  'xlm-roberta-xl': MULTILINGUAL,
  xlnet: ENGLISH,
};

/** What to take in place of a model of a kind that is not read. */
export function alternativeTo(type: unknown): string {
  const known = typeof type === 'string' && Object.hasOwn(ALTERNATIVES, type) ? ALTERNATIVES[type] : undefined;
  return known ?? `${ENGLISH}; ${MULTILINGUAL}`;
}
