import { forgetRanks } from '../distributed/ranks.js';
import { nameOptionsByFlags } from '../options/names.js';
import type { Report, Request } from './runner.js';
import { executeTogether } from './together.js';

/*
 * The process of one run of a comparison, or of several that train together. The parent sends the experiments, this process
 * sends how it goes and the records at the end, upon which the parent ends it. Ctrl-C reaches every process of a terminal: only
 * the parent decides what it means.
 */

/** Progress is for people: more often than this is not seen. */
const PROGRESS_MILLISECONDS = 100;

// Its run is its own, whatever started the parent.
forgetRanks();

const controller = new AbortController();

function send(report: Report): void {
  // A parent that has just died is noticed by its disconnecting.
  if (process.connected) process.send?.(report, undefined, {}, () => {});
}

async function run(request: Extract<Request, { type: 'run' }>): Promise<void> {
  nameOptionsByFlags(request.flags);
  let lastSent = Number.NEGATIVE_INFINITY;
  const records = await executeTogether(request.experiments, {
    signal: controller.signal,
    onProgress: (progress) => {
      if (performance.now() - lastSent < PROGRESS_MILLISECONDS) return;
      lastSent = performance.now();
      send({ type: 'progress', progress });
    },
    onEpoch: (line) => send({ type: 'epoch', line }),
    onPlan: (lines) => send({ type: 'plan', lines }),
    onNote: (text) => send({ type: 'note', text }),
  });
  send({ type: 'result', records });
}

// What Node.js or a library prints is not part of the run: if no one reads it, the run continues.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => {});
// The parent is gone: nobody waits for anything that still runs. process.exit() would, and Node.js may hang in it.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.on('message', (request: Request) => {
  if (request.type === 'abort') controller.abort();
  else void run(request);
});
send({ type: 'ready' });
