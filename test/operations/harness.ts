import { expect } from 'chai';
import type { NativeDeviceInfo, NativePrecision } from '../../lib/native/index.js';
import { devices } from '../devices.js';
import { loadOperations } from './addon.js';
import { type DropoutSettings, exact, type Round, rounding } from './reference.js';

/*
 * The proofs that every operation of native/core/backend.h goes through, on every device of this machine:
 *
 *   values      the operation against its formula: in double to rounding, in a narrower precision with at most twice
 *               the error of the formula run naively in that precision; the same bits when run again
 *   gradients   backward against finite differences of forward, in double
 *
 * Arrays are doubles throughout; the addon converts them to the device's scalars and back.
 */

export type Tensors = Record<string, Float64Array | Int32Array>;
export type Sizes = Record<string, number>;

export interface Where {
  device: NativeDeviceInfo['device'];
  precision: NativePrecision;
  threads: number;
}

/** Arguments of one call, as the addon takes them. */
export interface Case {
  title: string;
  tensors: Tensors;
  sizes: Sizes;
}

/** A case, as formulas read it. */
export class Arguments {
  constructor(
    readonly tensors: Tensors,
    readonly sizes: Sizes,
  ) {}

  has(name: string): boolean {
    return this.tensors[name] !== undefined;
  }

  floats(name: string): Float64Array {
    const array = this.tensors[name];
    if (!(array instanceof Float64Array)) throw new Error(`The case has no array ${name}`);
    return array;
  }

  ints(name: string): Int32Array {
    const array = this.tensors[name];
    if (!(array instanceof Int32Array)) throw new Error(`The case has no index array ${name}`);
    return array;
  }

  /** What the output holds before the call, or `count` zeros where the case does not ask for it. */
  output(name: string, count: number): Float64Array {
    return this.has(name) ? this.floats(name).slice() : new Float64Array(count);
  }

  size(name: string, otherwise?: number): number {
    const value = this.sizes[name] ?? otherwise;
    if (value === undefined) throw new Error(`The case has no size ${name}`);
    return value;
  }

  get dropout(): DropoutSettings {
    return {
      p: this.size('dropout_p', 0),
      site: this.size('dropout_site', 0),
      seed: this.size('seed', 0),
      step: this.size('dropout_step', 0),
    };
  }
}

/** A formula: the outputs of a call, computed in the format that `round` stands for. */
export type Formula = (args: Arguments, round: Round) => Tensors;

export interface Operation {
  name: string;
  formula: Formula;
}

/** Reproducible numbers. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** Uniform in [0, 1) (mulberry32). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** `count` values of N(0, scale²). */
  normal(count: number, scale = 1): Float64Array {
    return Float64Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - this.next()));
      return scale * radius * Math.cos(2 * Math.PI * this.next());
    });
  }

  /** `count` integers in [0, end). */
  integers(count: number, end: number): Int32Array {
    return Int32Array.from({ length: count }, () => Math.floor(this.next() * end));
  }
}

/** Starts of sequences of the given lengths. */
export function starts(lengths: readonly number[]): Int32Array {
  const offsets = new Int32Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) offsets[i + 1] = offsets[i]! + length;
  return offsets;
}

/** An array that a call has to overwrite: a value left in it fails every comparison. */
export function garbage(count: number): Float64Array {
  return new Float64Array(count).fill(7777.5);
}

/** The array one element into a buffer, where no vector of it is aligned. */
export function unaligned(array: Float64Array): Float64Array {
  const view = new Float64Array(new ArrayBuffer(8 * (array.length + 1)), 8);
  view.set(array);
  return view;
}

/** A case for each array of `names`, which alone is not aligned. */
export function unalignedCases(item: Case, names: readonly string[]): Case[] {
  return names.map((name) => ({
    ...item,
    title: `${item.title}, ${name} not aligned`,
    tensors: { ...item.tensors, [name]: unaligned(item.tensors[name] as Float64Array) },
  }));
}

/** Copies arrays; views of one buffer stay views of one buffer. */
export function copyTensors(tensors: Tensors, convert: Round = exact): Tensors {
  const buffers = new Map<ArrayBufferLike, ArrayBuffer>();
  const copies: Tensors = {};
  for (const [name, array] of Object.entries(tensors)) {
    const shared = buffers.get(array.buffer) ?? new Uint8Array(new Uint8Array(array.buffer)).buffer;
    buffers.set(array.buffer, shared);
    if (array instanceof Int32Array) {
      copies[name] = new Int32Array(shared, array.byteOffset, array.length);
    } else {
      const copy = new Float64Array(shared, array.byteOffset, array.length);
      for (let i = 0; i < copy.length; i++) copy[i] = convert(copy[i]!);
      copies[name] = copy;
    }
  }
  return copies;
}

