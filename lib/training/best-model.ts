import { type Values, writeValues } from '../model/session.js';
import type { NativeSession } from '../native/index.js';
import { type BestMetric, higherIsBetter } from '../tasks/index.js';

/** How the best evaluation is told, and when to give up. */
export interface BestOptions {
  metric: BestMetric;
  /** Whether its parameters are kept. */
  keep: boolean;
  /** Evaluations in a row without a better metric; null: never gives up. */
  patience: number | null;
  /** How much better counts for patience. */
  threshold: number;
}

/** The best evaluation so far, with a copy of the parameters of its time, and the patience of early stopping. */
export class BestModel {
  readonly #options: BestOptions;
  #best: { metric: number; step: number; epoch: number } | null = null;
  #parameters = new Map<string, Values>();
  #waited = 0;

  constructor(options: BestOptions) {
    this.#options = options;
  }

  /** The best value of the metric and when it was; null before the first evaluation. */
  get best(): { metric: number; step: number; epoch: number } | null {
    return this.#best;
  }

  /** Evaluations in a row without a better metric. */
  get waited(): number {
    return this.#waited;
  }

  /** Copies of the parameters of the best evaluation by name; empty where none are kept. */
  get parameters(): ReadonlyMap<string, Values> {
    return this.#parameters;
  }

  /**
   * Goes on from what another had come to.
   *
   * @param parameters of the best evaluation, where they are kept
   */
  resume(best: BestModel['best'], waited: number, parameters: ReadonlyMap<string, Values>): void {
    this.#best = best;
    this.#waited = waited;
    this.#parameters = new Map(this.#options.keep ? parameters : []);
  }

  /** Whether the parameters of the best evaluation are kept. */
  get keeps(): boolean {
    return this.#options.keep;
  }

  /** Whether patience is at an end, as in transformers' EarlyStoppingCallback. */
  get exhausted(): boolean {
    return this.#options.patience !== null && this.#waited >= this.#options.patience;
  }

  /**
   * Takes an evaluation into account; copies the parameters when it is the best so far.
   *
   * @param value of the metric
   * @param trainable names of the parameters that training changes
   * @returns whether it is the best so far
   */
  async consider(
    value: number,
    at: { step: number; epoch: number },
    native: NativeSession,
    trainable: readonly string[],
  ): Promise<boolean> {
    const gain = this.#gain(value);
    this.#waited = gain > this.#options.threshold ? 0 : this.#waited + 1;
    if (!(gain > 0)) return false;
    this.#best = { metric: value, ...at };
    if (this.#options.keep) {
      for (const name of trainable) this.#parameters.set(name, await native.read(name, 'value'));
    }
    return true;
  }

  /** Puts the parameters of the best evaluation back. Does nothing where none were kept. */
  async restore(native: NativeSession): Promise<void> {
    for (const [name, values] of this.#parameters) await writeValues(native, name, values);
    this.#parameters.clear();
  }

  /** How much better than the best so far; more than nothing where there is none, and NaN of a metric that has no value. */
  #gain(value: number): number {
    if (this.#best === null) return Number.isNaN(value) ? Number.NaN : Infinity;
    return higherIsBetter(this.#options.metric) ? value - this.#best.metric : this.#best.metric - value;
  }
}
