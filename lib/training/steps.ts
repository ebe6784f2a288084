import { trainedNames } from '../methods/index.js';
import { retarget } from '../model/retarget.js';
import { datasetOf } from '../model/session.js';
import { decisionOf } from '../tasks/prediction.js';
import { placeRun } from './checkpoint/resume.js';
import { decide } from './decide.js';
import { asGroup, joinGroup } from './group.js';
import type { Lane } from './lockstep.js';
import { lookAheadOf } from './look-ahead.js';
import { reserveTraining } from './memory.js';
import type { CompletedRun } from './outcome.js';
import { announceRun, type PreparedRun, withValidation } from './prepare.js';
import { TrainingRun } from './run.js';

/**
 * Trains a model by optimizer steps, from the beginning or from a checkpoint, alone or as one of several ranks.
 *
 * @param lane its place among runs that train together; null: it trains by itself
 * @throws BertuneError as Trainer.train
 */
export async function trainInSteps(prepared: PreparedRun, lane: Lane | null): Promise<CompletedRun> {
  const { model, given, plan, methodPlan, examples, becomes, loss, state, best, found, lock, ranks } = prepared;
  const { signal, stopWhen, events } = prepared;
  const { settings } = plan;
  const session = lane
    ? await lane.join(prepared)
    : await retarget(model, settings.method, methodPlan, settings.seed, becomes);
  return session.withDataset(datasetOf(examples.encoded, examples.labels), (dataset, native) =>
    withValidation(prepared, session, async (validation) => {
      const ahead = ranks ? 1 : lookAheadOf(methodPlan, model.where.device, settings.gradientAccumulation);
      const lookAhead = await reserveTraining(native, plan, ahead);
      if (validation) {
        const { tokens, sequences } = validation.batches;
        await native.reserve({ tokens, sequences, training: false });
      }
      const placed = {
        ...{ model, native, methodPlan, given, lock, plan, state, best, train: examples },
        validation: validation && { encoded: validation.encoded, labels: validation.split.labels },
      };
      const { position, resumption, checkpoints, identify } = await placeRun(placed, found);
      const group = ranks && (await joinGroup(ranks, placed, await identify(), position));
      await announceRun(prepared, position, resumption);
      const training = new TrainingRun({
        ...{ native, plan, dataset, lookAhead, validation, decision: decisionOf(model), loss, best, state, position },
        ...{ checkpoints, signal, stopWhen, group, events },
        trainable: trainedNames(methodPlan),
        expectUsable: () => model.expectUsable(),
      });
      return asGroup(group, async () => {
        const outcome = await training.run().finally(() => lane?.leave());
        const decided = await decide(prepared, native, validation, outcome.evaluation, group);
        return { ...outcome, ...decided, method: settings.method, epochs: position.epochs };
      });
    }),
  );
}
