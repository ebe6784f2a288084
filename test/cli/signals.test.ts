import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { runCli } from './run-cli.js';

/** Clock ticks of work that a process has done; where the system does not say, they never change. */
function workOf({ pid }: ChildProcess): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return 0;
  }
}

/** Resolves once a process has printed something and then done nothing for a second. */
async function untilItWaits(child: ChildProcess): Promise<void> {
  for (let [before, quiet] = [-1, 0]; quiet < 5; ) {
    await sleep(200);
    const now = child.stdout!.readableLength > 0 ? workOf(child) : -1;
    quiet = now >= 0 && now - before <= 1 ? quiet + 1 : 0;
    before = now;
  }
}

describe('signals', function () {
  this.timeout(60_000);

  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    it(`ends with status ${status} for ${signal}, come once or passed on twice`, async () => {
      const run = await runCli(['predict', '--model', 'bert-mini'], {
        during: (child) => {
          child.stdin.write('one\n');
          child.stdout.once('data', () => {
            child.kill(signal);
            child.kill(signal);
          });
        },
      });
      expect(run.status).to.equal(status);
      expect(run.stderr.match(/stopping/g)).to.have.lengthOf(1);
    });
  }

  it('quits at once for a second Ctrl-C', async () => {
    let alive = false;
    const run = await runCli(['predict', '--model', 'bert-mini'], {
      during: (child) => {
        // Nobody reads the results: once the pipe is full, the process waits, also to be stopped.
        child.stdout.pause();
        child.stdin.end('some text\n'.repeat(10_000));
        void untilItWaits(child).then(() => child.kill('SIGINT'));
        child.stderr.on('data', (text: string) => {
          if (!text.includes('stopping')) return;
          setTimeout(() => {
            alive = child.exitCode === null;
            child.kill('SIGINT');
          }, 1000);
        });
        child.on('exit', () => child.stdout.resume());
      },
    });
    expect(alive).to.equal(true);
    expect(run.status).to.equal(130);
  });
});
