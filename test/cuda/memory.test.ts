import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { EMULATOR_LIBRARY } from '../../bench/support/operations.js';
import { gpus } from '../devices.js';
import { nativeConfig } from '../native/shape.js';
import { ADDON, dataset, MODEL, sessionConfig } from '../native/support.js';

/*
 * The memory of a GPU, which only the emulated one lets a test choose. It is read when the emulator is opened, so that each
 * case has a process of its own.
 */

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL('./memory-program.cjs', import.meta.url));
const MEBIBYTE = 2 ** 20;

interface Outcome {
  code: string;
  message?: string;
}
interface Report {
  session: Outcome;
  activations: Outcome;
  again: Outcome;
  same: boolean;
  memory: Record<string, number>;
}

async function report(environment: Record<string, string>): Promise<Report> {
  const where = { device: 'cuda-emulated', precision: 'bf16' } as const;
  const { ids, offsets, labels } = dataset();
  const input = {
    addon: ADDON,
    emulator: EMULATOR_LIBRARY,
    small: nativeConfig(sessionConfig(where)),
    large: nativeConfig(sessionConfig({ ...where, model: { ...MODEL, vocabSize: 4_000_000 } })),
    dataset: { ids: [...ids], offsets: [...offsets], labels: [...labels!] },
    tokens: 500_000,
  };
  const { stdout } = await run(process.execPath, [PROGRAM, JSON.stringify(input)], {
    env: { ...process.env, ...environment },
  });
  return JSON.parse(stdout);
}

if (gpus().some(({ device }) => device === 'cuda-emulated')) {
  describe('memory of a GPU', () => {
    let found: Report;
    before(async () => {
      found = await report({ BERTUNE_EMULATED_MEMORY: String(128 * MEBIBYTE) });
    });

    it('that cannot hold a model is an error that says how much was wanted, for what, and how much is free', () => {
      expect(found.session.code).to.equal('OUT_OF_MEMORY');
      expect(found.session.message).to.match(
        /Expected 1\d\d MiB of device memory for parameters but 6\d MiB of 128 MiB/,
      );
    });

    it('that cannot hold a batch is one too, before any step', () => {
      expect(found.activations.code).to.equal('OUT_OF_MEMORY');
      expect(found.activations.message).to.match(/Expected \d+ MiB of device memory for activations but \d+ MiB/);
    });

    it('leaves the sessions that there are as they were, and room for more', () => {
      expect(found.same, 'the same logits afterwards').to.equal(true);
      expect(found.again.code).to.equal('none');
    });

    it('is reported by arena, the whole device beside it', () => {
      const { parameters, gradients, optimizer, activations, datasets, workspace, total, peak, device } = found.memory;
      expect(total).to.equal(
        parameters! + gradients! + optimizer! + activations! + datasets! + workspace!,
        'the parts make the total',
      );
      for (const part of [parameters, gradients, optimizer, activations, datasets, workspace]) {
        expect(part).to.be.greaterThan(0);
      }
      expect(peak).to.be.at.least(total!);
      expect(device).to.be.at.least(total!);
      expect(device).to.be.below(128 * MEBIBYTE);
    });
  });
}
