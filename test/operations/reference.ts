/*
 * What the operations are held against: textbook formulas in plain loops, in any precision. A formula rounds after
 * every step, so that one text is both the exact value (doubles) and a naive run in a narrower format.
 */

/** Rounds a double to the format that a formula computes in. */
export type Round = (value: number) => number;

export const exact: Round = (value) => value;

/** Keeps `bits` of a float's 23 fraction bits, rounding to nearest, ties to even. */
function truncated(bits: number): Round {
  const float = new Float32Array(1);
  const word = new Uint32Array(float.buffer);
  const drop = 23 - bits;
  return (value) => {
    float[0] = value;
    if (!Number.isFinite(float[0]!)) return float[0]!;
    const half = (1 << (drop - 1)) - 1 + ((word[0]! >>> drop) & 1);
    word[0] = ((word[0]! + half) >>> drop) << drop;
    return float[0]!;
  };
}

/** The rounding of each precision of a device. */
export const rounding: Record<string, Round> = {
  fp64: exact,
  fp32: Math.fround,
  tf32: truncated(10),
  bf16: truncated(7),
};

/** The high 32 bits of the product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const a1 = a >>> 16;
  const a0 = a & 0xffff;
  const b1 = b >>> 16;
  const b0 = b & 0xffff;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const low = a0 * b1 + (middle % 0x10000);
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(low / 0x10000)) >>> 0;
}

/**
 * Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011).
 *
 * @param counter four unsigned 32-bit words
 * @param key two unsigned 32-bit words
 * @returns four unsigned 32-bit words
 */
