import { prefixRows } from '../architectures/rows.js';
import { expectTable, flag, type OptionsOf, positiveInteger, type SettingsOf } from '../options/table.js';
import { checkPrefixFits, formatPrefix, readPrefix } from './adapter/prefix.js';
import type { PrefixAdapter } from './adapter/types.js';
import {
  type AdapterFormat,
  expectPlainHead,
  headWords,
  isHeadRow,
  type MethodDefinition,
  TRAIN_HEAD,
} from './method.js';

/** The options of `prefix`. */
export const PREFIX_OPTIONS = {
  /** P, the number of virtual tokens; P + the text's tokens must fit the model. Defaults to 20. */
  virtualTokens: positiveInteger({ words: 'virtual tokens', default: 20 }),
  /** Whether a projection network computes their keys and values in training. Defaults to true. */
  projection: flag({ words: 'train keys and values directly, without a network', default: true }),
  /** Whether the classifier also trains. Defaults to true. */
  trainHead: TRAIN_HEAD,
};

/** Options of `prefix`. */
export interface PrefixOptions extends OptionsOf<typeof PREFIX_OPTIONS> {}

/**
 * The model is frozen; keys and values of virtual tokens, put in front of every layer's own, and the head train. With
 * `projection` they are the output of a network, Embedding(P, C) → Linear(C, C) → tanh → Linear(C, 2LC).
 */
export interface PrefixMethod extends SettingsOf<typeof PREFIX_OPTIONS> {
  readonly kind: 'prefix';
}

/**
 * Prefix tuning (Li and Liang, 2021).
 *
 * @throws BertuneError INVALID_OPTION
 */
export function prefix(options: PrefixOptions = {}): PrefixMethod {
  return { kind: 'prefix', ...expectTable('prefix options', options, PREFIX_OPTIONS) };
}

/** A prefix as PEFT stores it. */
export const prefixFormat: AdapterFormat<PrefixAdapter, PrefixMethod> = {
  kind: 'prefix',
  peftType: 'PREFIX_TUNING',
  title: 'prefix adapter',
  floats: [],
  read: readPrefix,
  fit: (adapter, config) => {
    checkPrefixFits(adapter, config);
    return adapter;
  },
  format: formatPrefix,
  // Adapters hold no projection network, so a prefix goes on without.
  methodOf: ({ virtualTokens }) => ({ kind: 'prefix', virtualTokens, projection: false, trainHead: true }),
  ofModel: async ({ kind, virtualTokens, projection }, { config, plan, common, read, readPrompt }) => {
    const { layers, heads, hiddenSize } = config;
    return {
      ...{ kind, virtualTokens, projection, layers, heads, hiddenSize },
      ...common,
      promptEmbeddings: await readPrompt([virtualTokens, 2 * layers * hiddenSize]),
      tensors: await read(plan.parameters.filter(({ group }) => group === 'head')),
    };
  },
  tensorOf: ({ promptEmbeddings, tensors }, { name, role }) =>
    role === 'prompt' ? promptEmbeddings : tensors.get(name),
  beside: ({ virtualTokens }, config) => ({
    lora: null,
    prefix: { virtualTokens },
    rows: prefixRows(config, virtualTokens, false),
  }),
  facts: ({ virtualTokens, projection, layers, hiddenSize, heads }) => {
    return { virtual_tokens: virtualTokens, projection, layers, hidden: hiddenSize, heads };
  },
};

export const prefixMethod: MethodDefinition<PrefixMethod> = {
  kind: 'prefix',
  label: 'prefix',
  options: PREFIX_OPTIONS,
  create: prefix,
  size: { option: 'virtualTokens', words: 'virtual tokens' },
  name: ({ virtualTokens }) => `prefix${virtualTokens}`,
  title: ({ virtualTokens }) => `prefix tuning P=${virtualTokens}`,
  words: ({ virtualTokens, projection, trainHead }) =>
    `prefix tuning, ${virtualTokens} virtual tokens, ${projection ? 'with' : 'without'} projection, ` +
    headWords(trainHead),
  mark: { symbol: 'triangle', light: ['#00805f', '#004a37'], dark: ['#2fc79b', '#159a74'] },
  // hidden 256 as for full; at twice as much it may end at the most frequent class. With its network the prefix tuning
  // paper (arXiv:2101.00190, section 5.3) trains with 5e-5 to 8e-5; without, P-tuning v2 (arXiv:2110.07602) trains BERT
  // large with 5e-3 to 1e-2.
  rates: ({ projection }) =>
    projection
      ? [
          { hidden: 256, rate: 6e-4 },
          { hidden: 768, rate: 1e-4 },
          { hidden: 1024, rate: 7e-5 },
        ]
      : [
          { hidden: 256, rate: 1e-2 },
          { hidden: 768, rate: 7e-3 },
          { hidden: 1024, rate: 5e-3 },
        ],
  leastSteps: 2500,
  head: expectPlainHead,
  prefix: ({ virtualTokens, projection }) => ({ virtualTokens, projection }),
  trains: ({ trainHead }, row) => row.group === 'prefix' || (trainHead && isHeadRow(row)),
  adapter: prefixFormat,
};
