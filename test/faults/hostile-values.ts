import { createContext, runInContext } from 'node:vm';

/** What a caller's own getters and proxies throw: it may come through as it is. */
export class OwnError extends Error {}

/** What is passed as an argument, made anew for each call. */
export interface HostileValue {
  name: string;
  make: () => unknown;
}

const own = (): never => {
  throw new OwnError('a getter of the caller');
};
const realm = createContext({});
const inRealm = (code: string) => () => runInContext(code, realm);

function throwingProxy(target: object): unknown {
  const traps = ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf', 'apply', 'construct'] as const;
  return new Proxy(target, Object.fromEntries(traps.map((trap) => [trap, own])));
}

function revokedProxy(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

function detached(): Int32Array {
  const array = Int32Array.of(0, 1, 2);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

/** Node 20 knows resizable buffers; TypeScript's library of this target does not. */
export function resizable(bytes: number, most: number): ArrayBuffer & { resize(bytes: number): void } {
  const Resizable = ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => never;
  return new Resizable(bytes, { maxByteLength: most });
}

function outOfBounds(): Int32Array {
  const buffer = resizable(12, 24);
  const array = new Int32Array(buffer, 4, 2);
  buffer.resize(4);
  return array;
}

/** An array that is shorter once its first element was read, and says something else the second time. */
function changing(): unknown[] {
  const array: unknown[] = ['a', 'b', 'c'];
  let reads = 0;
  Object.defineProperty(array, 0, {
    get: () => {
      array.length = 1;
      return reads++ === 0 ? 'a' : 7;
    },
  });
  return array;
}

function circular(): unknown {
  const object: Record<string, unknown> = {};
  object.self = object;
  return object;
}

function deep(): unknown {
  let array: unknown[] = [];
  for (let level = 0; level < 20_000; level++) array = [array];
  return array;
}

class Instance {
  readonly kind = 'lora';
  private readonly length = 2 ** 53;
  get text() {
    return this.length;
  }
}

const PLAIN: [string, unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['true', true],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  ['-0', -0],
  ['-1', -1],
  ['0.5', 0.5],
  ['2^31', 2 ** 31],
  ['2^53', 2 ** 53],
  ['1e308', 1e308],
  ['5e-324', 5e-324],
  ['1n', 1n],
  ["''", ''],
  ['a NUL', '\0'],
  ['a lone surrogate', '\ud800'],
  ["'__proto__'", '__proto__'],
  ["'constructor'", 'constructor'],
  ['a million characters', 'a'.repeat(2 ** 20)],
  ['a symbol', Symbol('x')],
  ['Symbol.iterator', Symbol.iterator],
];

/** Everything that a program may pass by mistake or on purpose. */
export const HOSTILE_VALUES: readonly HostileValue[] = [
  ...PLAIN.map(([name, value]) => ({ name, make: () => value })),
  { name: 'a function', make: () => () => 'x' },
  {
    name: 'a function whose name is a symbol',
    make: () => Object.defineProperty(() => 1, 'name', { value: Symbol() }),
  },
  { name: 'a class', make: () => class {} },
  { name: 'a throwing proxy', make: () => throwingProxy({}) },
  { name: 'a throwing proxy of an array', make: () => throwingProxy([1]) },
  { name: 'a throwing proxy of a function', make: () => throwingProxy(() => 1) },
  { name: 'a revoked proxy', make: () => revokedProxy({}) },
  { name: 'a revoked proxy of an array', make: () => revokedProxy([]) },
  { name: 'a throwing toJSON', make: () => ({ toJSON: own }) },
  { name: 'a throwing toString', make: () => ({ toString: own, valueOf: own, [Symbol.toPrimitive]: own }) },
  { name: 'a throwing toStringTag', make: () => Object.defineProperty({}, Symbol.toStringTag, { get: own }) },
  { name: 'a throwing length', make: () => Object.defineProperty({}, 'length', { get: own, enumerable: true }) },
  { name: 'a length of 2^53', make: () => ({ length: 2 ** 53 }) },
  { name: 'a length of -1', make: () => ({ length: -1 }) },
  { name: 'an empty array', make: () => [] },
  { name: 'holes', make: () => new Array(3) },
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is passed.
  { name: 'a hole after a text', make: () => ['a', , 'b'] },
  { name: 'an empty array of 2^32 - 1', make: () => new Array(2 ** 32 - 1) },
  { name: 'an array with properties', make: () => Object.assign(['a'], { extra: 1, '-1': 2 }) },
  { name: 'a throwing element', make: () => Object.defineProperty(['a', 'b'], 1, { get: own }) },
  { name: 'a changing array', make: changing },
  { name: 'a throwing iterator', make: () => Object.assign([1, 2, 3], { [Symbol.iterator]: own }) },
  { name: 'an array of no numbers', make: () => [Number.NaN, -1, 0.5] },
  { name: 'an array of symbols', make: () => [Symbol('a'), Symbol('b')] },
  { name: 'an array of arrays', make: () => [['a'], ['b', 'c', 'd'], []] },
  { name: 'deep arrays', make: deep },
  { name: 'a circular object', make: circular },
  { name: 'an empty object', make: () => ({}) },
  { name: 'a frozen object', make: () => Object.freeze({}) },
  { name: 'an object without a prototype', make: () => Object.create(null) },
  { name: 'a __proto__ key', make: () => JSON.parse('{"__proto__": {"labels": 1}}') },
  { name: 'a key of a million characters', make: () => ({ ['k'.repeat(2 ** 20)]: 1 }) },
  { name: 'a class instance', make: () => new Instance() },
  { name: 'a Date', make: () => new Date(Number.NaN) },
  { name: 'a RegExp', make: () => /;/ },
  { name: 'a Map', make: () => new Map([['rank', 4]]) },
  { name: 'a Set', make: () => new Set(['a']) },
  { name: 'a promise', make: () => Promise.resolve({}) },
  { name: 'an Error', make: () => new Error('x') },
  { name: 'a boxed string', make: () => new String('a') },
  { name: 'an ArrayBuffer', make: () => new ArrayBuffer(8) },
  { name: 'a DataView', make: () => new DataView(new ArrayBuffer(8)) },
  { name: 'a Float32Array', make: () => Float32Array.of(Number.NaN, 1) },
  { name: 'a BigInt64Array', make: () => BigInt64Array.of(1n) },
  { name: 'a large Uint8Array', make: () => new Uint8Array(2 ** 20) },
  { name: 'a detached Int32Array', make: detached },
  { name: 'an Int32Array out of bounds', make: outOfBounds },
  { name: 'a shared Int32Array', make: () => new Int32Array(new SharedArrayBuffer(12)) },
  { name: 'a resizable Int32Array', make: () => new Int32Array(resizable(12, 24)) },
  { name: "another realm's array", make: inRealm('[1, 2]') },
  { name: "another realm's object", make: inRealm('({})') },
  { name: "another realm's Int32Array", make: inRealm('Int32Array.of(9, 9)') },
  { name: 'a forged AbortSignal', make: () => Object.create(AbortSignal.prototype) },
];
