import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { runProgram } from './run.js';

describe('bench/peers/summary.js', () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bertune-peers-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const write = (name: string, ...values: unknown[]) =>
    writeFile(join(folder, name), values.map((value) => `${JSON.stringify(value)}\n`).join(''));

  it('shows medians and ratios, and marks where a peer wins', async () => {
    const peer = { peer: 'hf_trainer', precision: 'bf16', batch_size: 16 };
    const step = (method: string, steps_per_s: number, peak: number) => ({
      method,
      precision: 'bf16',
      batch_size: 16,
      steps_per_s,
      memory: { peak: peak * 2 ** 20 },
      evaluation: { texts_per_s: 100 },
    });
    await write(
      'hf.jsonl',
      { ...peer, method: 'full', steps_per_s: 10, peak_MiB: 200 },
      { ...peer, method: 'full', steps_per_s: 30, peak_MiB: 200 },
    );
    await write(
      'best.jsonl',
      { ...peer, method: 'lora32', steps_per_s: 100, peak_MiB: 50 },
      { ...peer, method: 'x', error: 'out of memory' },
    );
    await write('step-1.json', { machine: { device: 'cuda' }, rows: [step('full', 80, 100), step('lora', 400, 100)] });
    const attention = {
      peer: 'attention',
      backend: 'flash',
      layout: 'heads',
      precision: 'bf16',
      texts: 16,
      dropout_p: 0.1,
    };
    await write('attention.jsonl', { ...attention, length: 22, forward_us: 10, backward_us: 20 });
    const kernel = { precision: 'bf16', batch: '16x22', dropout_p: 0.1, prefix: false, first_only: false };
    await write('kernels-1.json', {
      rows: [
        { ...kernel, operation: 'attention_forward', microseconds: 5 },
        { ...kernel, operation: 'attention_backward', microseconds: 30 },
        { ...kernel, prefix: true, operation: 'attention_backward', microseconds: 1 },
      ],
    });
    const { status, stdout } = await runProgram('bench/peers/summary.js', [folder]);
    expect(status, stdout).to.equal(0);
    const line = (part: string) => stdout.split('\n').find((text) => text.includes(part)) ?? '';
    expect(line('hf_trainer full')).to.match(
      /^ {2}hf_trainer full bf16 16 +2\/1 +20\.0 +80\.0 +4\.00 +200 +100 +0\.500/,
    );
    expect(line('hf_trainer lora32')).to.match(/^> .* 4\.00 +50\.0 +100 +2\.00/);
    expect(line('flash heads forward')).to.match(/^ {2}.* 10\.0 +5\.00 +0\.500$/);
    expect(line('flash heads backward')).to.match(/^> .* 20\.0 +30\.0 +1\.50$/);
    expect(line('failed: ')).to.include('out of memory');
  });
});
