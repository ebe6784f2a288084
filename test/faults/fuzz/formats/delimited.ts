import { damage } from '../bytes.js';
import { cuts, type Format, type Input } from '../format.js';
import { readFiles } from '../rows.js';
import { CODES } from '../seeds.js';

const SEEDS: Readonly<Record<string, string>> = {
  'data.csv':
    'text,label\n"i feel ""great"", really",joy\nplain text,sadness\r\n"two\nlines",joy\n,anger\n"é 中 😀",joy\n',
  'data.tsv': 'label\tsentence\tid\n0\tgood day\t1\n1\t"bad\tday"\t2\n0\t\t3\n',
  'data.txt': 'text;label\ni didnt feel humiliated;sadness\ni am grabbing a minute;anger\n"quoted; text";joy\n',
};
const NAMES = Object.keys(SEEDS);
const SPECIAL = [
  '"',
  '""',
  ',',
  ';',
  '\t',
  '\r',
  '\n',
  '\r\n',
  '\0',
  '\ufeff',
  '\u2028',
  '=1+1',
  '\ud800',
  '\u001b[31m',
  'x'.repeat(3000),
];

const whole = (name: string, data: string | Uint8Array, what: string): Input => ({ files: { [name]: data }, what });

export const format: Format = {
  fixed: [
    ...NAMES.flatMap((name) => cuts(name, Buffer.from(SEEDS[name]!))),
    whole('data.csv', `text,label\n"${'x,y\n'.repeat(500_000)}`, 'a quote that is never closed'),
    whole('data.csv', `${'a'.repeat(3_000_000)}`, 'a header without end'),
    whole('data.csv', `text,label\n${'"'.repeat(1_000_000)},a\n`, 'a million quotes'),
    whole('data.csv', `text,label${',x'.repeat(200_000)}\n`, '200,000 columns'),
    whole('data.csv', `text,label\n${'\n'.repeat(1_000_000)}`, 'a million empty lines'),
    whole('data.csv', Buffer.alloc(100_000), 'nothing but NUL'),
    whole('data.csv', Buffer.from(SEEDS['data.csv']!, 'utf16le'), 'UTF-16'),
  ],
  generate(random) {
    const name = random.pick(NAMES);
    if (random.chance(0.6)) {
      let text = SEEDS[name]!;
      for (let times = 1 + random.below(3); times > 0; times--) {
        const at = random.below(text.length + 1);
        text = text.slice(0, at) + random.pick(SPECIAL) + text.slice(at + random.below(3));
      }
      return whole(name, text, `special characters in ${name}`);
    }
    const { bytes, what } = damage(Buffer.from(SEEDS[name]!), random);
    return whole(name, bytes, `${name}: ${what}`);
  },
  read: (directory) => readFiles(directory, NAMES),
  codes: CODES,
};