/** Runs an operation on copies of the arrays. @returns the arrays after it */
export async function run(name: string, where: Where, tensors: Tensors, sizes: Sizes): Promise<Tensors> {
  const copies = copyTensors(tensors);
  await loadOperations().runOperation(name, where, copies, sizes, 1);
  return copies;
}

export { devices };

/** The thread counts that operations are proved on. */
function threadCounts(device: NativeDeviceInfo): number[] {
  return device.device === 'cpu' ? [1, 2, 3] : [1];
}

/**
 * Products alone are another computation in tf32 and, on the CPU, in bf16: nothing else is repeated in them by the slow
 * emulator and by the CPU. int8 has proofs of its own, in products.test.ts.
 */
function precisionsOf(device: NativeDeviceInfo, operation: string): NativePrecision[] {
  const alike = { cpu: ['bf16'], cuda: [], 'cuda-emulated': ['tf32'] }[device.device as string] ?? [];
  const skipped = operation.startsWith('linear_') ? ['int8'] : ['int8', ...alike];
  return device.precisions.filter((precision) => !skipped.includes(precision));
}

/** Every precision and thread count of a device that operations are proved on. */
export function places(device: NativeDeviceInfo): Where[] {
  return precisionsOf(device, 'any').flatMap((precision) =>
    threadCounts(device).map((threads) => ({ device: device.device, precision, threads })),
  );
}

function rootMeanSquare(count: number, value: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += value(i) ** 2;
  return Math.sqrt(sum / Math.max(count, 1));
}

function largest(values: Float64Array | Int32Array): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** Same bits, NaN included. */
export function expectSameBits(found: Tensors, expected: Tensors, what: string): void {
  for (const [name, array] of Object.entries(expected)) {
    const same = Buffer.compare(
      Buffer.from(array.buffer, array.byteOffset, array.byteLength),
      Buffer.from(found[name]!.buffer, found[name]!.byteOffset, found[name]!.byteLength),
    );
    expect(same, `${name} differs in its bits: ${what}`).to.equal(0);
  }
}

/** Largest difference at most `tolerance` of the largest expected magnitude. */
export function expectClose(
  found: Float64Array | Int32Array,
  expected: Float64Array | Int32Array,
  tolerance: number,
  what: string,
): void {
  expect(found.length, `length of ${what}`).to.equal(expected.length);
  const scale = largest(expected) || 1;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(found[i]! - expected[i]!);
    if (!(error <= tolerance * scale)) {
      expect.fail(`${what}[${i}]: expected ${expected[i]} but found ${found[i]} (tolerance ${tolerance * scale})`);
    }
  }
}

/**
 * Root mean square error at most twice the naive run's, and the rounding of the result itself. The naive error of a few
 * elements is a matter of luck, so these may be off by two units in the last place.
 */
function expectAsGoodAsNaive(
  found: Float64Array,
  expected: Float64Array,
  naive: Float64Array,
  round: Round,
  what: string,
): void {
  const error = rootMeanSquare(expected.length, (i) => found[i]! - expected[i]!);
  const naiveError = rootMeanSquare(expected.length, (i) => naive[i]! - expected[i]!);
  const units = expected.length < 16 ? 4 : 1;
  const floor = units * machineEpsilon(round) * rootMeanSquare(expected.length, (i) => expected[i]!);
  expect(error, `error of ${what}; a naive run has ${naiveError}`).to.be.at.most(2 * naiveError + floor);
}

/** Half the distance from 1 to the next number of the format. */
function machineEpsilon(round: Round): number {
  let epsilon = 1;
  while (round(1 + epsilon) > 1) epsilon /= 2;
  return epsilon;
}

/** What a case is in a precision, and what the formula gives for it: exactly, and run naively in that precision. */
interface Reference {
  inputs: Tensors;
  expected: Tensors;
  naive: Tensors;
}

/** The references of one case, which its devices share. */
let references: { operation?: Operation; item?: Case; of: Map<NativePrecision, Reference> } = { of: new Map() };

function referenceOf(operation: Operation, item: Case, precision: NativePrecision): Reference {
  if (references.operation !== operation || references.item !== item) references = { operation, item, of: new Map() };
  const known = references.of.get(precision);
  if (known) return known;
  const round = rounding[precision]!;
  const inputs = copyTensors(item.tensors, round);
  const args = new Arguments(inputs, item.sizes);
  const expected = operation.formula(args, exact);
  const reference = { inputs, expected, naive: precision === 'fp64' ? expected : operation.formula(args, round) };
  references.of.set(precision, reference);
  return reference;
}

/** Declares the tests that hold an operation against its formula, and against itself run again. */
export function proveValues(operation: Operation, cases: readonly Case[]): void {
  describe(operation.name, () => {
    for (const item of cases) {
      for (const device of devices()) {
        it(`${item.title}, on ${device.device}`, async () => {
          for (const precision of precisionsOf(device, operation.name)) {
            await proveCase(operation, item, device, precision);
          }
        });
      }
    }
  });
}

