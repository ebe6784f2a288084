// The comparison: every method in a process of its own, then the tables. Takes the options of `bertune compare`, e.g.
// node bench/all.js --methods full,lora8 --epochs 1
import { existsSync } from 'node:fs';

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) {
  process.argv.splice(2, 0, 'compare');
  await import(main.href);
} else {
  process.stderr.write(
    'error [NOT_FOUND]: Expected the compiled library in dist but found none; npm run build makes it\n',
  );
  process.exitCode = 1;
}
