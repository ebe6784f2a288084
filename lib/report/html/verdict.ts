import { formatCount, formatMetric, formatSeconds } from '../format.js';
import { measuredOn } from '../measured.js';
import type { RunRecord } from '../records.js';

/** How far below the best accuracy counts as near it. */
const NEAR = 0.02;

type Measured = RunRecord & { readonly test: NonNullable<RunRecord['test']> };

/** Which method to take, in words: the best, the smallest near it, the fastest. */
export function verdict(runs: readonly RunRecord[]): string {
  const measured = runs.filter((run): run is Measured => Number.isFinite(run.test?.accuracy));
  const trained = measured.filter(({ method }) => method.kind !== 'none');
  const [only] = trained;
  if (only === undefined) {
    const [before] = measured;
    return before === undefined
      ? withoutTest(runs)
      : `Only the model before fine-tuning was measured: accuracy ${formatMetric(before.test.accuracy)}.`;
  }
  const accuracy = (run: Measured) => formatMetric(run.test.accuracy);
  if (trained.length === 1) {
    return `${only.title} reaches an accuracy of ${accuracy(only)} and a macro F1 of ${formatMetric(only.test.f1_macro)}.`;
  }
  const best = trained.reduce((a, b) => (b.test.accuracy > a.test.accuracy ? b : a));
  const parts = [`${best.title} is the most accurate (${accuracy(best)})`];
  const near = trained.filter(({ test, parameters }) => parameters && test.accuracy >= best.test.accuracy - NEAR);
  const [smallest] = near.sort((a, b) => a.parameters!.trainable - b.parameters!.trainable);
  if (smallest !== undefined) {
    const size = `${formatCount(smallest.parameters!.trainable)} trainable parameters`;
    parts.push(
      smallest === best
        ? `no smaller one comes within ${NEAR} of it`
        : `${smallest.title} is the smallest within ${NEAR} of it (${accuracy(smallest)} with ${size})`,
    );
  }
  const timed = trained.filter(({ train_runtime }) => Number.isFinite(train_runtime));
  const [fastest] = timed.sort((a, b) => a.train_runtime! - b.train_runtime!);
  if (fastest !== undefined) {
    parts.push(
      `${fastest.title} is the fastest to train (${formatSeconds(fastest.train_runtime)} s, ${accuracy(fastest)})`,
    );
  }
  return `${parts.join('; ')}.`;
}

/** What is known without a test split. */
function withoutTest([run, ...others]: readonly RunRecord[]): string {
  const measured = run && others.length === 0 ? measuredOn(run) : undefined;
  if (run === undefined || measured === undefined) return 'No run came to a result on the test split.';
  const { accuracy, f1_macro } = measured.metrics;
  return (
    `${run.title} reaches an accuracy of ${formatMetric(accuracy)} and a macro F1 of ${formatMetric(f1_macro)} on the ` +
    'validation split; there is no test split.'
  );
}
