import { join } from 'node:path';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input } from '../format.js';
import { JsonDocument } from '../json.js';
import { readRows } from '../rows.js';
import { CODES } from '../seeds.js';

const NAME = 'data.jsonl';
const ROWS = [
  { text: 'i feel great', label: 'joy', id: 1 },
  { text: 'é 中 😀 "quoted"', label: 'sadness', id: 2 },
  { text: '', label: 'joy', id: null },
  { text: 'pair', label: 'anger', nested: { a: [1, { b: null }] } },
];
const LINES = [
  ...ROWS.map((row) => JSON.stringify(row)),
  '{"text": "of Python", "label": "joy", "id": [NaN, -Infinity]}',
];
const TEXT = `${LINES.join('\n')}\n`;
const DOCUMENTS = ROWS.map((row) => new JsonDocument(row));
const whole = (data: string | Uint8Array, what: string): Input => ({ files: { [NAME]: data }, what });

export const format: Format = {
  fixed: [
    ...cuts(NAME, Buffer.from(TEXT)),
    whole(`{"text":"${'x'.repeat(8_000_000)}","label":"a"}\n`, 'a line of 8 million characters'),
    whole(`{"text":"a","label":"b","c":${'['.repeat(1e5)}${']'.repeat(1e5)}}\n`, '100,000 levels'),
    whole(`{"text":${'['.repeat(1e5)}${']'.repeat(1e5)},"label":"b"}\n`, '100,000 levels of text'),
    whole('\n'.repeat(1_000_000), 'a million empty lines'),
    whole('{"label":"a","__proto__":{"text":"x"}}\n', 'a prototype with a text'),
    whole(`{"text":"a","label":"b","c":[${'NaN,'.repeat(1e6)}NaN]}\n`, 'a million numbers that are none'),
    whole(`{"text":"a","label":"b","c":NaN,"${'\\"'.repeat(2e6)}`, 'two million quotes that close nothing'),
    whole(`{"text":"a","label":"b"${',"c":NaN'.repeat(4e5)}}\n`, 'a key 400,000 times'),
  ],
  generate(random) {
    if (random.chance(0.7)) {
      const lines = [...LINES];
      const at = random.below(ROWS.length);
      const { text, what } = DOCUMENTS[at]!.mutated(random);
      lines[at] = text;
      return whole(`${lines.join(random.chance(0.1) ? '\r\n' : '\n')}\n`, `line ${at + 1}: ${what}`);
    }
    const { bytes, what } = damage(Buffer.from(TEXT), random);
    return whole(bytes, what);
  },
  read: (directory) => readRows(join(directory, NAME)),
  codes: CODES,
};
