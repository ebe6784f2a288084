import type { RankGroup } from '../distributed/group.js';
import { evaluateSplit, fitDecision, type LoadedSplit } from '../model/evaluation.js';
import type { NativeSession } from '../native/index.js';
import type { EvaluateResult } from '../tasks/evaluation.js';
import { decisionOf } from '../tasks/prediction.js';
import type { CompletedRun } from './outcome.js';
import type { PreparedRun } from './prepare.js';

/**
 * Fits to the validation split what turns a trained model's logits into decisions, where that is asked for, and measures the model
 * with it.
 *
 * @param evaluation the last without it
 * @throws BertuneError NON_FINITE_LOGITS, ABORTED, OUT_OF_MEMORY, RANK_LOST
 */
export async function decide(
  { model, plan, loss, signal }: PreparedRun,
  native: NativeSession,
  validation: LoadedSplit | null,
  evaluation: EvaluateResult | null,
  group: RankGroup | null,
): Promise<Pick<CompletedRun, 'evaluation' | 'calibration'>> {
  const { settings } = plan;
  if (!validation || (!settings.tuneThresholds && !settings.calibrate)) return { evaluation, calibration: null };
  const { calibration, thresholds } = await fitDecision(native, validation, settings, signal, group);
  model.keepDecision({ thresholds, temperature: calibration?.temperature ?? null });
  return { evaluation: await evaluateSplit(native, validation, decisionOf(model), loss, signal, group), calibration };
}
