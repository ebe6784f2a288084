import { createHash } from 'node:crypto';
import { BertuneError } from '../../lib/errors.js';
import { loadNative, type NativePrecision, type NativeSession } from '../../lib/native/index.js';
import { addExamples, MODEL, makePlan } from '../model/tiny-session.js';
import { nativeAdapter, nativeConfig, type SessionShape } from '../native/shape.js';
import { startsOf } from '../native/support.js';

/*
 * The calls of one session's life on the emulated device, each with a digest of what it gives, so that a run in which some of
 * them fail can be held against an undisturbed one.
 */

export interface Outcome {
  call: string;
  /** 'none', the code of the BertuneError, or the words of any other error. */
  code: string;
  digest: string;
}

const STEPS = 6;
const WEIGHT = 'bert.encoder.layer.0.output.dense.weight';
const STARTS = startsOf(5, 2);
const ORDER = Int32Array.of(4, 1, 0, 3, 2);
const MODEL_OF_ONE_LAYER = { ...MODEL, layers: 1 };
const EXAMPLES = { ids: Int32Array.of(3, 1, 4, 1, 5, 9), offsets: Int32Array.of(0, 2, 6) };

function digest(value: unknown): string {
  const hash = createHash('sha256');
  const add = (part: unknown) => {
    if (ArrayBuffer.isView(part)) hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    else if (part && typeof part === 'object') for (const inner of Object.values(part)) add(inner);
    else hash.update(`${part},`);
  };
  add(value);
  return hash.digest('hex').slice(0, 16);
}

function configOf(precision: NativePrecision, names: string[]): SessionShape {
  return {
    ...{ device: 'cuda-emulated', precision, threads: 1, model: MODEL_OF_ONE_LAYER, head: 'classifier' },
    ...{ probeDropout: 0, lora: null, prefix: null, trainable: names, decay: [] },
  } as SessionShape;
}

export function createSession(precision: NativePrecision, names: string[]): Promise<NativeSession> {
  return loadNative().createSession(nativeConfig(configOf(precision, names)));
}

/** The names of the model's parameters, which a session on the CPU tells. */
export async function parameterNames(): Promise<string[]> {
  const session = await loadNative().createSession(nativeConfig({ ...configOf('fp32', []), device: 'cpu' }));
  const names = session.parameters().map(({ name }) => name);
  await session.dispose();
  return names;
}

/** An adapter of rank 2 on one module. */
function addAdapter(session: NativeSession): Promise<number> {
  const C = MODEL.hiddenSize;
  const module = 'bert.encoder.layer.0.attention.self.query';
  const tensor = (name: string, count: number) => ({
    name,
    dtype: 'F32' as const,
    bytes: new Uint8Array(Float32Array.from({ length: count }, (_, i) => Math.sin(i)).buffer),
  });
  const shape = { labels: 2, lora: { modules: [module], rank: 2, scaling: 2 }, prefix: null };
  return session.addAdapter(
    ...nativeAdapter(MODEL_OF_ONE_LAYER, shape, [
      tensor(`${module}.lora_A.weight`, 2 * C),
      tensor(`${module}.lora_B.weight`, 2 * C),
      tensor('classifier.weight', 2 * C),
      tensor('classifier.bias', 2),
    ]),
  );
}

/**
 * Makes a session, calls it and disposes of it.
 *
 * @param again whether a call that fails is made a second time, whose outcome comes behind the first
 */
export async function runCalls(precision: NativePrecision, names: string[], again = false): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  async function call<Result>(name: string, work: () => Promise<Result>): Promise<Result | undefined> {
    for (let left = again ? 2 : 1; left > 0; left--) {
      try {
        const result = await work();
        const isSession = name === 'create';
        outcomes.push({ call: name, code: 'none', digest: isSession ? '' : digest(result) });
        return result;
      } catch (error) {
        const code = error instanceof BertuneError ? error.code : `not a BertuneError: ${error}`;
        outcomes.push({ call: name, code, digest: '' });
      }
    }
    return undefined;
  }

  const session = await call('create', () => createSession(precision, names));
  if (!session) return outcomes;
  for (const name of names) {
    const scale = name.endsWith('LayerNorm.weight') ? 1 : 0.3;
    await call('initialize', () => session.initialize(name, { distribution: 'normal', scale, seed: 5 }));
  }
  const dataset = (await call('addDataset', () => addExamples(session))) ?? 1;
  const train = (firstStep: number) =>
    session.train(
      makePlan(dataset, {
        order: Int32Array.from({ length: 2 * STEPS }, (_, i) => (3 * i + Math.floor(i / 5)) % 5),
        batchSize: 2,
        learningRates: new Float64Array(STEPS).fill(1e-3),
        firstStep,
        maxGradNorm: 1,
      }),
    );
  await call('train', () => train(0));
  await call('forward', () => session.forward(dataset, ORDER, STARTS));
  await call('train', () => train(STEPS));
  await call('predict', () => session.predict(EXAMPLES, Int32Array.of(1, 0), startsOf(2)));
  await call('read', () => session.read(WEIGHT, 'value'));
  await call('read', () => session.read(WEIGHT, 'm'));
  const count = MODEL.hiddenSize * MODEL.feedForwardSize;
  const values = new Uint8Array(Float32Array.from({ length: count }, (_, i) => Math.cos(i) / 4).buffer);
  await call('write', () => session.write(WEIGHT, 'value', 'F32', values));
  const adapter = (await call('addAdapter', () => addAdapter(session))) ?? 1;
  const adapters = Int32Array.of(adapter, 0, adapter, 0, 0);
  await call('forwardMixed', () => session.forwardMixed(dataset, ORDER, STARTS, adapters));
  await call('removeAdapter', () => session.removeAdapter(adapter));
  await call('forward', () => session.forward(dataset, ORDER, STARTS));
  await call('gradients', () => session.gradients(makePlan(dataset)));
  await call('removeDataset', () => session.removeDataset(dataset));
  if (again) await call('memory', async () => ({ ...session.memory(), peak: 0, device: 0 }));
  // Outside of `call`: this may not fail.
  await session.dispose();
  return outcomes;
}
