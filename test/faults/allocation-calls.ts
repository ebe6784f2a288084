import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Trainer } from '../../lib/api/trainer.js';
import { full } from '../../lib/methods/index.js';
import type { LoadOptions } from '../../lib/model/classifier.js';
import { TextClassifier } from '../../lib/model/classifier.js';
import { loadNative } from '../../lib/native/index.js';
import { tinySplit } from '../lib/tiny-model.js';

/*
 * The calls of the library that allocations fail in. Each says afterwards what is not as it was: the same call again has to
 * give what an undisturbed one gave.
 */

export interface Call {
  /** Before allocations fail. */
  prepare(): Promise<void>;
  /** While they do. */
  run(): Promise<unknown>;
  /** Afterwards: the faults found. */
  check(): Promise<string[]>;
  /** Gives back what a successful run made. */
  finish(): Promise<void>;
  end(): Promise<void>;
}

interface Where {
  folder: string;
  call: string;
  device: string;
  precision: string;
}

const TEXTS = tinySplit('texts', 9, 5).texts as string[];
const TRAIN = tinySplit('train', 12, 3);
const VALIDATION = tinySplit('validation', 5, 4);
const STEPS = 3;
const OPTIONS = { batchSize: 4, schedule: 'constant', learningRate: 1e-3 } as const;

const digest = (...parts: ArrayBufferView[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  return hash.digest('hex');
};

const logitsOf = async (model: TextClassifier, adapter: string | null = null) =>
  digest((await model.logits(TEXTS, { adapter })).logits);

async function parametersOf(model: TextClassifier): Promise<string> {
  const parts = [];
  for (const { name } of model.parameters()) parts.push(await model.parameter(name));
  return digest(...parts);
}

/** The figures of the model; those of the process change for other reasons. */
const memoryOf = (model: TextClassifier) => JSON.stringify({ ...model.memory(), processPeak: 0 });

const nothing = async () => {};

export async function makeCall(where: Where): Promise<Call> {
  const { folder, call } = where;
  const options = { device: where.device, precision: where.precision, threads: 2 } as unknown as LoadOptions;
  const base = join(folder, 'base');
  const load = () => TextClassifier.load(base, options);
  if (call === 'load') return loadCall(load);
  if (call === 'train') return trainCall(load);
  if (call === 'machine') return machineCall();
  const model = await load();
  const makers = { predict: predictCall, save: saveCall, loadAdapter: adapterCall };
  const made = await makers[call as keyof typeof makers](model, folder);
  return { ...made, end: () => model.dispose() };
}

/** What the addon says of the machine. */
function machineCall(): Call {
  const ask = () => JSON.stringify([loadNative().blas(), loadNative().devices()]);
  const expected = ask();
  return {
    prepare: nothing,
    run: async () => ask(),
    check: async () => (ask() === expected ? [] : ['another machine']),
    finish: nothing,
    end: nothing,
  };
}

type Loaded = Omit<Call, 'end'>;

async function loadCall(load: () => Promise<TextClassifier>): Promise<Call> {
  let model: TextClassifier | undefined;
  const expected = await load().then(async (first) => {
    const result = { logits: await logitsOf(first), memory: memoryOf(first) };
    await first.dispose();
    return result;
  });
  return {
    prepare: nothing,
    run: async () => {
      model = await load();
    },
    async check() {
      await using again = await load();
      const faults = [];
      if ((await logitsOf(again)) !== expected.logits) faults.push('other logits');
      if (memoryOf(again) !== expected.memory) faults.push(`memory ${memoryOf(again)}`);
      return faults;
    },
    async finish() {
      await model?.dispose();
      model = undefined;
    },
    end: nothing,
  };
}

async function trainCall(load: () => Promise<TextClassifier>): Promise<Call> {
  const train = (model: TextClassifier, maxSteps = STEPS) =>
    new Trainer(model, { ...OPTIONS, method: full(), maxSteps }).train(TRAIN, { validation: VALIDATION });
  const initial = new Map<string, Awaited<ReturnType<TextClassifier['parameter']>>>();
  /** The parameters after 0, 1, ... steps, which the rate alone depends on: it is constant. */
  const after: string[] = [];
  for (let steps = 0; steps <= STEPS; steps++) {
    await using model = await load();
    if (steps > 0) await train(model, steps);
    else for (const { name } of model.parameters()) initial.set(name, await model.parameter(name));
    after.push(await parametersOf(model));
  }
  let model: TextClassifier;
  return {
    async prepare() {
      model = await load();
    },
    run: () => train(model),
    async check() {
      const faults: string[] = [];
      if (!after.includes(await parametersOf(model))) faults.push('parameters of no step');
      await logitsOf(model);
      for (const [name, values] of initial) await model.session.write(name, values);
      await train(model);
      if (model.memory().datasets !== 0) faults.push(`${model.memory().datasets} bytes of data sets`);
      if ((await parametersOf(model)) !== after.at(-1)) faults.push('other parameters after training again');
      return faults;
    },
    finish: () => model.dispose(),
    end: nothing,
  };
}

async function predictCall(model: TextClassifier): Promise<Loaded> {
  const expected = await logitsOf(model);
  const memory = memoryOf(model);
  return {
    prepare: nothing,
    run: () => model.predict(TEXTS),
    async check() {
      const faults = [];
      if ((await logitsOf(model)) !== expected) faults.push('other logits');
      if (memoryOf(model) !== memory) faults.push(`memory ${memoryOf(model)}`);
      return faults;
    },
    finish: nothing,
  };
}

async function saveCall(model: TextClassifier, folder: string): Promise<Loaded> {
  const saved = join(folder, 'saved');
  const save = () => model.save(saved, { overwrite: true });
  const content = async () => digest(await readFile(join(saved, 'model.safetensors')));
  await save();
  const expected = await content();
  return {
    prepare: nothing,
    run: save,
    async check() {
      await save();
      return (await content()) === expected ? [] : ['another file'];
    },
    finish: nothing,
  };
}

async function adapterCall(model: TextClassifier, folder: string): Promise<Loaded> {
  const adapter = join(folder, 'adapter');
  await model.loadAdapter('first', adapter);
  // Before a batch mixes them, which takes memory until an adapter comes or goes.
  const memory = model.memory().adapters;
  const expected = await logitsOf(model, 'first');
  return {
    prepare: nothing,
    run: () => model.loadAdapter('second', adapter),
    async check() {
      const faults = [];
      const isThere = model.adapters.some(({ name }) => name === 'second');
      if (!isThere && model.memory().adapters !== memory) faults.push(`${model.memory().adapters} bytes of adapters`);
      await model.loadAdapter('third', adapter);
      for (const name of ['first', 'third']) {
        if ((await logitsOf(model, name)) !== expected) faults.push(`other logits of ${name}`);
      }
      await model.unloadAdapter('third');
      return faults;
    },
    async finish() {
      if (model.adapters.length > 1) await model.unloadAdapter('second');
    },
  };
}
