import { BertuneError } from '../../errors.js';
import type { MethodKind } from '../../methods/index.js';
import { option } from '../../options/names.js';
import { MersenneTwister } from '../../order.js';
import type { TrainerOptions } from '../../training/options.js';

/** What a setting that varies is of: the run's own, its trainer's or its method's. */
export type AxisTarget =
  | { readonly of: 'model' | 'data' | 'method' }
  | { readonly of: 'trainer'; readonly name: keyof TrainerOptions }
  | { readonly of: 'options'; readonly name: string; readonly methods: readonly MethodKind[] };

/** Numbers between two bounds, both included. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly isInteger: boolean;
}

/** A setting of a sweep, with the values that it takes. */
export interface Axis {
  /** Its name in words, e.g. `learning rate`. */
  readonly name: string;
  /** Its flag, for messages. */
  readonly flag: string;
  readonly target: AxisTarget;
  readonly values: readonly unknown[] | Span;
}

/** A value a setting. */
export type Point = ReadonlyMap<Axis, unknown>;

/** More than anybody runs; what comes to more was a slip. */
const MOST_CELLS = 100_000;

/** A span over a factor of so much is drawn from by its logarithm. */
const LOG_FACTOR = 10;

export function isSpan(values: Axis['values']): values is Span {
  return !Array.isArray(values);
}

/** Whether an axis is that of seeds, which make no difference but by chance. */
export function isSeed({ target }: Axis): boolean {
  return target.of === 'trainer' && target.name === 'seed';
}

/** Every combination of values, the last axis first. @throws BertuneError INVALID_OPTION for too many, or a span */
export function gridOf(axes: readonly Axis[]): Point[] {
  let count = 1;
  for (const { values, flag } of axes) {
    if (isSpan(values)) {
      throw new BertuneError(
        'INVALID_OPTION',
        `${flag} is a range, from which a grid cannot take every value: list the values, or draw some with ${option('random', 20)}`,
      );
    }
    count *= values.length;
  }
  expectFew(count);
  let points: Map<Axis, unknown>[] = [new Map()];
  for (const axis of axes) {
    points = points.flatMap((point) =>
      (axis.values as readonly unknown[]).map((value) => new Map([...point, [axis, value]])),
    );
  }
  return points;
}

/** @throws BertuneError INVALID_OPTION for more cells than anybody runs */
export function expectFew(count: number): void {
  if (count <= MOST_CELLS) return;
  throw new BertuneError('INVALID_OPTION', `Expected at most ${MOST_CELLS} cells but the values come to ${count}`);
}

/** Points drawn at random, without end: each value of a list as likely as the others. */
export function* drawsOf(axes: readonly Axis[], seed: number): Generator<Point, never> {
  const generator = new MersenneTwister(seed);
  // 53 bits, as a double has.
  const uniform = () => ((generator.next() >>> 5) * 2 ** 26 + (generator.next() >>> 6)) / 2 ** 53;
  for (;;) yield new Map(axes.map((axis) => [axis, drawOne(axis.values, uniform())]));
}

/** @param share in [0, 1) */
function drawOne(values: Axis['values'], share: number): unknown {
  if (!isSpan(values)) return values[Math.floor(share * values.length)];
  const { from, to, isInteger } = values;
  const isLog = from > 0 && to / from >= LOG_FACTOR;
  if (isInteger) {
    const value = isLog ? from * ((to + 1) / from) ** share : from + share * (to + 1 - from);
    return Math.min(to, Math.floor(value));
  }
  const value = isLog ? from * (to / from) ** share : from + share * (to - from);
  // Digits that nobody would type.
  return Math.min(to, Math.max(from, Number(value.toPrecision(4))));
}
