import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { comparisonOf } from '../report/html-records.js';
import { runCli, withFolder } from './run-cli.js';

describe('bertune report', () => {
  it('draws a results.json again, beside it or where it is told', async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, 'results.json'), JSON.stringify(comparisonOf(['a', 'b'])));
      const beside = await runCli(['report', folder]);
      expect(beside, beside.stderr).to.include({ status: 0, stdout: '' });
      const page = await readFile(join(folder, 'report.html'), 'utf8');
      expect(page).to.match(/^<!doctype html>/);
      const elsewhere = join(folder, 'other.html');
      expect(await runCli(['report', join(folder, 'results.json'), '--output', elsewhere, '--quiet'])).to.include({
        status: 0,
        stderr: '',
      });
      expect(await readFile(elsewhere, 'utf8')).to.equal(page);
    });
  });

  it('says what is wrong with a file', async () => {
    await withFolder(async (folder) => {
      await mkdir(join(folder, 'empty'));
      await writeFile(join(folder, 'broken.json'), '{');
      await writeFile(join(folder, 'other.json'), '{"a": 1}');
      for (const [name, code] of [
        ['empty', 'NOT_FOUND'],
        ['broken.json', 'INVALID_DATA'],
        ['other.json', 'INVALID_DATA'],
      ] as const) {
        const run = await runCli(['report', join(folder, name)]);
        expect(run.status).to.equal(1);
        expect(run.stderr).to.contain(`error [${code}]`);
      }
    });
  });
});
