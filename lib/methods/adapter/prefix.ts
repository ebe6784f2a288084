import type { ModelConfig } from '../../architectures/index.js';
import { BertuneError } from '../../errors.js';
import { checkParameter } from '../../formats/checkpoint/weights.js';
import type { Safetensors } from '../../formats/safetensors.js';
import type { Tensor } from '../../formats/tensor.js';
import { expectPositiveInteger } from '../../options/validation.js';
import { checkHead, fitHead, isHeadName, plainName } from './head.js';
import { adapterMetadata, readMetadata } from './metadata.js';
import type { AdapterSettings } from './settings.js';
import type { PrefixAdapter } from './types.js';

/** What PEFT puts in front of the head's names; one `.model` fewer than for LoRA. */
const PREFIX = 'base_model.';

const EMBEDDINGS = 'prompt_embeddings';

/** Reads what PEFT saved of a prefix. Errors as readAdapter. */
export function readPrefix(settings: AdapterSettings, file: Safetensors, where: string): PrefixAdapter {
  settings.refuseUnknown([
    'peft_type',
    'num_virtual_tokens',
    'num_layers',
    'num_attention_heads',
    'token_dim',
    'encoder_hidden_size',
    'prefix_projection',
  ]);
  const promptEmbeddings = file.tensors.get(EMBEDDINGS);
  if (!promptEmbeddings) {
    throw new BertuneError('CHECKPOINT_INVALID', `Expected tensor ${EMBEDDINGS} in ${where} but there is none`);
  }
  const tensors = new Map<string, Tensor>();
  for (const [inFile, tensor] of file.tensors) {
    const name = plainName(inFile);
    if (inFile === EMBEDDINGS || name === null) continue;
    if (!name.startsWith(PREFIX) || !isHeadName(name.slice(PREFIX.length))) {
      throw new BertuneError(
        'CHECKPOINT_INVALID',
        `Expected only ${EMBEDDINGS} and classifier tensors in ${where} but found ${inFile}`,
      );
    }
    tensors.set(name.slice(PREFIX.length), tensor);
  }
  const adapter: PrefixAdapter = {
    kind: 'prefix',
    virtualTokens: settings.positiveInteger('num_virtual_tokens'),
    projection: settings.flag('prefix_projection'),
    layers: settings.positiveInteger('num_layers'),
    heads: settings.positiveInteger('num_attention_heads'),
    hiddenSize: settings.positiveInteger('token_dim'),
    baseModel: settings.text('base_model_name_or_path'),
    baseRevision: settings.text('revision'),
    promptEmbeddings,
    tensors,
  };
  return Object.assign(adapter, readMetadata(file.metadata, checkPrefix(adapter, where), where));
}

/** adapter_config.json and the file's tensors and metadata. Errors as writeAdapter. */
export function formatPrefix(adapter: PrefixAdapter): { settings: Record<string, unknown>; file: Safetensors } {
  for (const name of ['virtualTokens', 'layers', 'heads', 'hiddenSize'] as const) {
    expectPositiveInteger(name, adapter[name]);
  }
  const metadata = adapterMetadata(adapter, checkPrefix(adapter, 'what is to be written'));
  return {
    settings: {
      auto_mapping: null,
      base_model_name_or_path: adapter.baseModel,
      encoder_hidden_size: adapter.hiddenSize,
      inference_mode: true,
      num_attention_heads: adapter.heads,
      num_layers: adapter.layers,
      num_transformer_submodules: 1,
      num_virtual_tokens: adapter.virtualTokens,
      peft_type: 'PREFIX_TUNING',
      prefix_projection: adapter.projection,
      revision: adapter.baseRevision ?? null,
      task_type: 'SEQ_CLS',
      token_dim: adapter.hiddenSize,
    },
    file: {
      tensors: new Map([
        [EMBEDDINGS, adapter.promptEmbeddings],
        ...[...adapter.tensors].map(([name, tensor]): [string, Tensor] => [`${PREFIX}${name}`, tensor]),
      ]),
      metadata,
    },
  };
}

/** Checks a prefix against the model that it is to go on. Errors as fitAdapter. */
export function checkPrefixFits(adapter: PrefixAdapter, config: ModelConfig): void {
  for (const name of ['layers', 'heads', 'hiddenSize'] as const) {
    if (adapter[name] !== config[name]) {
      throw new BertuneError(
        'SHAPE_MISMATCH',
        `Expected a prefix for a model of ${config[name]} ${name} but the adapter is for ${adapter[name]}`,
      );
    }
  }
  // [CLS] and [SEP] need a position each.
  if (adapter.virtualTokens + 2 > config.maxTokens) {
    throw new BertuneError(
      'SHAPE_MISMATCH',
      `Expected at most ${config.maxTokens - 2} virtual tokens for a model of ${config.maxTokens} positions but ` +
        `the adapter has ${adapter.virtualTokens}`,
    );
  }
  fitHead(adapter.tensors, config, 'the prefix adapter');
}

/** @returns the number of classes, or null where there is no head */
function checkPrefix({ virtualTokens, layers, hiddenSize, promptEmbeddings, tensors }: PrefixAdapter, where: string) {
  checkParameter(EMBEDDINGS, promptEmbeddings, [virtualTokens, 2 * layers * hiddenSize], where);
  return checkHead(tensors, hiddenSize, where);
}
