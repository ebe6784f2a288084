import { expectNonNegativeInteger, invalidOption } from './options/validation.js';

/*
 * The order of examples, reproducible against PyTorch: `torch.randperm(n)` of a CPU generator with a given seed, which
 * is what the random sampler of Hugging Face's Trainer draws for each epoch.
 */

const STATE_SIZE = 624;
const SHIFT_SIZE = 397;

/** torch.randperm switches to 64-bit draws from this length on (n ≥ 2³² / 20). */
const WIDE_LENGTH = Math.floor(0xffffffff / 20);

/** The 32-bit Mersenne Twister (Matsumoto and Nishimura, 1998), as std::mt19937 and torch's CPU generator. */
export class MersenneTwister {
  private readonly state = new Uint32Array(STATE_SIZE);
  private index = STATE_SIZE;

  /** @param seed only its lowest 32 bits count, as in torch */
  constructor(seed: number) {
    const { state } = this;
    state[0] = seed % 2 ** 32;
    for (let i = 1; i < STATE_SIZE; i++) {
      const previous = state[i - 1]!;
      state[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /** The next integer, uniform in [0, 2³²). */
  next(): number {
    if (this.index === STATE_SIZE) this.twist();
    let y = this.state[this.index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  private twist(): void {
    const { state } = this;
    for (let i = 0; i < STATE_SIZE; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % STATE_SIZE]! & 0x7fffffff);
      state[i] = state[(i + SHIFT_SIZE) % STATE_SIZE]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.index = 0;
  }
}

/**
 * Draws from 0..n−1 with replacement, each number as often as its weight says.
 *
 * @param seed a non-negative integer; only its lowest 32 bits count
 * @param weights (n), at least 0, of which one is above 0
 * @returns as many draws as there are weights (n)
 */
export function weightedOrder(seed: number, weights: Float64Array): Int32Array {
  const generator = new MersenneTwister(expectNonNegativeInteger('seed', seed));
  const sums = new Float64Array(weights.length);
  let total = 0;
  weights.forEach((weight, i) => {
    total += weight;
    sums[i] = total;
  });
  return Int32Array.from(weights, () => {
    const draw = (generator.next() / 2 ** 32) * total;
    let [low, high] = [0, sums.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! > draw) high = middle;
      else low = middle + 1;
    }
    return low;
  });
}

/**
 * A random permutation of 0..n−1, equal to `torch.randperm(n, generator=torch.Generator().manual_seed(seed))`.
 *
 * Epoch e of a run seeded `seed` uses `randomOrder(seed + e, examples)`.
 *
 * @param seed a non-negative integer; as in torch, only its lowest 32 bits count
 * @param n how many numbers; less than 214,748,364, from where torch draws differently
 * @returns the permutation (n)
 * @throws INVALID_OPTION when `seed` or `n` is not such an integer
 */
export function randomOrder(seed: number, n: number): Int32Array {
  const generator = new MersenneTwister(expectNonNegativeInteger('seed', seed));
  if (expectNonNegativeInteger('n', n) >= WIDE_LENGTH) throw invalidOption('n', `an integer below ${WIDE_LENGTH}`, n);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = 0; i < n - 1; i++) {
    const j = i + (generator.next() % (n - i));
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}
