/**
 * How much work to give the addon in one call: so much that the call itself costs nothing, so little that progress and
 * an AbortSignal are seen to several times a second.
 */
export class Pace {
  readonly #target: number;
  #secondsPerUnit = 0;
  #last = 0;

  /** @param target seconds of work a call */
  constructor(target: number) {
    this.#target = target;
  }

  /** Units for the next call, at least 1: one at first, and never more than four times the last. */
  next(): number {
    if (this.#last === 0) return 1;
    const fitting = this.#secondsPerUnit > 0 ? Math.floor(this.#target / this.#secondsPerUnit) : Infinity;
    return Math.max(1, Math.min(fitting, 4 * this.#last));
  }

  /** Notes how long a call took. */
  measured(units: number, seconds: number): void {
    const rate = seconds / units;
    this.#secondsPerUnit = this.#last === 0 ? rate : (this.#secondsPerUnit + rate) / 2;
    this.#last = units;
  }
}
