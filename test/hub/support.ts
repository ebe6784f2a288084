import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeTinyCheckpoint } from '../lib/tiny-model.js';
import { FakeHub, type FakeRepository } from './fake-hub.js';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';
export const OTHER_COMMIT = 'fedcba9876543210fedcba9876543210fedcba98';

/** Variables that decide how the hub is used. None of the machine's may reach a test. */
const VARIABLES = [
  'HF_HOME',
  'HF_HUB_CACHE',
  'HUGGINGFACE_HUB_CACHE',
  'XDG_CACHE_HOME',
  'HF_TOKEN',
  'HUGGING_FACE_HUB_TOKEN',
  'HF_TOKEN_PATH',
  'HF_ENDPOINT',
  'HF_HUB_OFFLINE',
  'TRANSFORMERS_OFFLINE',
  'HF_HUB_ETAG_TIMEOUT',
  'HF_HUB_DOWNLOAD_TIMEOUT',
  'HF_HUB_DISABLE_SYMLINKS',
  'HF_HUB_DISABLE_IMPLICIT_TOKEN',
];

/** Gives each test of a suite an environment of its own; `set` changes it. */
export function useEnvironment(): (values: Readonly<Record<string, string | undefined>>) => void {
  let before: Record<string, string | undefined> = {};
  beforeEach(() => {
    before = Object.fromEntries(VARIABLES.map((name) => [name, process.env[name]]));
    for (const name of VARIABLES) delete process.env[name];
  });
  const set = (values: Readonly<Record<string, string | undefined>>) => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  afterEach(() => set(before));
  return set;
}

/** Stops the hubs of a test after it. */
export function useFakeHubs(): (...repositories: FakeRepository[]) => Promise<FakeHub> {
  const hubs: FakeHub[] = [];
  afterEach(async () => {
    for (const hub of hubs.splice(0)) await hub.stop();
  });
  return async (...repositories) => {
    const hub = await FakeHub.start(...repositories);
    hubs.push(hub);
    return hub;
  };
}

/** Text files that pass for a model as long as nobody loads it; the weights come from the other host. */
export function paperModel(changes: Partial<FakeRepository> = {}): FakeRepository {
  return {
    kind: 'model',
    name: 'org/paper',
    commit: COMMIT,
    files: {
      'README.md': '# card\n',
      'config.json': '{"model_type":"bert"}',
      'model.safetensors': Buffer.alloc(300_000, 'weights '),
      'pytorch_model.bin': 'a pickle',
      'tokenizer.json': '{}',
      'vocab.txt': '[PAD]\n',
    },
    large: ['model.safetensors', 'pytorch_model.bin'],
    ...changes,
  };
}

/** A model of random weights that loads. */
export async function tinyModel(folder: string, name = 'org/tiny'): Promise<FakeRepository> {
  await writeTinyCheckpoint(folder);
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json', 'vocab.txt'];
  const files = Object.fromEntries(
    await Promise.all(names.map(async (each) => [each, await readFile(join(folder, each))] as const)),
  );
  return { kind: 'model', name, commit: COMMIT, files, large: ['model.safetensors'] };
}
