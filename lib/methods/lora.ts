import { lowRankRows } from '../architectures/rows.js';
import { BertuneError } from '../errors.js';
import { formatSetting } from '../format.js';
import {
  expectTable,
  flag,
  names,
  nonNegativeIntegers,
  number,
  numbersByPattern,
  type OptionsOf,
  oneOf,
  positiveInteger,
  probability,
  type SettingsOf,
} from '../options/table.js';
import { expectNumberInRange, expectPositiveInteger, MOST_INT32 } from '../options/validation.js';
import { fitLora, formatLora, loraTargets, loraUpdates, readLora } from './adapter/lora.js';
import { LORA_BIASES, type LoraAdapter, type ModulePattern } from './adapter/types.js';
import {
  type AdapterFormat,
  expectPlainHead,
  headWords,
  isAdapterBias,
  isHeadRow,
  type MethodDefinition,
  TRAIN_HEAD,
} from './method.js';

const POSITIVE = { min: 0, minExclusive: true };

/** The options of `lora`. */
export const LORA_OPTIONS = {
  /** r, the rank of each update. Defaults to 8. */
  rank: positiveInteger({ words: 'rank', most: MOST_INT32, default: 8 }),
  /** The update is scaled by alpha / rank. Defaults to 4 · rank, and with `rslora` to 4 · √rank: a scale of 4 either way. */
  alpha: number(POSITIVE, { words: 'scale, times 1/rank', byDefault: '4 times the rank' }),
  /** Whether alpha / √rank scales the update (rsLoRA, arXiv:2312.03732). Defaults to false. */
  rslora: flag({ words: 'scale by 1/√rank instead (rsLoRA)', default: false }),
  /**
   * Whether the length of each row of a weight trains apart from its direction, which the update turns (DoRA,
   * arXiv:2402.09353), as PEFT's `use_dora`. Defaults to false.
   */
  dora: flag({ words: 'train lengths of rows apart from their directions (DoRA)', default: false }),
  /** Probability of dropping an input of the update, in [0, 1). Defaults to 0.1. */
  dropout: probability({ words: 'dropout', default: 0.1, flag: '--lora-dropout' }),
  /**
   * Modules by name or the end of it, as PEFT's `target_modules`; 'all-linear' for all. Defaults to the queries and values of
   * attention: `['query', 'value']` in BERT.
   */
  targets: names({ words: 'modules, or all-linear', default: null, byDefault: 'queries and values' }),
  /** Modules of `targets` to leave out, named the same way. Defaults to none. */
  exclude: names({ words: 'modules of --targets to leave out', default: [] }),
  /** Numbers of the layers to update, from 0. Modules that `targets` names in full are always updated. Defaults to all. */
  layers: nonNegativeIntegers({ words: 'numbers of the layers to update, from 0', default: null, byDefault: 'all' }),
  /**
   * Other ranks for some modules, as PEFT's `rank_pattern`: a regular expression that matches a module's name from one of its
   * dots to the end → the rank; the first match counts. Defaults to none.
   */
  rankPattern: numbersByPattern((name, value) => expectPositiveInteger(name, value, MOST_INT32), {
    words: 'other ranks by module: value=4,layer.0.*=16',
  }),
  /** Other values of `alpha` for some modules, written like `rankPattern`. Defaults to none. */
  alphaPattern: numbersByPattern((name, value) => expectNumberInRange(name, value, POSITIVE), {
    words: 'other values of --alpha by module',
  }),
  /**
   * Which of the encoder's biases also train and go into the adapter, as in PEFT: 'all', or 'lora_only' for those of the
   * updated modules. Such an adapter cannot be mixed with others in a batch. Defaults to 'none'.
   */
  bias: oneOf(LORA_BIASES, { words: 'biases that train as well', default: 'none' }),
  /**
   * The learning rate of B and of all vectors (biases, including the classifier's), divided by that of A and the other
   * matrices: LoRA+ (Hayou et al., 2024), in the groups of PEFT's `create_loraplus_optimizer`. Weight decay is the Trainer's.
   * Defaults to 1.
   */
  loraPlusRatio: number(POSITIVE, { words: "learning rate of B over A's (LoRA+), e.g. 16", default: 1 }),
  /** Whether the classifier also trains. Defaults to true. */
  trainHead: TRAIN_HEAD,
};

/** Options of `lora`. */
export interface LoraOptions extends OptionsOf<typeof LORA_OPTIONS> {}

/** The model is frozen; low-rank updates of some of its Linear modules and the head train. */
export interface LoraMethod extends SettingsOf<typeof LORA_OPTIONS> {
  readonly kind: 'lora';
}

/**
 * Low-rank adaptation (Hu et al., 2021): W x + b becomes W x + b + alpha / rank · B(A(dropout(x))). With `dora` (Liu et al., 2024) rows
 * of V = W + alpha / rank · B A become m ∘ V / ‖V‖, with trained lengths m, and norms that no gradient goes through.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function lora(options: LoraOptions = {}): LoraMethod {
  const settings = expectTable('lora options', options, LORA_OPTIONS);
  const { rank, rslora } = settings;
  return { kind: 'lora', ...settings, alpha: settings.alpha ?? 4 * (rslora ? Math.sqrt(rank) : rank) };
}

/** The rank up to which the rates hold. An update of more terms grows with their root; its rate falls as much. */
const RATED_RANK = 8;

