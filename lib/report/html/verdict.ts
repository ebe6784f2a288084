import { formatCount, formatMetric, formatSeconds } from '../../format.js';
import { type HeadlineMetric, higherIsBetter, taskOf } from '../../tasks/index.js';
import { headlineOf, measuredOn, taskOfRuns } from '../metrics.js';
import type { MetricsRecord, RunRecord } from '../records.js';

/** How far from the best counts as near it: of a share; of an error, as a share of it. */
const NEAR = 0.02;
const NEAR_ERROR = 0.1;

type Measured = RunRecord & { readonly test: NonNullable<RunRecord['test']> };

/** What metrics are called in a sentence, and what a run is that is best by one. */
const WORDS: Readonly<Record<HeadlineMetric, { a: string; best: string }>> = {
  accuracy: { a: 'an accuracy', best: 'is the most accurate' },
  f1_macro: { a: 'a macro F1', best: 'has the highest macro F1' },
  f1_micro: { a: 'a micro F1', best: 'has the highest micro F1' },
  mse: { a: 'a mean squared error', best: 'has the lowest mean squared error' },
  pearson: { a: "a Pearson's correlation", best: "has the highest Pearson's correlation" },
};

/** Which method to take, in words: the best, the smallest near it, the fastest. */
export function verdict(runs: readonly RunRecord[]): string {
  const [main] = taskOfRuns(runs).headline;
  const value = (run: Measured) => run.test[main] ?? Number.NaN;
  const shown = (run: Measured) => formatMetric(value(run));
  const measured = runs.filter((run): run is Measured => Number.isFinite(run.test?.[main]));
  const trained = measured.filter(({ method }) => method.kind !== 'none');
  const [only] = trained;
  if (only === undefined) {
    const [before] = measured;
    return before === undefined
      ? withoutTest(runs)
      : `Only the model before fine-tuning was measured: ${headlineOf(before.task, before.test)[0]}.`;
  }
  if (trained.length === 1) return `${only.title} reaches ${reached(only.task, only.test)}.`;
  const sign = higherIsBetter(main) ? 1 : -1;
  const best = trained.reduce((a, b) => (sign * value(b) > sign * value(a) ? b : a));
  const parts = [`${best.title} ${WORDS[main].best} (${shown(best)})`];
  const room = sign > 0 ? NEAR : NEAR_ERROR * value(best);
  const within = sign > 0 ? String(NEAR) : `${100 * NEAR_ERROR} %`;
  const near = trained.filter((run) => run.parameters && sign * value(run) >= sign * value(best) - room);
  const [smallest] = near.sort((a, b) => a.parameters!.trainable - b.parameters!.trainable);
  if (smallest !== undefined) {
    const size = `${formatCount(smallest.parameters!.trainable)} trainable parameters`;
    parts.push(
      smallest === best
        ? `no smaller one comes within ${within} of it`
        : `${smallest.title} is the smallest within ${within} of it (${shown(smallest)} with ${size})`,
    );
  }
  // Of those that trained together nobody can say whose the time was: none is named, and one that is was faster than their mean.
  const timed = trained.filter(({ train_runtime }) => Number.isFinite(train_runtime));
  const seconds = ({ train_runtime, together = 1 }: Measured) => train_runtime! / together;
  const [fastest] = timed.sort((a, b) => seconds(a) - seconds(b));
  if (fastest !== undefined && fastest.together === undefined) {
    parts.push(
      `${fastest.title} is the fastest to train (${formatSeconds(fastest.train_runtime)} s, ${shown(fastest)})`,
    );
  }
  return `${parts.join('; ')}.`;
}

/** `an accuracy of 0.9300 and a macro F1 of 0.8900` */
function reached(task: RunRecord['task'], metrics: MetricsRecord): string {
  const { headline } = taskOf(task);
  return headline.map((name) => `${WORDS[name].a} of ${formatMetric(metrics[name])}`).join(' and ');
}

/** What is known without a test split. */
function withoutTest([run, ...others]: readonly RunRecord[]): string {
  const measured = run && others.length === 0 ? measuredOn(run) : undefined;
  if (run === undefined || measured === undefined) return 'No run came to a result on the test split.';
  return `${run.title} reaches ${reached(run.task, measured.metrics)} on the validation split; there is no test split.`;
}
