import { join } from 'node:path';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input } from '../format.js';
import { JsonDocument } from '../json.js';
import { readRows } from '../rows.js';
import { CODES } from '../seeds.js';

const NAME = 'data.json';
const ROWS = [
  { text: 'i feel {great}', label: 0 },
  { text: 'é 中 😀 "quoted" [x]', label: 1 },
  { text: '\\', label: 0, nested: { a: [1, { b: null }] } },
];
const SEEDS = [ROWS, { version: '1.0', data: ROWS }];
const TEXTS = SEEDS.map((seed) => JSON.stringify(seed));
const DOCUMENTS = SEEDS.map((seed) => new JsonDocument(seed));
const whole = (data: string | Uint8Array, what: string): Input => ({ files: { [NAME]: data }, what });

export const format: Format = {
  fixed: [
    ...TEXTS.flatMap((text) => cuts(NAME, Buffer.from(text))),
    whole('['.repeat(1_000_000), 'a million brackets'),
    whole(`[{"text":"a","label":"b","c":${'['.repeat(1e5)}${']'.repeat(1e5)}}]`, '100,000 levels'),
    whole(`[{"text":"${'x'.repeat(8_000_000)}","label":"a"}]`, 'a text of 8 million characters'),
    whole(`${' '.repeat(1_000_000)}[`, 'a million spaces'),
    whole(`{"version":"${'x'.repeat(1_000_000)}`, 'a version without end'),
  ],
  generate(random) {
    const which = random.below(SEEDS.length);
    if (random.chance(0.7)) {
      const { text, what } = DOCUMENTS[which]!.mutated(random);
      return whole(text, what);
    }
    const { bytes, what } = damage(Buffer.from(TEXTS[which]!), random);
    return whole(bytes, what);
  },
  read: (directory) => readRows(join(directory, NAME)),
  codes: CODES,
};
