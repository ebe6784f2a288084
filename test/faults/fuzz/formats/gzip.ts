import { gzipSync } from 'node:zlib';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input } from '../format.js';
import { readFiles } from '../rows.js';
import { CODES } from '../seeds.js';

const CSV = 'text,label\n"i feel ""great""",joy\nplain text,sadness\n"two\nlines",joy\n';
const LINES = '{"text":"i feel great","label":"joy"}\n{"text":"","label":"sadness"}\n';
const FILES: Readonly<Record<string, Buffer>> = { 'data.csv.gz': gzipSync(CSV), 'data.jsonl.gz': gzipSync(LINES) };
const NAMES = Object.keys(FILES);
const whole = (name: string, data: Uint8Array, what: string): Input => ({ files: { [name]: data }, what });

export const format: Format = {
  fixed: [
    ...NAMES.flatMap((name) => cuts(name, FILES[name]!)),
    whole(
      'data.csv.gz',
      gzipSync(Buffer.concat([Buffer.from('text,label\n"'), Buffer.alloc(12 * 2 ** 20, 'x')])),
      'a bomb in a field',
    ),
    whole('data.csv.gz', gzipSync(Buffer.alloc(12 * 2 ** 20)), 'a bomb in a header'),
    whole(
      'data.csv.gz',
      gzipSync(Buffer.concat([Buffer.from('text,label\n'), Buffer.alloc(12 * 2 ** 20, `${'a'.repeat(98)},b\n`)])),
      'a bomb of rows',
    ),
    whole('data.jsonl.gz', gzipSync(Buffer.alloc(12 * 2 ** 20, ' ')), 'a bomb in a line'),
    whole('data.csv.gz', gzipSync(gzipSync(CSV)), 'twice packed'),
    whole('data.csv.gz', Buffer.concat([FILES['data.csv.gz']!, Buffer.from('rubbish')]), 'rubbish behind'),
    whole('data.csv.gz', Buffer.concat([FILES['data.csv.gz']!, FILES['data.csv.gz']!]), 'two members'),
  ],
  generate(random) {
    const name = random.pick(NAMES);
    if (random.chance(0.5)) {
      const inner = damage(Buffer.from(name.includes('csv') ? CSV : LINES), random);
      return whole(name, gzipSync(inner.bytes, { level: random.below(10) }), `packed: ${inner.what}`);
    }
    const { bytes, what } = damage(FILES[name]!, random);
    return whole(name, bytes, what);
  },
  read: (directory) => readFiles(directory, NAMES),
  codes: CODES,
};
