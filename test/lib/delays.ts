import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

/** The machine may hold the process up as well; work that holds up the loop does so every time. */
const ATTEMPTS = 5;

/**
 * Milliseconds that the main thread has been ready to run while the processors were busy with something else, as Linux
 * counts them; 0 on other systems. They are no fault of the thread's.
 */
function millisecondsQueued(): number {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return 0;
  }
}

/** The longest that the event loop did not turn while work ran, in milliseconds. */
async function worstDelay(work: () => Promise<unknown>): Promise<number> {
  let running = true;
  const probe = async () => {
    let worst = 0;
    for (let [last, queued] = [performance.now(), millisecondsQueued()]; running; ) {
      await wait(1);
      const [now, queuedNow] = [performance.now(), millisecondsQueued()];
      worst = Math.max(worst, now - last - (queuedNow - queued));
      [last, queued] = [now, queuedNow];
    }
    return worst;
  };
  const worst = probe();
  try {
    await work();
  } finally {
    running = false;
  }
  return worst;
}

/** The best of a few attempts, the last of which is the first that was short enough. */
export async function leastWorstDelay(work: () => Promise<unknown>, enough: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && least >= enough; attempt++) {
    least = Math.min(least, await worstDelay(work));
  }
  return least;
}