export function philox(counter: readonly number[], key: readonly number[]): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter as [number, number, number, number];
  let [k0, k1] = key as [number, number];
  for (let round = 0; round < 10; round++) {
    const next0 = (multiplyHigh(0xcd9e8d57, c2) ^ c1 ^ k0) >>> 0;
    const next2 = (multiplyHigh(0xd2511f53, c0) ^ c3 ^ k1) >>> 0;
    [c1, c3] = [Math.imul(0xcd9e8d57, c2) >>> 0, Math.imul(0xd2511f53, c0) >>> 0];
    [c0, c2] = [next0, next2];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

export interface DropoutSettings {
  p: number;
  site: number;
  seed: number;
  step: number;
}

/** A call of the generator's words of a row, each made once. */
function wordsOfRows({ seed, site, step }: DropoutSettings): (row: number, group: number) => readonly number[] {
  const key = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
  const made = new Map<number, readonly number[]>();
  return (row, group) => {
    const at = row * 2 ** 20 + group;
    const words = made.get(at) ?? philox([group, row, site, step], key);
    made.set(at, words);
    return words;
  };
}

/** What element (row, column) is multiplied by: 0 where it is dropped, else 1 / (1 − p). */
export function dropoutFactor(settings: DropoutSettings, round: Round): (row: number, column: number) => number {
  if (settings.p === 0) return () => 1;
  const kept = round(1 / (1 - settings.p));
  const threshold = Math.floor(settings.p * 2 ** 32);
  const words = wordsOfRows(settings);
  return (row, column) => (words(row, Math.floor(column / 4))[column % 4]! >= threshold ? kept : 0);
}

/** The same of attention's probabilities, whose draws have 16 bits, and p as many. */
export function attentionFactor(settings: DropoutSettings, round: Round): (row: number, key: number) => number {
  const threshold = Math.min(Math.round(settings.p * 2 ** 16), 2 ** 16 - 1);
  if (threshold === 0) return () => 1;
  const kept = round(1 / (1 - threshold / 2 ** 16));
  const words = wordsOfRows(settings);
  return (row, key) => {
    const word = words(row, 4 * Math.floor(key / 32) + (Math.floor(key / 2) % 4))[Math.floor(key / 8) % 4]!;
    return (key % 2 === 0 ? word & 0xffff : word >>> 16) >= threshold ? kept : 0;
  };
}

/** erf by its series with positive terms, 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!; error about 1e-16. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** Activations by their number. */
export const NONE = 0;
export const GELU = 1;
export const TANH = 2;
export const RELU = 3;
export const GELU_TANH = 4;
export const SILU = 5;

/** The standard normal distribution function. */
export function cumulative(x: number, round: Round): number {
  return round(0.5 * round(1 + round(erf(round(x * round(Math.SQRT1_2))))));
}

/** √(2/π) · (x + 0.044715 x³): GELU is about x / 2 · (1 + tanh of it). */
export function geluArgument(x: number, round: Round): number {
  const cube = round(round(x * x) * x);
  return round(round(Math.sqrt(2 / Math.PI)) * round(x + round(round(0.044715) * cube)));
}

/** 1 / (1 + e^(−x)) */
export function sigmoid(x: number, round: Round): number {
  return round(1 / round(1 + round(Math.exp(-x))));
}

/** An activation of one value. */
export function activate(activation: number, x: number, round: Round): number {
  if (activation === GELU) return round(x * cumulative(x, round));
  if (activation === GELU_TANH) {
    return round(round(0.5 * x) * round(1 + round(Math.tanh(geluArgument(x, round)))));
  }
  if (activation === SILU) return round(x * sigmoid(x, round));
  if (activation === TANH) return round(Math.tanh(x));
  return activation === RELU ? Math.max(x, 0) : x;
}

/** Activations whose backward takes their output; it takes the input of the others. */
export const SAVES_OUTPUT = [TANH, RELU];

/** The slope of an activation at what it saved. */
export function slope(activation: number, saved: number, round: Round): number {
  if (activation === TANH) return round(1 - round(saved * saved));
  if (activation === RELU) return saved > 0 ? 1 : 0;
  if (activation === NONE) return 1;
  if (activation === SILU) {
    const s = sigmoid(saved, round);
    return round(s * round(1 + round(saved * round(1 - s))));
  }
  if (activation === GELU_TANH) {
    const t = round(Math.tanh(geluArgument(saved, round)));
    const square = round(saved * saved);
    const inner = round(round(Math.sqrt(2 / Math.PI)) * round(1 + round(round(3 * 0.044715) * square)));
    const curved = round(round(1 - round(t * t)) * inner);
    return round(round(0.5 * round(1 + t)) + round(round(0.5 * saved) * curved));
  }
  const density = round(round(Math.exp(round(-0.5 * round(saved * saved)))) * round(1 / Math.sqrt(2 * Math.PI)));
  return round(cumulative(saved, round) + round(saved * density));
}

/** Σ a(p) · b(p) for p < k, in order. */
export function dot(k: number, a: (p: number) => number, b: (p: number) => number, round: Round): number {
  let sum = 0;
  for (let p = 0; p < k; p++) sum = round(sum + round(a(p) * b(p)));
  return sum;
}

/** Numbers in an array: the first is at `at`, each of the others `step` behind the one before. */
type Strided = readonly [array: Float64Array, at: number, step: number];

/** dot of numbers in arrays; without a call for every number, since most of the time of the large formulas goes here. */
export function stridedDot(k: number, [a, aAt, aStep]: Strided, [b, bAt, bStep]: Strided, round: Round): number {
  let sum = 0;
  if (round === exact) {
    for (let p = 0; p < k; p++) sum += a[aAt + p * aStep]! * b[bAt + p * bStep]!;
  } else if (round === Math.fround) {
    for (let p = 0; p < k; p++) sum = Math.fround(sum + Math.fround(a[aAt + p * aStep]! * b[bAt + p * bStep]!));
  } else {
    for (let p = 0; p < k; p++) sum = round(sum + round(a[aAt + p * aStep]! * b[bAt + p * bStep]!));
  }
  return sum;
}

/** Mean, 1 / √(variance + eps) and the normed values of each row of (rows, C); variance in two passes. */
export function layernorm(
  inp: Float64Array,
  rows: number,
  C: number,
  eps: number,
  gamma: Float64Array,
  beta: Float64Array,
  round: Round,
): { mean: Float64Array; rstd: Float64Array; out: Float64Array } {
  const mean = new Float64Array(rows);
  const rstd = new Float64Array(rows);
  const out = new Float64Array(rows * C);
  const one = () => 1;
  for (let row = 0; row < rows; row++) {
    const x = (c: number) => inp[row * C + c]!;
    const average = round(dot(C, x, one, round) / C);
    const centred = (c: number) => round(x(c) - average);
    const variance = round(dot(C, centred, centred, round) / C);
    mean[row] = average;
    rstd[row] = round(1 / round(Math.sqrt(round(variance + eps))));
    for (let c = 0; c < C; c++) {
      out[row * C + c] = round(round(round(centred(c) * rstd[row]!) * gamma[c]!) + beta[c]!);
    }
  }
  return { mean, rstd, out };
}

/** What layernormBackward reads of a call. */
interface LayernormArguments {
  floats(name: string): Float64Array;
  output(name: string, count: number): Float64Array;
  size(name: string, otherwise?: number): number;
}

/** Gradients of layernorm by its input `sum`, gamma and beta; the latter two are added to where the call says so. */
export function layernormBackward(
  args: LayernormArguments,
  dout: Float64Array,
  rows: number,
  C: number,
  round: Round,
): { dsum: Float64Array; dgamma: Float64Array; dbeta: Float64Array } {
  const [sum, mean, rstd, gamma] = ['sum', 'mean', 'rstd', 'gamma'].map((name) => args.floats(name)) as Float64Array[];
  const normed = (row: number, c: number) => round(round(sum![row * C + c]! - mean![row]!) * rstd![row]!);
  const accumulate = args.size('accumulate', 0) === 1;
  const dsum = new Float64Array(rows * C);
  const dgamma = args.output('dgamma', C);
  const dbeta = args.output('dbeta', C);
  for (let row = 0; row < rows; row++) {
    const dnormed = (c: number) => round(dout[row * C + c]! * gamma![c]!);
    const average = round(dot(C, dnormed, () => 1, round) / C);
    const projection = round(dot(C, dnormed, (c) => normed(row, c), round) / C);
    for (let c = 0; c < C; c++) {
      const centred = round(round(dnormed(c) - average) - round(normed(row, c) * projection));
      dsum[row * C + c] = round(rstd![row]! * centred);
    }
  }
  for (let c = 0; c < C; c++) {
    const scale = dot(
      rows,
      (row) => dout[row * C + c]!,
      (row) => normed(row, c),
      round,
    );
    const shift = dot(
      rows,
      (row) => dout[row * C + c]!,
      () => 1,
      round,
    );
    dgamma[c] = accumulate ? round(dgamma[c]! + scale) : scale;
    dbeta[c] = accumulate ? round(dbeta[c]! + shift) : shift;
  }
  return { dsum, dgamma, dbeta };
}

/**
 * What the focal loss multiplies −log p and its gradient by: (1 − p)^γ, and (1 − p)^γ · (1 − γ p log p / (1 − p)).
 *
 * @param logProb log p
 * @param rest 1 − p
 */
export function focusOf(
  gamma: number,
  logProb: number,
  rest: number,
  round: Round,
): { loss: number; gradient: number } {
  const loss = round(rest ** gamma);
  const ratio = rest > 0 ? round(-logProb / rest) : 1;
  return { loss, gradient: round(loss * round(1 + round(round(gamma * round(Math.exp(logProb))) * ratio))) };
}
