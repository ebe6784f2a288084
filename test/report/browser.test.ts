import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { NOTEBOOK_REFERENCE } from '../../lib/experiments/presets.js';
import { renderReport } from '../../lib/report/html/page.js';
import { withFolder } from '../cli/run-cli.js';
import { comparisonOf, HOSTILE } from './html-records.js';

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);

/** What a browser says of a page: how much too wide it is, what it loaded, its charts, the matrices that are cut. */
const PROBE = `<!doctype html><meta charset="utf-8"><body><iframe style="border:0" width="360" height="800" src="report.html"></iframe>
<script>onload = () => {
  const { document: page, performance } = document.querySelector('iframe').contentWindow;
  for (const details of page.querySelectorAll('details')) details.open = true;
  const text = [page.documentElement.scrollWidth - page.documentElement.clientWidth, performance.getEntriesByType('resource').length, page.querySelectorAll('svg.chart').length, [...page.querySelectorAll('table.matrix')].filter(({ parentElement: box }) => box.scrollWidth > box.clientWidth).length];
  document.body.textContent = 'measured ' + text.join(' ');
};</script>`;

describe('report.html in a browser', function () {
  this.timeout(60_000);

  it('fits a phone, loads nothing and logs no error', async function () {
    if (CHROMIUM === undefined) this.skip();
    await withFolder(async (folder) => {
      const labels = [...HOSTILE, ...Array.from({ length: 14 }, (_, index) => `label ${index}`)];
      await writeFile(
        join(folder, 'report.html'),
        renderReport(comparisonOf(labels, { reference: NOTEBOOK_REFERENCE })),
      );
      await writeFile(join(folder, 'probe.html'), PROBE);
      const flags = [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--allow-file-access-from-files',
        `--user-data-dir=${folder}/profile`,
      ];
      const logs = ['--enable-logging=stderr', '--v=0'];
      const page = pathToFileURL(join(folder, 'probe.html')).href;
      const { stdout, stderr } = spawnSync(CHROMIUM, [...flags, ...logs, '--dump-dom', page], {
        encoding: 'utf8',
        timeout: 50_000,
      });
      const [, overflow, loaded, charts, cut] = /measured (\d+) (\d+) (\d+) (\d+)/.exec(stdout) ?? [];
      expect(Number(overflow), stdout + stderr).to.equal(0);
      expect(Number(loaded)).to.equal(0);
      expect(Number(charts)).to.be.greaterThan(10);
      // A matrix of twenty labels is seen as a whole.
      expect(Number(cut)).to.equal(0);
      expect(stderr).to.not.match(/CONSOLE/);
    });
  });
});
