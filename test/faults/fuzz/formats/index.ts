import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseConfig } from '../../../../lib/formats/checkpoint/config.js';
import { readCheckpoint } from '../../../../lib/formats/checkpoint.js';
import { expectedTensors } from '../../../lib/shapes.js';
import { damage } from '../bytes.js';
import { cuts, type Format, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import { CODES, CONFIG, safetensorsBytes, tensor } from '../seeds.js';

const NAME = 'model.safetensors.index.json';
const SHAPES = expectedTensors(parseConfig(CONFIG));
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
const shardOf = (i: number) => SHARDS[i % 2]!;
const INDEX = {
  metadata: { total_size: 1234 },
  weight_map: Object.fromEntries([...SHAPES.keys()].map((name, i) => [name, shardOf(i)])),
};
const TEXT = JSON.stringify(INDEX);
const DOCUMENT = new JsonDocument(INDEX);
const FOREIGN = [
  '../x.safetensors',
  '/etc/x.safetensors',
  './x.safetensors',
  'a\\..\\x.safetensors',
  'config.json',
  'model.safetensors.index.json',
];

const spelt = (count: number) =>
  Object.fromEntries([...SHAPES.keys()].map((name, i) => [name, `${'./'.repeat(i % count)}${shardOf(i)}`]));

export const format: Format = {
  fixed: [
    ...cuts(NAME, Buffer.from(TEXT)),
    { files: { [NAME]: JSON.stringify({ weight_map: spelt(20) }) }, what: 'one shard under many spellings' },
    {
      files: {
        [NAME]: JSON.stringify({
          weight_map: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`t${i}`, SHARDS[0]])),
        }),
      },
      what: '100,000 tensors in one shard',
    },
    { files: { [NAME]: `{"weight_map":${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}}` }, what: '100,000 levels' },
    ...FOREIGN.map((shard) => ({
      files: { [NAME]: TEXT.replace(SHARDS[0], shard.replaceAll('\\', '\\\\')) },
      what: shard,
    })),
  ],
  async prepare(directory) {
    await writeFile(join(directory, 'config.json'), JSON.stringify(CONFIG));
    for (const shard of SHARDS) {
      const names = [...SHAPES].filter((_, i) => shardOf(i) === shard);
      await writeFile(
        join(directory, shard),
        safetensorsBytes(new Map(names.map(([name, shape]) => [name, tensor(...shape)]))),
      );
    }
  },
  generate(random) {
    if (random.chance(0.7)) {
      const { text, what } = DOCUMENT.mutated(random);
      return { files: { [NAME]: text }, what };
    }
    const { bytes, what } = damage(Buffer.from(TEXT), random);
    return { files: { [NAME]: bytes }, what };
  },
  async read(directory) {
    const { tensors, config, head } = await readCheckpoint(directory);
    for (const [name, shape] of expectedTensors(config)) {
      const found = tensors.get(name);
      if (found === undefined) sound(/^(bert\.pooler|classifier)\./.test(name), `${name} is missing`);
      else sound(found.shape.join() === shape.join(), `${name} has the shape ${found.shape}`);
    }
    sound(head === null || config.labels?.length === 3, 'the head has other labels');
  },
  codes: CODES,
};
