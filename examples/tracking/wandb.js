import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { settingsOf, valuesOf } from './values.js';

const PROGRAM = fileURLToPath(new URL('log_to_wandb.py', import.meta.url));

/**
 * Logs a run to Weights & Biases, row by row as they come. Their library is for Python alone, so that a small program of it
 * runs beside (log_to_wandb.py), which is told each row on its standard input. Its settings are its environment's: WANDB_API_KEY,
 * WANDB_MODE=offline. What it cannot log does not end the training; `finish` tells of it.
 *
 * @param trainer before its `train`
 * @param python with the package wandb
 */
export function trackWithWandb(trainer, { project, name, python = 'python3' }) {
  const child = spawn(python, [PROGRAM], { stdio: ['pipe', 'ignore', 'pipe'] });
  const ended = once(child, 'close');
  ended.catch(() => {});
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors = (errors + text).slice(-2000);
  });
  // It has gone: its own message says why.
  child.stdin.on('error', () => {});
  const send = (message) => child.stdin.write(`${JSON.stringify(message)}\n`);
  const log = (row) => send({ step: row.step, values: valuesOf(row) });
  trainer.once('start', () => send({ project, name, config: settingsOf(trainer) }));
  trainer.on('log', log).on('evaluate', log);
  return {
    /** @param error why the run failed; undefined: it is done */
    async finish(error) {
      trainer.off('log', log).off('evaluate', log);
      child.stdin.end(`${JSON.stringify({ exit_code: error === undefined ? 0 : 1 })}\n`);
      const [status] = await ended;
      if (status !== 0) throw new Error(`${PROGRAM} ended with status ${status}: ${errors.trim()}`);
    },
  };
}
