/** What some steps came to. */
export interface StepTotals {
  steps: number;
  /** Σ of the steps' losses. */
  loss: number;
  /** Right predictions and examples. */
  correct: number;
  examples: number;
}

/** A finished epoch, without its evaluation. */
export interface EpochRow {
  /** Epochs done: 1 after the first. */
  epoch: number;
  step: number;
  /** Mean loss of the epoch's steps. */
  train_loss: number;
  /** Share of right predictions in the epoch, measured in training. */
  train_accuracy: number;
}

/**
 * Where a run stands: all that it must know, beside parameters, moments and log, to go on as if it had never stopped.
 * Order of examples, learning rate and dropout follow from seed and step.
 */
export interface RunPosition {
  /** Optimizer steps done. */
  step: number;
  /** Epochs that have ended, their evaluation included. */
  epochs_done: number;
  /** Examples of the steps done. */
  examples: number;
  /** Σ of the steps' losses. */
  loss_sum: number;
  /** Of the last step, before clipping. */
  last_grad_norm: number;
  /** Steps since the last row of the log. */
  unlogged: StepTotals;
  /** Steps of the epoch that is under way. */
  epoch_totals: StepTotals;
  /** Seconds in steps. */
  step_seconds: number;
  /** Seconds in all. */
  seconds: number;
  /** Those that have ended. */
  epochs: EpochRow[];
}

/** Before the first step. */
export function startPosition(): RunPosition {
  return {
    step: 0,
    epochs_done: 0,
    examples: 0,
    loss_sum: 0,
    last_grad_norm: 0,
    unlogged: emptyTotals(),
    epoch_totals: emptyTotals(),
    step_seconds: 0,
    seconds: 0,
    epochs: [],
  };
}

/** Of no step. */
export function emptyTotals(): StepTotals {
  return { steps: 0, loss: 0, correct: 0, examples: 0 };
}

/** Totals over the latest steps, so that what is shown neither jumps nor lags. */
export class RecentSteps {
  readonly #size: number;
  readonly #parts: StepTotals[] = [];
  #total = emptyTotals();

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
