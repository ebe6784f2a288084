import { BertuneError } from '../errors.js';
import type { LongTextWishes } from '../options/long-texts.js';
import { listLabels } from '../tasks/labels.js';
import { expectFiniteLogits, type LogitRows } from '../tasks/prediction.js';
import { TimeSlice, throwIfAborted } from '../time-slice.js';
import type { EncodedTexts } from '../tokenizer/index.js';
import type { AnyClassifier } from './classifier.js';
import { forwardMixed } from './forward.js';
import { encodeTexts, expectTrainedKind, type TextInputs, type TextKind, textWay } from './texts.js';
import { ofWindows, pooledLogits, pooledRows } from './windows.js';

/** Scores before softmax. */
export interface Logits {
  /** (N, NC), row-major, in the order of the texts. Float64Array in fp64. */
  logits: Float32Array | Float64Array;
  /** NC */
  classes: number;
  /** Names of the columns (NC). */
  labels: readonly string[];
}

/** How logits are computed. */
export interface LogitsOptions {
  /** Tokens per batch. */
  batchTokens: number;
  longTexts: LongTextWishes;
  /** Names of each text's adapter (N); null: the model as it was loaded. */
  adapters: readonly (string | null)[];
  textKind: TextKind;
  signal: AbortSignal | undefined;
}

/** Logits of texts, all of one array where they belong to the model itself. */
export interface Rows extends LogitRows {
  flat: Logits | null;
  encoded: EncodedTexts;
  /** How many they made. */
  batches: number;
  /** Seconds that the model took, without those of the tokenizer. */
  runtime: number;
}

/**
 * Does something with the logits of each text. Adapters are held until it is done: who unloads one waits for the whole
 * call.
 *
 * @param options.sameLabels whether all have to have the same classes, in one order. Defaults to false.
 * @throws BertuneError as TextClassifier.logits
 */
export async function withLogits<T>(
  model: AnyClassifier,
  inputs: TextInputs,
  options: LogitsOptions & { sameLabels?: boolean },
  finish: (rows: Rows) => Promise<T>,
): Promise<T> {
  const { longTexts, batchTokens, signal, textKind, adapters: names } = options;
  const count = inputs.texts.length;
  const isPair = inputs.pairs !== undefined;
  if (names.every((name) => name === null)) {
    const classes = model.labels.length;
    const { limit, pooling } = textWay(model, model.longTexts, longTexts, model.session.plan, { isPair });
    throwIfAborted(signal);
    if (textKind === 'trained') expectTrainedKind(model, inputs);
    const encoded = await encodeTexts(model, inputs, limit, signal);
    const began = performance.now();
    const { logits: rows, batches } = await model.forward(encoded, batchTokens, signal);
    const logits = pooledLogits(rows, encoded.windows, classes, pooling);
    return finish({
      ...{ count, encoded, batches, flat: { logits, classes, labels: model.labels } },
      row: (text) => logits.subarray(text * classes, (text + 1) * classes),
      outputOf: () => model,
      runtime: (performance.now() - began) / 1000,
    });
  }
  throwIfAborted(signal);
  return model.withAdapters(names, async (adapters, native, plan) => {
    if (textKind === 'trained') expectTrainedKind(model, inputs, adapters);
    const outputOf = (text: number) => adapters[text] ?? model;
    if (options.sameLabels) expectSameLabels(count, outputOf);
    const ways = adapters.map((adapter) =>
      textWay(model, (adapter ?? model).longTexts, longTexts, plan, { adapter, isPair }),
    );
    const encoded = await encodeTexts(
      model,
      inputs,
      ways.map(({ limit }) => limit),
      signal,
    );
    const { windows } = encoded;
    const began = performance.now();
    const base = { plan, labels: model.labels };
    const owners = ofWindows(adapters, windows);
    const { rows, batches } = await forwardMixed(native, base, owners, encoded, batchTokens, signal);
    const runtime = (performance.now() - began) / 1000;
    const row = pooledRows(
      (sequence) => rows[sequence]!,
      windows,
      (text) => ways[text]!.pooling,
    );
    return finish({ count, encoded, batches, flat: null, row, outputOf, runtime });
  });
}

/** Rows of one width in one array. @throws BertuneError NON_FINITE_LOGITS, ABORTED */
export async function flattened(
  { count, row, outputOf, flat }: Rows,
  signal: AbortSignal | undefined,
): Promise<Logits> {
  const classes = flat?.classes ?? row(0).length;
  const slice = new TimeSlice(signal);
  const logits = flat?.logits ?? new (row(0) instanceof Float64Array ? Float64Array : Float32Array)(count * classes);
  for (let i = 0; i < count; i++) {
    expectFiniteLogits(row(i), classes, i);
    if (!flat) logits.set(row(i), i * classes);
    if (slice.isOver) await slice.next();
  }
  return { logits, classes, labels: outputOf(0).labels };
}

function expectSameLabels(texts: number, outputOf: LogitRows['outputOf']): void {
  const { labels } = outputOf(0);
  for (let i = 1; i < texts; i++) {
    const { labels: others } = outputOf(i);
    if (others === labels || (others.length === labels.length && others.every((label, c) => label === labels[c])))
      continue;
    throw new BertuneError(
      'INVALID_OPTION',
      `The columns of logits are the same classes for every text, but those of texts[0] are ${listLabels(labels)} and those ` +
        `of texts[${i}] ${listLabels(others)}; predict takes them together`,
    );
  }
}
