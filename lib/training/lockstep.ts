import { BertuneError } from '../errors.js';
import { retarget } from '../model/retarget.js';
import { Session } from '../model/session.js';
import { isOfVariant } from '../model/variants.js';
import type { NativeSession, NativeTrainPlan, NativeTrainResult } from '../native/index.js';
import { option } from '../options/names.js';
import { taskOf } from '../tasks/index.js';
import { Meeting } from './meeting.js';
import type { RunSettings } from './options.js';
import type { PreparedRun } from './prepare.js';

/** The most runs that train together, as many as a session has variants (native/core/backend.h). */
export const MOST_TOGETHER = 8;

/** The place of a run among those that train together. */
export interface Lane {
  /** How many train together at first; 0 before they have joined. */
  readonly size: number;
  /** Waits for the others and gives the run's model its variant of the session that all share. @throws BertuneError INVALID_OPTION where they do not fit together; as retarget */
  join(run: PreparedRun): Promise<Session>;
  /** The others wait for it no longer. Safe to call twice. */
  leave(): void;
}

/** What has to be the same in runs that train together. What is not here may differ, like the learning rate. */
const SHARED = [
  'seed',
  'batchSize',
  'gradientAccumulation',
  'gradientCheckpointing',
  'sampling',
  'weightDecay',
  'adamBeta1',
  'adamBeta2',
  'adamEps',
  'maxGradNorm',
  'labelSmoothing',
  'focalGamma',
  'classWeights',
  'positiveWeights',
] as const satisfies readonly (keyof RunSettings)[];

/**
 * Several runs over one frozen model, step by step together. Each run goes its own way: it joins with its model, evaluates,
 * logs and stops as if it were alone; only where it asks for steps, it waits until all others that still train ask as well.
 * A run that has ended drops out, and the steps of the rest take less time.
 */
export class Lockstep {
  readonly #sessions: Meeting<PreparedRun, Session>;
  readonly #steps: Meeting<NativeTrainPlan, NativeTrainResult>;

  /** @param runs how many, at most MOST_TOGETHER */
  constructor(runs: number) {
    const members = [...new Array(runs).keys()];
    this.#sessions = new Meeting(members, (given) => this.#share(given));
    this.#steps = new Meeting(members, (given) => trainTogether(this.#native!, this.#variants, given));
  }

  #native: NativeSession | undefined;
  #variants: ReadonlyMap<number, number> = new Map();

  /** The place of a run, counted from 0. */
  lane(run: number): Lane {
    const variants = () => this.#variants.size;
    return {
      get size() {
        return variants();
      },
      join: (prepared) => this.#sessions.come(run, prepared),
      leave: () => {
        this.#sessions.leave(run);
        this.#steps.leave(run);
      },
    };
  }

  /** Makes one session of all runs, and gives each model its variant of it. */
  async #share(runs: ReadonlyMap<number, PreparedRun>): Promise<Map<number, Session>> {
    const all = [...runs.values()];
    for (const run of all) expectTogether(run, all[0]!);
    const { model } = all[0]!;
    const lanes = [...runs.keys()];
    this.#variants = new Map(lanes.map((lane, variant) => [lane, variant]));
    const plans = all.map(({ methodPlan }) => methodPlan);
    const { loss } = taskOf(model.task);
    const sessions = await Session.createVariants(model.config, plans, model.where, loss, (native, variant, plan) => {
      this.#native = native;
      return this.#steps.come(lanes[variant]!, plan);
    });
    try {
      // One after the other: the first has the frozen parameters that the others are to find the same.
      for (const [variant, { model, plan, methodPlan, becomes }] of all.entries()) {
        const { method, seed } = plan.settings;
        await retarget(model, method, methodPlan, seed, becomes, sessions[variant]);
      }
    } catch (cause) {
      await Promise.all(sessions.map((session, i) => all[i]!.model.session !== session && session.retire()));
      throw cause;
    }
    return new Map(lanes.map((lane, variant) => [lane, sessions[variant]!]));
  }
}

/** As many steps as all of them ask for. */
async function trainTogether(
  native: NativeSession,
  variants: ReadonlyMap<number, number>,
  given: ReadonlyMap<number, NativeTrainPlan>,
): Promise<Map<number, NativeTrainResult>> {
  const plans = [...given.values()];
  const first = plans[0]!;
  const steps = Math.min(...plans.map(({ learningRates }) => learningRates.length));
  const order = first.order.subarray(0, steps * first.batchSize * first.accumulation);
  for (const plan of plans) {
    const isSame = plan.firstStep === first.firstStep && order.every((example, i) => example === plan.order[i]);
    if (!isSame) throw new BertuneError('INTERNAL', 'Expected runs that train together to ask for the same steps');
  }
  const results = await native.trainTogether({
    ...first,
    order: order.slice(),
    variants: Int32Array.from(given.keys(), (lane) => variants.get(lane)!),
    learningRates: Float64Array.from({ length: steps * plans.length }, (_, i) => {
      return plans[i % plans.length]!.learningRates[Math.floor(i / plans.length)]!;
    }),
  });
  return new Map([...given.keys()].map((lane, i) => [lane, results[i]!]));
}

/** @throws BertuneError INVALID_OPTION */
function expectTogether(run: PreparedRun, first: PreparedRun): void {
  const refuse = (what: string): never => {
    throw new BertuneError('INVALID_OPTION', `${what}; train it by itself`);
  };
  const { methodPlan, plan, model, found, ranks } = run;
  const { method } = plan.settings;
  if (method.kind !== 'lora' || method.dora) refuse(`Only LoRA without ${option('dora')} trains together with others`);
  const trained = methodPlan.parameters.find((row) => row.trainable && !isOfVariant(row));
  if (trained) refuse(`Runs that train together share all but their updates and heads, but one trains ${trained.name}`);
  if (found !== null)
    refuse(`Runs that train together start from the beginning, but one is to resume from ${found.directory}`);
  if (ranks !== null) refuse('Runs that train together do so in one process, but this is one of several');
  for (const name of SHARED) {
    const [own, others] = [run, first].map(({ plan }) => JSON.stringify(plan.settings[name]));
    if (own !== others) refuse(`Expected the same ${option(name)} in runs that train together`);
  }
  if (plan.totalSteps !== first.plan.totalSteps)
    refuse('Expected the same number of steps in runs that train together');
  const { where, task, labels } = first.model;
  const isSameModel =
    JSON.stringify([model.where, model.task, model.labels, model.config]) ===
    JSON.stringify([where, task, labels, first.model.config]);
  if (!isSameModel) refuse('Expected one model, device and precision in runs that train together');
  const [own, others] = [run, first].map(({ examples: { encoded, labels } }) => {
    return [encoded.ids, encoded.offsets, encoded.typeIds, encoded.positions, labels];
  });
  if (own!.some((array, i) => !isSameArray(array, others![i])))
    refuse('Expected the same texts, read alike, in runs that train together');
}

type Numbers = Int32Array | Float32Array | undefined;

function isSameArray(a: Numbers, b: Numbers): boolean {
  if (a === undefined || b === undefined) return a === b;
  const bytes = ({ buffer, byteOffset, byteLength }: Int32Array | Float32Array) => {
    return Buffer.from(buffer, byteOffset, byteLength);
  };
  return a.length === b.length && bytes(a).equals(bytes(b));
}
