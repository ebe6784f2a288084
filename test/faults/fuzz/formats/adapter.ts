import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BertuneError } from '../../../../lib/errors.js';
import { parseConfig } from '../../../../lib/formats/checkpoint/config.js';
import { fitAdapter, readAdapter } from '../../../../lib/methods/adapter/files.js';
import { loraFormat } from '../../../../lib/methods/lora.js';
import { prefixFormat } from '../../../../lib/methods/prefix.js';
import { damage } from '../bytes.js';
import { cuts, type Format, type Input, sound } from '../format.js';
import { JsonDocument } from '../json.js';
import { CODES, CONFIG, SIZES, safetensorsBytes, tensor } from '../seeds.js';

const NAME = 'adapter_config.json';
const WEIGHTS = 'adapter_model.safetensors';
const BASE = parseConfig(CONFIG);
const { hidden: C, layers: L } = SIZES;
const HEAD: [string, ReturnType<typeof tensor>][] = [
  ['classifier.weight', tensor(3, C)],
  ['classifier.bias', tensor(3)],
];
const QUERY = 'bert.encoder.layer.0.attention.self.query';
const LORA = loraFormat.format({
  kind: 'lora',
  rank: 2,
  alpha: 4,
  dropout: 0.1,
  targetModules: ['query'],
  baseModel: 'bert-mini',
  labels: ['no', 'maybe', 'yes'],
  tensors: new Map([...HEAD, [`${QUERY}.lora_A.weight`, tensor(2, C)], [`${QUERY}.lora_B.weight`, tensor(C, 2)]]),
});
const PREFIX = prefixFormat.format({
  kind: 'prefix',
  virtualTokens: 2,
  projection: false,
  layers: L,
  heads: 2,
  hiddenSize: C,
  baseModel: 'bert-mini',
  labels: ['no', 'maybe', 'yes'],
  promptEmbeddings: tensor(2, 2 * L * C),
  tensors: new Map(HEAD),
});
const KINDS = [LORA, PREFIX].map(({ settings, file }) => ({
  text: JSON.stringify(settings),
  document: new JsonDocument(settings),
  bytes: safetensorsBytes(file.tensors, file.metadata),
}));

const withTargets = (targets: unknown): Input => ({
  files: { [NAME]: JSON.stringify({ ...LORA.settings, target_modules: targets }), [WEIGHTS]: KINDS[0]!.bytes },
  what: `target_modules ${JSON.stringify(targets).slice(0, 60)}`,
});

export const format: Format = {
  fixed: [
    ...KINDS.flatMap(({ text, bytes }) => [
      ...cuts(NAME, Buffer.from(text)).map((cut) => ({ ...cut, files: { ...cut.files, [WEIGHTS]: bytes } })),
      ...cuts(WEIGHTS, bytes).map((cut) => ({ ...cut, files: { ...cut.files, [NAME]: text } })),
    ]),
    ...['(a+)+$', '(.*)*b', '((\\w+)\\.?)*!', '[', '(?<=x', '\\u{110000}', 'x'.repeat(1e6)].map(withTargets),
    withTargets(Array.from({ length: 50_000 }, (_, i) => `m${i}`)),
    {
      files: { [NAME]: `{"peft_type":${'['.repeat(1e5)}${']'.repeat(1e5)}}`, [WEIGHTS]: KINDS[0]!.bytes },
      what: 'deep',
    },
  ],
  async prepare(directory) {
    await writeFile(join(directory, 'README.md'), 'an adapter');
  },
  generate(random) {
    const { text, document, bytes } = random.pick(KINDS);
    const files: Record<string, string | Uint8Array> = { [NAME]: text, [WEIGHTS]: bytes };
    const kind = random.next();
    if (kind < 0.6) {
      const mutated = document.mutated(random);
      files[NAME] = mutated.text;
      return { files, what: mutated.what };
    }
    const name = kind < 0.8 ? NAME : WEIGHTS;
    const damaged = damage(Buffer.from(files[name]!), random);
    files[name] = damaged.bytes;
    return { files, what: `${name}: ${damaged.what}` };
  },
  async read(directory) {
    const adapter = await readAdapter(directory);
    if (adapter.kind === 'lora') {
      const { rank, alpha, dropout, tensors } = adapter;
      sound(rank > 0 && Number.isFinite(alpha) && dropout >= 0 && dropout < 1, 'its settings are out of range');
      for (const [name, { shape }] of tensors) {
        const ranks = [rank, ...Object.values(adapter.rankPattern ?? {})];
        if (name.includes('lora_'))
          sound(
            ranks.some((each) => shape.includes(each)),
            `${name} has the shape ${shape}`,
          );
      }
    } else {
      const { virtualTokens, layers, hiddenSize, promptEmbeddings } = adapter;
      sound(
        promptEmbeddings.shape.join() === `${virtualTokens},${2 * layers * hiddenSize}`,
        'its prefix has another shape',
      );
    }
    const classes = adapter.tensors.get('classifier.weight')?.shape[0];
    if (adapter.labels && classes !== undefined) sound(adapter.labels.length === classes, 'labels are not one a class');
    try {
      fitAdapter(adapter, BASE);
    } catch (error) {
      if (!(error instanceof BertuneError)) throw error;
    }
  },
  codes: CODES,
};
