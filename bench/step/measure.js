// Training steps and evaluation, through the calls that Trainer makes.
import { createHash } from 'node:crypto';
import { load } from '../support/library.js';
import { median, sum } from '../support/statistics.js';
import { epochOrder } from './data.js';

const { DEFAULT_BATCH_TOKENS, longestFirst, Pace, packBatches } = await load('model/batches');
const { forwardBatches } = await load('model/forward');

// As in lib/training/run.ts.
const CALL_SECONDS = 0.15;

const SETTINGS = {
  accumulation: 1,
  seed: 42,
  weightDecay: 0.01,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  maxGradNorm: 1,
  labelSmoothing: 0,
};
const LEARNING_RATE = 2e-5;

/** Examples of `steps` batches, epoch after epoch. Trainer's last batch of an epoch may be smaller: it is left out. */
function orderOf(texts, batchSize, steps) {
  const whole = Math.floor((texts.offsets.length - 1) / batchSize) * batchSize;
  const order = new Int32Array(steps * batchSize);
  for (let at = 0, epoch = 0; at < order.length; at += whole, epoch++) {
    order.set(epochOrder(texts, epoch).subarray(0, Math.min(whole, order.length - at)), at);
  }
  return order;
}

/** Runs the steps [from, from + count) of an order in one call. */
function train(native, { dataset, order, batchSize, lookAhead, gradientCheckpointing }, from, count) {
  return native.train({
    dataset,
    order: order.slice(from * batchSize, (from + count) * batchSize),
    batchSize,
    lookAhead,
    gradientCheckpointing,
    learningRates: new Float64Array(count).fill(LEARNING_RATE),
    firstStep: from,
    ...SETTINGS,
  });
}

function expectDone({ stopped, losses }) {
  if (stopped !== 'done')
    throw new Error(`Expected steps that end but they stopped: ${stopped}, loss ${losses.at(-1)}`);
}

/**
 * Trains for `steps` steps in calls of a fraction of a second. The same steps have run before, `warmUp` of them at
 * most, so that what is made at the first batch of a size is there.
 *
 * @param options lookAhead: batches whose features are made at once, where nothing of the encoder trains
 */
export async function measureTraining(session, texts, options) {
  const { batchSize, steps, warmUp, lookAhead, gradientCheckpointing } = options;
  const order = orderOf(texts, batchSize, steps);
  return session.withDataset(texts, async (dataset, native) => {
    const batches = { dataset, order, batchSize, lookAhead, gradientCheckpointing };
    expectDone(await train(native, batches, 0, Math.min(warmUp, steps)));
    const pace = new Pace(CALL_SECONDS);
    const calls = [];
    const losses = [];
    const { launched } = await native.recordings();
    for (let step = 0; step < steps; ) {
      const count = Math.min(Math.ceil(pace.next() / lookAhead) * lookAhead, steps - step);
      const began = performance.now();
      const result = await train(native, batches, step, count);
      const seconds = (performance.now() - began) / 1000;
      expectDone(result);
      pace.measured(count, seconds);
      calls.push({ count, seconds });
      losses.push(...result.losses);
      step += count;
    }
    const seconds = sum(calls.map((call) => call.seconds));
    return {
      steps,
      seconds,
      steps_per_s: steps / seconds,
      median_step_ms: medianStep(calls) * 1000,
      tokens_per_step: sum(Array.from(order, (i) => texts.offsets[i + 1] - texts.offsets[i])) / steps,
      first_loss: losses[0],
      last_loss: losses.at(-1),
      loss_digest: createHash('sha256').update(Float64Array.from(losses)).digest('hex').slice(0, 8),
      look_ahead: lookAhead,
      nodes_per_step: ((await native.recordings()).launched - launched) / steps,
      memory: session.memory(),
    };
  });
}

/** Of all steps, each taken to be as long as the others of its call. */
function medianStep(calls) {
  return median(calls.flatMap(({ count, seconds }) => new Array(count).fill(seconds / count)));
}

/** Texts a second, dropout off, packed as predict packs them. The first of two passes warms up. */
export async function measureEvaluation(session, { ids, offsets }, count) {
  const part = { ids: ids.subarray(0, offsets[count]), offsets: offsets.slice(0, count + 1) };
  const batches = packBatches(part.offsets, longestFirst(part.offsets), DEFAULT_BATCH_TOKENS);
  return session.withDataset({ ids: part.ids.slice(), offsets: part.offsets }, async (handle, native) => {
    await forwardBatches(native, handle, batches, undefined);
    const began = performance.now();
    await forwardBatches(native, handle, batches, undefined);
    const seconds = (performance.now() - began) / 1000;
    return { texts: count, texts_per_s: count / seconds, recording_nodes: (await native.recordings()).nodes };
  });
}
