// A session as TextClassifier and Trainer make it, with random weights in place of a checkpoint's.
import { LABELS } from '../support/dimensions.js';
import { load } from '../support/library.js';

const { methodPlan } = await load('methods');
const { initializerOf } = await load('model/initialise');
const { Session } = await load('model/session');

const SEED = 42;

/** New encoder weights as transformers makes them: LayerNorms 1 and 0, biases 0, weights N(0, initializer_range²). */
function encoderInitializer(name, shape, config) {
  if (name.endsWith('LayerNorm.weight')) return { distribution: 'constant', scale: 1, seed: 0 };
  return initializerOf(name, shape, config, SEED);
}

/** A session without values. */
export function createSession(method, config, where) {
  return Session.create(config, LABELS.length, methodPlan(method, config, LABELS.length), where);
}

/** Fills every parameter. */
export async function initialise(session, config) {
  for (const { name, shape } of session.plan.parameters) {
    await session.initialize(name, encoderInitializer(name, shape, config));
  }
}
