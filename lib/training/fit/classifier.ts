import { BertuneError } from '../../errors.js';
import { formatCount } from '../../format.js';
import type { Method, MethodPlan } from '../../methods/index.js';
import { DEFAULT_THRESHOLD } from '../../metrics/multi-label.js';
import type { AnyClassifier } from '../../model/classifier.js';
import { headInputs, passThrough } from '../../model/head-inputs.js';
import type { ModelParts } from '../../model/load.js';
import type { Values } from '../../native/index.js';
import { option } from '../../options/names.js';
import { type LossOptions, type Numbers, type Task, taskOf } from '../../tasks/index.js';
import { expectFiniteLogits } from '../../tasks/prediction.js';
import type { EncodedTexts } from '../../tokenizer/index.js';
import type { TrainerSettings } from '../options.js';
import { fitLinear } from './linear-model.js';

/** Numbers of all embeddings at most: 1 GiB. */
const MOST_NUMBERS = 2 ** 28;

/** Training texts, and how they are learnt. */
export interface FitParts {
  plan: MethodPlan;
  settings: TrainerSettings;
  encoded: EncodedTexts;
  /** Of a Split: (N), or (N, NC). */
  labels: Numbers;
  becomes: Pick<ModelParts, 'longTexts'> & { pairs: boolean };
  loss: LossOptions;
  signal: AbortSignal | undefined;
}

/** What a fit came to. */
export interface FitOutcome {
  /** With the strength that was chosen. */
  method: Method;
  /** Mean loss of the training texts, and the share of them that is right. */
  loss: number;
  accuracy: number;
}

/**
 * Gives a model the classifier that fits its embeddings of the training texts best. On failure the model stays as it was.
 *
 * @throws BertuneError INVALID_DATA for more texts than memory is meant for; NON_FINITE_LOGITS naming the text; ABORTED, DISPOSED, OUT_OF_MEMORY
 */
export async function fitClassifier(model: AnyClassifier, parts: FitParts): Promise<FitOutcome> {
  const { plan, settings, encoded, labels, becomes, loss, signal } = parts;
  const { config, task: kind } = model;
  const classes = model.labels.length;
  const task = taskOf(kind);
  expectFew(encoded, config.hiddenSize);
  const inputs = await headInputs(model, encoded, settings.evalBatchTokens, signal);
  expectFinite(inputs, config.hiddenSize, encoded.windows);
  const fitted = await fitLinear(
    { inputs, task, labels, classes, loss, windows: encoded.windows },
    { l2: strengthOf(settings.method), seed: settings.seed },
    signal,
  );
  const { logits, weights, biases } = fitted;
  const { total, weight } = task.sumLoss(logits, labels, classes, loss);
  const method = { ...settings.method, l2: fitted.l2 } as Method;
  await model.exchange(
    plan,
    async (next, old) => {
      for (const row of plan.parameters) {
        const { name, role, part } = row;
        if (role === 'head_dense') await next.write(name, passThrough(row, config));
        else if (role !== 'classifier') await next.write(name, await old.read(name));
        else await next.write(name, part === 'bias' ? biases : weights);
      }
    },
    { method, ...becomes },
  );
  return { method, loss: total / weight, accuracy: shareRight(task, logits, labels, classes) };
}

function strengthOf(method: Method): number | 'auto' {
  if ('l2' in method) return method.l2;
  throw new BertuneError('INTERNAL', `Expected a method with a penalty but received ${method.kind}`);
}

/** @throws BertuneError INVALID_DATA */
function expectFew({ offsets, windows }: EncodedTexts, size: number): void {
  const most = Math.floor(MOST_NUMBERS / size);
  const found = offsets.length - 1;
  if (found <= most) return;
  throw new BertuneError(
    'INVALID_DATA',
    `Expected at most ${formatCount(most)} ${windows === undefined ? '' : 'windows of '}training texts, whose embeddings ` +
      `are all held in memory, but received ${formatCount(found)}; train with ${option('method', 'linear')}`,
  );
}

/** @throws BertuneError NON_FINITE_LOGITS naming the text, whichever of its windows it is */
function expectFinite(inputs: Values, size: number, windows: Int32Array | undefined): void {
  const texts = windows === undefined ? inputs.length / size : windows.length - 1;
  const startOf = (text: number) => (windows?.[text] ?? text) * size;
  for (let text = 0; text < texts; text++) {
    const own = inputs.subarray(startOf(text), startOf(text + 1));
    expectFiniteLogits(own, own.length, text);
  }
}

/** The share of examples that are right in all labels; 0 of values, which are not right or wrong. */
function shareRight(task: Task, logits: Float64Array, labels: Numbers, classes: number): number {
  if (task.labels === 'values') return 0;
  const decided = task.decide(logits, classes, new Array<number>(classes).fill(DEFAULT_THRESHOLD));
  const examples = logits.length / classes;
  const width = labels.length / examples;
  let right = 0;
  for (let i = 0; i < examples; i++) {
    const [own, wanted] = [decided, labels].map((all) => all.subarray(i * width, (i + 1) * width));
    if (own!.every((each, k) => each === wanted![k])) right += 1;
  }
  return right / examples;
}
