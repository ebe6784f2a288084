import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, say } from './console.js';

const file = path.join(
  os.tmpdir(),
  `bertune-setup-${createHash('sha256').update(root).digest('hex').slice(0, 16)}.lock`,
);

/** Whether the process that wrote the lock is gone. A lock without a number is still being written. */
function abandoned() {
  let pid = 0;
  try {
    pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    if (!pid) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

/** Runs one setup of this folder at a time; a second one waits for the first. */
export async function withLock(run) {
  for (let waited = false; ; waited = true) {
    try {
      const handle = openSync(file, 'wx');
      writeSync(handle, String(process.pid));
      closeSync(handle);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      if (abandoned()) rmSync(file, { force: true });
      else {
        if (!waited) say(`waiting for another set-up of this folder to end (${file})`);
        await sleep(250);
      }
    }
  }
  try {
    return await run();
  } finally {
    rmSync(file, { force: true });
  }
}
