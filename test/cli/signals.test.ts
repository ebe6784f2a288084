import { expect } from 'chai';
import { runCli } from './run-cli.js';

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
        child.stderr.once('data', () => setTimeout(() => child.kill('SIGINT'), 2000));
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