async function proveCase(
  operation: Operation,
  item: Case,
  device: NativeDeviceInfo,
  precision: NativePrecision,
): Promise<void> {
  const round = rounding[precision]!;
  const { inputs, expected, naive } = referenceOf(operation, item, precision);
  for (const threads of threadCounts(device)) {
    const where = { device: device.device, precision, threads };
    const found = await run(operation.name, where, inputs, item.sizes);
    for (const [name, values] of Object.entries(expected)) {
      const output = found[name];
      if (!output) continue;
      const what = `${name} of ${operation.name} in ${precision} on ${threads} threads`;
      if (values instanceof Int32Array) {
        expect(Array.from(output), what).to.deep.equal(Array.from(values));
      } else if (precision === 'fp64') {
        expectClose(output, values, 1e-11, what);
      } else {
        expectAsGoodAsNaive(output as Float64Array, values, naive[name] as Float64Array, round, what);
      }
    }
    const again = await run(operation.name, where, inputs, item.sizes);
    expectSameBits(again, found, `${operation.name} run again on ${threads} threads`);
  }
}

export interface Gradients {
  forward: string;
  backward: string;
  /** Output of forward → the gradient that backward takes of it; null: it is the loss itself. */
  outputs: Record<string, string | null>;
  /** Gradient that backward gives → the input of forward that it belongs to. */
  inputs: Record<string, string>;
  /** Arrays and sizes of backward, beside the gradients of the outputs: of the case and what forward left in it. */
  backwardCase(after: Arguments): { tensors: Tensors; sizes: Sizes };
}

/**
 * Declares the tests that hold backward against central differences of forward in double: of a random linear function
 * of the outputs, by single elements of each input and along random directions.
 */
export function proveGradients(gradients: Gradients, cases: readonly Case[]): void {
  for (const device of devices().filter((item) => item.precisions.includes('fp64'))) {
    describe(`${gradients.backward} on ${device.device} is the derivative of ${gradients.forward}`, () => {
      for (const item of cases) {
        it(item.title, () => differentiate(gradients, item, { device: device.device, precision: 'fp64', threads: 2 }));
      }
    });
  }
}

/** Single elements that are tried of an input; smaller ones are tried whole. */
const ELEMENTS = 40;
const DIRECTIONS = 3;
const STEP = 1e-4;

async function differentiate(gradients: Gradients, item: Case, where: Where): Promise<void> {
  const random = new Random(99);
  const after = await run(gradients.forward, where, item.tensors, item.sizes);
  const weights = new Map<string, Float64Array>();
  const douts: Tensors = {};
  for (const [output, name] of Object.entries(gradients.outputs)) {
    const weight = name ? random.normal(after[output]!.length) : Float64Array.of(1);
    weights.set(output, weight);
    if (name) douts[name] = weight;
  }
  const loss = async (tensors: Tensors): Promise<number> => {
    const out = await run(gradients.forward, where, tensors, item.sizes);
    let sum = 0;
    for (const [output, weight] of weights) {
      for (const [i, part] of weight.entries()) sum += part * out[output]![i]!;
    }
    return sum;
  };
  const backward = gradients.backwardCase(new Arguments({ ...item.tensors, ...after }, item.sizes));
  const found = await run(gradients.backward, where, { ...backward.tensors, ...douts }, backward.sizes);

  for (const [gradient, input] of Object.entries(gradients.inputs)) {
    if (!found[gradient]) continue;
    const values = found[gradient] as Float64Array;
    const scale = Math.max(largest(values), 1e-3);
    for (const { title, direction } of probes(values.length, random)) {
      const moved = async (sign: number): Promise<number> => {
        const tensors = copyTensors(item.tensors);
        for (const [i, part] of direction) tensors[input]![i] = tensors[input]![i]! + sign * STEP * part;
        return loss(tensors);
      };
      const slope = ((await moved(1)) - (await moved(-1))) / (2 * STEP);
      let expected = 0;
      for (const [i, part] of direction) expected += part * values[i]!;
      const tolerance = 1e-7 * scale * Math.sqrt(direction.length);
      expect(Math.abs(slope - expected), `${gradient} ${title}: slope ${slope}, found ${expected}`).to.be.at.most(
        tolerance,
      );
    }
  }
}

interface Probe {
  title: string;
  direction: [number, number][];
}

function probes(count: number, random: Random): Probe[] {
  const elements = count <= ELEMENTS ? [...new Array(count).keys()] : Array.from(random.integers(ELEMENTS, count));
  const single = elements.map((i): Probe => ({ title: `at ${i}`, direction: [[i, 1]] }));
  const along = Array.from({ length: DIRECTIONS }, (_, d): Probe => {
    const parts = random.normal(count);
    return { title: `along direction ${d}`, direction: Array.from(parts, (part, i): [number, number] => [i, part]) };
  });
  return [...single, ...along];
}
