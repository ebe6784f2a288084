// Takes README.md's screenshots of a report, docs/images/report-light.png and report-dark.png, with Chromium (apt install chromium).
// node scripts/report-pictures.js [REPORT]     REPORT defaults to that of `npm run bench`
import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { main, root, SetupError, say } from './console.js';
import { capture, onPath } from './process.js';

const SIZE = '1200,900';
/** Chromium's numbers for the values of prefers-color-scheme. */
const SCHEMES = { dark: 0, light: 1 };

await main(async () => {
  const report = path.resolve(process.argv[2] ?? path.join(root, 'results/quick/report.html'));
  if (!existsSync(report)) throw new SetupError(`There is no ${report}: npm run bench makes one`);
  const program = ['chromium', 'chromium-browser', 'google-chrome'].find(onPath);
  if (program === undefined) throw new SetupError('Chromium is needed: apt install chromium');
  const folder = path.join(root, 'docs/images');
  mkdirSync(folder, { recursive: true });
  for (const [scheme, number] of Object.entries(SCHEMES)) {
    const file = path.join(folder, `report-${scheme}.png`);
    const { status, text } = await capture(program, [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', `--window-size=${SIZE}`],
      ...[`--blink-settings=preferredColorScheme=${number}`, `--screenshot=${file}`, pathToFileURL(report).href],
    ]);
    if (status !== 0 || !existsSync(file)) throw new SetupError(`Chromium could not photograph ${report}: ${text}`);
    say(path.relative(root, file));
  }
});
