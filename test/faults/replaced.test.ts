import { execFileSync } from 'node:child_process';
import { mkdir, open, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import { loadDataset } from '../../lib/data/dataset.js';
import { BertuneError } from '../../lib/errors.js';
import { readBytes, withFile } from '../../lib/files/input.js';
import { readConfig } from '../../lib/formats/checkpoint/config.js';
import { readSafetensors } from '../../lib/formats/safetensors.js';
import { readAdapter } from '../../lib/methods/adapter/files.js';
import { readResults } from '../../lib/report/results.js';
import { Tokenizer } from '../../lib/tokenizer/index.js';
import { expectRefusal, useTemporaryDirectory } from '../lib/files.js';
import { CONFIG, safetensorsBytes, TOKENIZER, tensor } from './fuzz/seeds.js';
import { note, scaled } from './scale.js';

/** What users read, by the file that is replaced. */
const READERS: Readonly<Record<string, (folder: string) => Promise<unknown>>> = {
  'config.json': readConfig,
  'tokenizer.json': (folder) => Tokenizer.load(folder),
  'tokenizer_config.json': (folder) => Tokenizer.load(folder),
  'vocab.txt': (folder) => Tokenizer.load(folder),
  'adapter_config.json': readAdapter,
  'model.safetensors': (folder) => readSafetensors(`${folder}/model.safetensors`),
  'results.json': (folder) => readResults(`${folder}/results.json`),
  'README.md': (folder) => loadDataset(folder),
  'train.csv': (folder) => loadDataset(folder),
  'train.csv.gz': (folder) => loadDataset(`${folder}/train.csv.gz`),
  'train.jsonl': (folder) => loadDataset(`${folder}/train.jsonl`),
  'train.json': (folder) => loadDataset(`${folder}/train.json`),
  'train.parquet': (folder) => loadDataset(`${folder}/train.parquet`),
};

/** What may stand where a file should. */
const THINGS: Readonly<Record<string, (path: string) => Promise<unknown> | unknown>> = {
  'a pipe that nobody writes to': (path) => execFileSync('mkfifo', [path]),
  'a directory': (path) => mkdir(path),
  '/dev/zero': (path) => symlink('/dev/zero', path),
  '/dev/random': (path) => symlink('/dev/urandom', path),
  'a link to itself': (path) => symlink(path, path),
};

const CODES = ['CHECKPOINT_INVALID', 'INVALID_DATA', 'NOT_FOUND'];

describe('faults: files that are replaced', function () {
  if (process.platform === 'win32') return;
  this.timeout(120_000);
  const directory = useTemporaryDirectory();

  for (const [thing, make] of Object.entries(THINGS)) {
    it(`refuses ${thing} in the place of each file, at once`, async () => {
      for (const [name, read] of Object.entries(READERS)) {
        const folder = directory.path(name);
        await mkdir(folder);
        if (name === 'tokenizer_config.json') await writeFile(`${folder}/tokenizer.json`, JSON.stringify(TOKENIZER));
        if (name === 'README.md') await writeFile(`${folder}/train.csv`, 'text,label\na,b\n');
        await make(`${folder}/${name}`);
        const error = await Promise.race([
          read(folder).then(
            () => new Error('it was read'),
            (cause) => cause,
          ),
          new Promise((resolve) => setTimeout(resolve, 20_000, new Error('it waits')).unref()),
        ]);
        expect(error, `${name}: ${error}`).to.be.instanceOf(BertuneError);
        expect(CODES, `${name}: ${error}`).to.include((error as BertuneError).code);
        expect((error as Error).message).to.include(folder);
      }
    });
  }

  it('refuses a file that becomes shorter between its size and its bytes', async () => {
    const path = directory.path('model.safetensors');
    await writeFile(path, safetensorsBytes(new Map([['a', tensor(64, 64)]])));
    const read = withFile(path, async (file, size) => {
      await truncate(path, 100);
      const { readFully } = await import('../../lib/files/input.js');
      await readFully(file, new Uint8Array(size), 0, path);
    });
    await expectRefusal(read, 'CHECKPOINT_INVALID', 'but it ends after 100', path);
    const data = directory.path('data.jsonl');
    await writeFile(data, '{"text":"a","label":"b"}\n'.repeat(20_000));
    const controller = new AbortController();
    let reads = 0;
    const signal = new Proxy(controller.signal, {
      get(target, key) {
        // Looked at for every piece: half-way, all but a few rows are gone.
        if (key === 'aborted' && ++reads === 12) execFileSync('truncate', ['-s', '70000', data]);
        return Reflect.get(target, key, target);
      },
    });
    await expectRefusal(loadDataset(data, { signal }), 'INVALID_DATA', data);
    expect(reads).to.be.greaterThan(11);
  });

  it('reads what a file was or what it is, or refuses it, while another process writes it over and over', async () => {
    const path = directory.path('config.json');
    const [first, second] = [64, 128].map((size) =>
      JSON.stringify({ ...CONFIG, max_position_embeddings: size }, null, size / 16),
    );
    let stopped = false;
    const writer = (async () => {
      for (let i = 0; !stopped; i++) {
        if (i % 7 === 6) {
          await rm(path, { force: true });
          await mkdir(path);
          await rm(path, { recursive: true });
        } else if (i % 5 === 4) {
          execFileSync('mkfifo', [path]);
          await rm(path);
        } else {
          const file = await open(path, 'w');
          await file.write((i % 2 === 0 ? first : second)!);
          await file.close();
        }
        if (i % 7 !== 6 && i % 5 !== 3) continue;
        await rm(path, { force: true, recursive: true });
      }
    })();
    const times = scaled(200, 5000);
    let read = 0;
    for (let i = 0; i < times; i++) {
      const config = await readConfig(directory.path()).catch((error) => error);
      if (config instanceof Error) expect(CODES, String(config)).to.include((config as BertuneError).code);
      else {
        expect([64, 128]).to.include(config.maxPositions);
        read++;
      }
    }
    stopped = true;
    await writer;
    note('replaced files: reads beside a writer, of which sound', `${times}, ${read}`);
  });

  it('refuses a file that is too large before it takes memory for it', async () => {
    const path = directory.path('config.json');
    await writeFile(path, '');
    await truncate(path, 2 ** 40);
    const before = process.memoryUsage().arrayBuffers;
    await expectRefusal(readConfig(directory.path()), 'CHECKPOINT_INVALID', path);
    await expectRefusal(readBytes(path, 1000), 'CHECKPOINT_INVALID', path);
    await truncate(path, 0);
    await writeFile(directory.path('model.safetensors'), '');
    await truncate(directory.path('model.safetensors'), 2 ** 40);
    await expectRefusal(readSafetensors(directory.path('model.safetensors')), 'CHECKPOINT_INVALID');
    expect(process.memoryUsage().arrayBuffers - before).to.be.lessThan(2 ** 24);
  });
});
