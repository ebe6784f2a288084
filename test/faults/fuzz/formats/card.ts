import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input } from '../format.js';
import { JsonDocument } from '../json.js';
import { readRows } from '../rows.js';
import { CODES } from '../seeds.js';

const NAME = 'README.md';
const MATTER = {
  configs: [
    {
      config_name: 'default',
      default: true,
      data_dir: '.',
      data_files: [
        { split: 'train', path: 'data/train-*.csv' },
        { split: 'test', path: ['data/test*.csv', 'data/t[a-e]st.csv'] },
      ],
    },
  ],
  dataset_info: {
    config_name: 'default',
    features: [{ name: 'label', dtype: { class_label: { names: { 0: 'no', 1: 'yes' } } } }],
  },
};
const YAML = `configs:
- config_name: default
  default: true
  data_files:
  - split: train
    path: data/train-*.csv
  - split: test
    path: "data/test*.csv"
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names:
          '0': no
          '1': 'yes'
`;
const card = (matter: string) => `---\n${matter}\n---\n# A data set\n`;
const DOCUMENT = new JsonDocument(MATTER);
const whole = (data: string | Uint8Array, what: string): Input => ({ files: { [NAME]: data }, what });
const withPath = (path: string) =>
  whole(card(`configs:\n- data_files:\n  - split: train\n    path: ${JSON.stringify(path)}\n`), path.slice(0, 60));

const LAUGHS = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...'bcdefghi'.split('').map((name, i) => {
    const before = 'abcdefgh'[i]!;
    return `${name}: &${name} [${Array(9).fill(`*${before}`).join(', ')}]`;
  }),
].join('\n');

const MEGABYTE = 1_000_000;
/** `unit` as often as it goes into a megabyte. */
const fill = (unit: string) => unit.repeat(MEGABYTE / unit.length);
const each = (count: number, unit: (i: number) => string) => Array.from({ length: count }, (_, i) => unit(i)).join('');
const withPatterns = (count: number, pattern: string) =>
  `configs:\n- data_files:\n${each(count, () => `  - "${pattern}"\n`)}`;

/** Front matters that once took the square of their length, or whose meaning is far longer than they are. */
const GROWING: Readonly<Record<string, string>> = {
  'a million commas': `a: [${fill(',')}`,
  '500,000 items': `configs: [${fill('x,')}]`,
  'lists and maps in turns': fill('- a\nb: c\n'),
  '40,000 anchors': `${each(40_000, (i) => `k${i}: &a${i} x\n`)}z:\n${each(20_000, (i) => `- *a${i}\n`)}`,
  '300,000 tags': `a: ${fill('!x ')}`,
  '500,000 empty lines': `a: >\n${fill('\n')}  x`,
  'a text of many aliases': `a: &a ${fill('x')}\nconfigs:\n- data_files: [${'*a,'.repeat(999)}]`,
  'aliases of aliases': `x:
- &p [${'q,'.repeat(100_000)}]
- &d {split: train, path: *p}
- &c {data_files: [${'*d,'.repeat(300)}]}
configs: [${'*c,'.repeat(300)}]`,
  'an alias of itself': 'configs: &a [*a]',
  'many merges': `a: &a {${each(5000, (i) => `k${i}: 1, `)}}\nb:\n${'- <<: *a\n'.repeat(900)}`,
  '20,000 patterns': withPatterns(20_000, `${'*a'.repeat(20)}b`),
  'patterns of many folders': withPatterns(250, `${'**/'.repeat(1300)}b`),
  'patterns of many characters': withPatterns(250, `${`*[${'b-z'.repeat(90)}]`.repeat(14)}b`),
};

export const format: Format = {
  fixed: [
    ...cuts(NAME, Buffer.from(card(YAML))),
    whole(card(LAUGHS), 'a billion laughs'),
    ...Object.entries(GROWING).map(([what, yaml]) => whole(card(yaml), what)),
    whole(card(`a: ${'['.repeat(100_000)}`), '100,000 levels'),
    whole(card(`a: ${'{a: '.repeat(20_000)}`), '20,000 maps'),
    whole(card(`${'- '.repeat(20_000)}a`), '20,000 lists'),
    whole(card(`a: "${'x'.repeat(3_000_000)}"`), 'a text of 3 million characters'),
    whole(card(Array.from({ length: 20_000 }, (_, i) => `k${i}: ${i}`).join('\n')), '20,000 keys'),
    whole(card(Array.from({ length: 20_000 }, () => 'a: 1').join('\n')), 'a key 20,000 times'),
    ...[
      `${'**/'.repeat(40)}x`,
      `${'*a'.repeat(40)}b`,
      `${'{a,b}'.repeat(9)}${'x'.repeat(900_000)}`,
      `${'*a'.repeat(2000)}b`,
      '[z-a]',
      '[',
      '[]',
      '{',
      '../*.csv',
      '/etc/*',
      'data/train-*.csv\0',
      '..\\..\\x.csv',
      'x'.repeat(100_000),
    ].map(withPath),
    whole(card('configs:\n- data_dir: ../../etc\n'), 'a folder elsewhere'),
    whole(
      card('dataset_info:\n  features:\n  - name: __proto__\n    dtype:\n      class_label:\n        names: [a, b]\n'),
      'a prototype',
    ),
  ],
  async prepare(directory) {
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(directory, 'data/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b/c/d'), {
      recursive: true,
    });
    await writeFile(join(directory, 'data/train-0.csv'), 'text,label\na,0\nb,1\n');
    await writeFile(join(directory, 'data/test.csv'), 'text,label\nc,1\n');
    await writeFile(
      join(directory, 'data/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b/c/d/e.csv'),
      'text,label\nc,1\n',
    );
  },
  generate(random) {
    const kind = random.next();
    if (kind < 0.6) {
      const { text, what } = DOCUMENT.mutated(random);
      return whole(card(text), what);
    }
    const { bytes, what } = damage(Buffer.from(card(YAML)), random);
    return whole(bytes, what);
  },
  read: (directory) => readRows(directory),
  // Several configurations without a default one are the caller's to choose from.
  codes: [...CODES, 'INVALID_OPTION'],
};
