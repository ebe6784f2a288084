// Seconds of one run of an operation. Where the device records, it is the replay of a graph of `repeat` runs that is
// timed, launch and synchronization included.
import { loadOperations } from '../support/operations.js';
import { median } from '../support/statistics.js';

const CALIBRATION_RUNS = 4;
const MOST_RUNS = 4000;

/** What a full and a quick bench spend on a trial. */
export const PACES = {
  full: { repetitions: 5, seconds: 0.006, patience: 12 },
  quick: { repetitions: 3, seconds: 0.002, patience: 3 },
};

/**
 * The median of several repetitions.
 *
 * @param where device, precision, threads
 * @param pace repetitions; seconds that one is to last; seconds after which no other is begun
 */
export async function timeOperation(name, where, { tensors, sizes }, pace) {
  const began = performance.now();
  const run = async (repeat) => (await loadOperations().runOperation(name, where, tensors, sizes, repeat)).seconds;
  const first = await run(CALIBRATION_RUNS);
  if (first * CALIBRATION_RUNS > pace.seconds * 20) return { seconds: first, repetitions: 1, repeat: CALIBRATION_RUNS };
  const repeat = Math.min(MOST_RUNS, Math.max(CALIBRATION_RUNS, Math.ceil(pace.seconds / first)));
  const times = [];
  while (times.length < pace.repetitions && (times.length === 0 || performance.now() - began < pace.patience * 1000)) {
    times.push(await run(repeat));
  }
  return { seconds: median(times), repetitions: times.length, repeat };
}
