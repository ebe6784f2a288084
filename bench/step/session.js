// A session as TextClassifier and Trainer make it, with random weights in place of a checkpoint's.
import { LABELS } from '../support/dimensions.js';
import { load } from '../support/library.js';

const { methodPlan } = await load('methods/index');
const { Session } = await load('model/session');

const SEED = 42;

/** A session without values. */
export function createSession(method, config, where) {
  return Session.create(config, methodPlan(method, config, LABELS.length), where);
}

/** Fills every parameter. */
export async function initialise(session) {
  for (const row of session.plan.parameters) await session.initialize(row, SEED);
}
