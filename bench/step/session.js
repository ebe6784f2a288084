// A session as TextClassifier and Trainer make it, with random weights in place of a checkpoint's.
import { LABELS } from '../support/dimensions.js';
import { load } from '../support/library.js';

const { methodPlan } = await load('methods/index');
const { Session } = await load('model/session');

const SEED = 42;

/** A session without values; of several methods one whose steps train all of them, the others with random weights. */
export async function createSession(methods, config, where) {
  const plans = methods.map((method) => methodPlan(method, config, LABELS.length));
  if (plans.length === 1) return Session.create(config, plans[0], where);
  const train = async (native, _variant, plan) => {
    const learningRates = Float64Array.from({ length: plan.learningRates.length * plans.length }, (_, i) => {
      return plan.learningRates[Math.floor(i / plans.length)];
    });
    return (await native.trainTogether({ ...plan, variants: Int32Array.from(plans.keys()), learningRates }))[0];
  };
  const [first, ...others] = await Session.createVariants(config, plans, where, 'cross_entropy', train);
  for (const session of others) {
    for (const row of session.plan.parameters) if (session.owns(row)) await session.initialize(row, SEED);
    await session.retire();
  }
  return first;
}

/** Fills every parameter. */
export async function initialise(session) {
  for (const row of session.plan.parameters) await session.initialize(row, SEED);
}
