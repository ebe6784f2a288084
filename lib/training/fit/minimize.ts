/*
 * L-BFGS (Nocedal and Wright, Numerical Optimization, 2006, algorithms 7.4 and 7.5) with a line search by bisection for the weak
 * Wolfe conditions, which always ends on a smooth convex function.
 */

/** A function and its gradient at `x` (n): writes the gradient into `gradient` (n) and gives the value. */
export type Objective = (x: Float64Array, gradient: Float64Array) => Promise<number>;

/** Steps and changes of gradient that the curvature is known from. */
const MEMORY = 10;

/** Share of the promised decrease that a step must bring, and of the slope that may be left. */
const DECREASE = 1e-4;
const SLOPE = 0.9;

/** Halvings and doublings of a step. */
const TRIALS = 40;

/** How exact a minimum is to be. */
export interface Precision {
  /** Largest member of the gradient at which it is found. */
  tolerance: number;
  /** Steps at most. */
  steps: number;
}

/**
 * Goes from `x` to the minimum of a smooth convex function, or as near as double precision comes.
 *
 * @param x where to start (n); becomes the minimum
 * @throws what the objective throws
 */
export async function minimize(objective: Objective, x: Float64Array, precision: Precision): Promise<void> {
  let gradient = new Float64Array(x.length);
  let nextGradient = new Float64Array(x.length);
  const next = new Float64Array(x.length);
  const memory: { step: Float64Array; change: Float64Array; rho: number }[] = [];
  let value = await objective(x, gradient);
  for (let count = 0; count < precision.steps; count++) {
    if (gradient.every((each) => Math.abs(each) <= precision.tolerance)) return;
    const direction = descent(gradient, memory);
    const first = memory.length === 0 ? 1 / Math.sqrt(dot(gradient, gradient)) : 1;
    const from = { x, value, slope: dot(gradient, direction) };
    const found = await search(objective, from, direction, first, next, nextGradient);
    // Rounding hides what is left to gain.
    if (found === null) return;
    value = found;
    const step = new Float64Array(x.length);
    const change = new Float64Array(x.length);
    for (let i = 0; i < x.length; i++) {
      step[i] = next[i]! - x[i]!;
      change[i] = nextGradient[i]! - gradient[i]!;
    }
    x.set(next);
    [gradient, nextGradient] = [nextGradient, gradient];
    const curvature = dot(step, change);
    if (curvature > 0) memory.push({ step, change, rho: 1 / curvature });
    if (memory.length > MEMORY) memory.shift();
  }
}

/**
 * Looks along a direction for a point that is low enough, and flat enough.
 *
 * @param length of the first step to try, in directions
 * @param next becomes the point (n), and `nextGradient` the gradient there
 * @returns the value there; null where none is found
 */
async function search(
  objective: Objective,
  from: { x: Float64Array; value: number; slope: number },
  direction: Float64Array,
  length: number,
  next: Float64Array,
  nextGradient: Float64Array,
): Promise<number | null> {
  let [low, high, at] = [0, Infinity, length];
  for (let trial = 0; trial < TRIALS; trial++) {
    for (let i = 0; i < next.length; i++) next[i] = from.x[i]! + at * direction[i]!;
    const value = await objective(next, nextGradient);
    if (!(value <= from.value + DECREASE * at * from.slope)) high = at;
    else if (dot(nextGradient, direction) < SLOPE * from.slope) low = at;
    else return value;
    at = high === Infinity ? 2 * low : (low + high) / 2;
  }
  return null;
}

/** −H · gradient, H being what the memory knows of the inverse Hessian. */
function descent(
  gradient: Float64Array,
  memory: readonly { step: Float64Array; change: Float64Array; rho: number }[],
): Float64Array {
  const direction = gradient.map((each) => -each);
  const weights: number[] = [];
  for (const { step, change, rho } of [...memory].reverse()) {
    const weight = rho * dot(step, direction);
    weights.unshift(weight);
    add(direction, -weight, change);
  }
  const last = memory.at(-1);
  if (last) {
    const scale = 1 / (last.rho * dot(last.change, last.change));
    for (let i = 0; i < direction.length; i++) direction[i]! *= scale;
  }
  for (const [k, { step, change, rho }] of memory.entries()) {
    add(direction, weights[k]! - rho * dot(change, direction), step);
  }
  return direction;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** a += factor · b */
function add(a: Float64Array, factor: number, b: Float64Array): void {
  for (let i = 0; i < a.length; i++) a[i]! += factor * b[i]!;
}
