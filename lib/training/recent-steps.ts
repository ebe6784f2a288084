/** What some steps came to. */
export interface StepTotals {
  steps: number;
  /** Σ of the steps' losses. */
  loss: number;
  /** Right predictions and examples. */
  correct: number;
  examples: number;
}

/** Totals over the latest steps, so that what is shown neither jumps nor lags. */
export class RecentSteps {
  readonly #size: number;
  readonly #parts: StepTotals[] = [];
  #total: StepTotals = { steps: 0, loss: 0, correct: 0, examples: 0 };

  /** @param size steps to look back over, at least */
  constructor(size: number) {
    this.#size = size;
  }

  add(part: StepTotals): void {
    this.#parts.push(part);
    this.#count(part, 1);
    while (this.#total.steps - this.#parts[0]!.steps >= this.#size) this.#count(this.#parts.shift()!, -1);
  }

  /** Mean loss of the latest steps. */
  get loss(): number {
    return this.#total.loss / this.#total.steps;
  }

  /** Share of right predictions in the latest steps. */
  get accuracy(): number {
    return this.#total.correct / this.#total.examples;
  }

  #count(part: StepTotals, sign: 1 | -1): void {
    const add = (key: keyof StepTotals) => this.#total[key] + sign * part[key];
    this.#total = { steps: add('steps'), loss: add('loss'), correct: add('correct'), examples: add('examples') };
  }
}