/** LoRA as PEFT stores it. */
export const loraFormat: AdapterFormat<LoraAdapter, LoraMethod> = {
  kind: 'lora',
  peftType: 'LORA',
  title: 'LoRA adapter',
  floats: ['lora_dropout'],
  read: readLora,
  fit: fitLora,
  format: formatLora,
  methodOf: ({ rank, alpha, rslora = false, dropout, targetModules, layers = null, exclude = [], ...adapter }) => ({
    kind: 'lora',
    ...{ rank, alpha, rslora, dora: adapter.dora ?? false, dropout, targets: targetModules, exclude, layers },
    rankPattern: adapter.rankPattern ?? {},
    alphaPattern: adapter.alphaPattern ?? {},
    bias: adapter.bias ?? 'none',
    loraPlusRatio: 1,
    trainHead: true,
  }),
  ofModel: async ({ kind, targets, trainHead: _, loraPlusRatio: __, ...method }, { config, plan, common, read }) => ({
    kind,
    ...method,
    targetModules: [...loraTargets(targets, config)],
    ...common,
    tensors: await read(
      plan.parameters.filter((row) => row.group === 'lora' || row.group === 'head' || isAdapterBias(row, plan.lora)),
    ),
  }),
  tensorOf: ({ tensors }, { name }) => tensors.get(name),
  beside: (adapter, config) => {
    if (adapter.bias !== undefined && adapter.bias !== 'none') {
      throw new BertuneError(
        'INVALID_OPTION',
        `The adapter has biases of its own (bias = "${adapter.bias}"), which cannot be mixed with others in one model; load ` +
          'it as the model',
      );
    }
    const updates = loraUpdates(adapter.targetModules, adapter, config);
    return {
      lora: { modules: updates.map(({ weight: { role, layer }, rank, scaling }) => ({ role, layer, rank, scaling })) },
      prefix: null,
      rows: updates.flatMap(({ weight, rank }) => lowRankRows(weight, rank, adapter.dora ?? false)),
    };
  },
  facts: ({ rank, alpha, dropout, targetModules, rslora, layers, exclude = [], bias = 'none', ...adapter }) => ({
    ...{ rank, alpha, dropout, target_modules: targetModules },
    ...(rslora && { rslora }),
    ...(adapter.dora && { dora: true }),
    ...(layers && { layers }),
    ...(exclude.length > 0 && { exclude }),
    ...patternFacts('rank_pattern', adapter.rankPattern),
    ...patternFacts('alpha_pattern', adapter.alphaPattern),
    ...(bias !== 'none' && { bias }),
  }),
};

export const loraMethod: MethodDefinition<LoraMethod> = {
  kind: 'lora',
  label: 'LoRA',
  options: LORA_OPTIONS,
  create: lora,
  size: { option: 'rank', words: 'rank' },
  variants: { dora: { dora: true } },
  name: ({ rank, dora }) => `${dora ? 'dora' : 'lora'}${rank}`,
  title: ({ rank, dora }) => `${dora ? 'DoRA' : 'LoRA'} r=${rank}`,
  words: loraWords,
  mark: { symbol: 'diamond', light: ['#d070a6', '#6b1a4d'], dark: ['#a6527f', '#f7c3de'] },
  // hidden 256 as for full, at rank 8 and alpha 32; at twice as much it may end at the most frequent class. The LoRA paper
  // (arXiv:2106.09685, table 9) trains RoBERTa base with 5e-4 and large with 3e-4 at alpha = rank, a quarter of the update.
  rates: ({ rank }) =>
    [
      { hidden: 256, rate: 1.6e-3 },
      { hidden: 768, rate: 2e-4 },
      { hidden: 1024, rate: 1.5e-4 },
    ].map(({ hidden, rate }) => ({ hidden, rate: rate * Math.min(1, Math.sqrt(RATED_RANK / rank)) })),
  leastSteps: 1200,
  head: expectPlainHead,
  lora: (method, config) => ({
    dropout: method.dropout,
    dora: method.dora,
    updates: loraUpdates(method.targets, method, config),
    bias: method.bias,
  }),
  trains: ({ trainHead }, row, plan) =>
    row.group === 'lora' || (trainHead && isHeadRow(row)) || isAdapterBias(row, plan),
  rate: ({ loraPlusRatio }, { part, shape }) => (part === 'lora_B' || shape.length === 1 ? loraPlusRatio : 1),
  adapter: loraFormat,
};

function loraWords(method: LoraMethod): string {
  const { rank, alpha, rslora, dropout, targets, exclude, layers, rankPattern, alphaPattern, bias, trainHead } = method;
  const { loraPlusRatio, dora } = method;
  const kind = `${rslora ? 'rs' : ''}${dora ? 'DoRA' : 'LoRA'}`;
  const byModule = (pattern: Readonly<Record<string, number>>) =>
    Object.entries(pattern).map(([module, value]) => `${value} on ${module}`);
  return [
    `${kind}, ${[`rank ${rank}`, ...byModule(rankPattern)].join(' and ')}`,
    [`alpha ${formatSetting(Number(alpha.toPrecision(4)))}`, ...byModule(alphaPattern)].join(' and '),
    `dropout ${dropout}`,
    `on ${targets === null ? 'queries and values' : targets.join(', ')}`,
    ...(exclude.length === 0 ? [] : [`without ${exclude.join(', ')}`]),
    ...(layers === null ? [] : [`in layers ${layers.join(', ')}`]),
    ...(bias === 'none' ? [] : [bias === 'all' ? 'all biases' : 'biases of these modules']),
    ...(loraPlusRatio === 1 ? [] : [`B learning ${formatSetting(loraPlusRatio)} times as fast`]),
    headWords(trainHead),
  ].join(', ');
}

function patternFacts(name: string, pattern: ModulePattern = {}): Record<string, readonly string[]> {
  const entries = Object.entries(pattern).map(([module, value]) => `${module}=${value}`);
  return entries.length === 0 ? {} : { [name]: entries };
}
