/** What a finished batch was. */
export interface BatchFigures {
  texts: number;
  tokens: number;
  /** Calls that had texts in it. */
  calls: number;
  /** Seconds that its texts had waited since their calls were made, tokenizing included; their sum. */
  waitSeconds: number;
  /** Seconds from the start of the batch to its logits. */
  computeSeconds: number;
  /** Whether it failed, which rejects its calls. */
  failed: boolean;
}

/** A service's figures. Those of what happened only grow, as counters of a metrics system do. */
export interface ServiceStatistics {
  /** Calls that are not settled. */
  calls: number;
  /** Texts that wait, those being tokenized included. */
  queuedTexts: number;
  /** Texts in the batch that computes. */
  runningTexts: number;
  /** Batches that ended, failed ones included, and what was in them. */
  batches: number;
  failedBatches: number;
  texts: number;
  tokens: number;
  /** Sum over `texts` of the seconds from the call to the start of the batch. */
  waitSeconds: number;
  /** Sum over `batches` of the seconds they took. */
  computeSeconds: number;
}

/** Half-life of the measured rate, in batches, is about three. */
const RATE_WEIGHT = 0.2;

/** Adds up what a service did. */
export class Statistics {
  readonly #sums = { batches: 0, failedBatches: 0, texts: 0, tokens: 0, waitSeconds: 0, computeSeconds: 0 };
  #secondsPerText = 0;

  /** Counts a batch that ended. */
  add({ texts, tokens, waitSeconds, computeSeconds, failed }: BatchFigures): void {
    const sums = this.#sums;
    sums.batches += 1;
    sums.failedBatches += failed ? 1 : 0;
    sums.texts += texts;
    sums.tokens += tokens;
    sums.waitSeconds += waitSeconds;
    sums.computeSeconds += computeSeconds;
    const rate = computeSeconds / texts;
    this.#secondsPerText += (sums.batches === 1 ? 1 : RATE_WEIGHT) * (rate - this.#secondsPerText);
  }

  /** Milliseconds until so many texts will be done, at the rate of the last batches; a second before there was any. */
  millisecondsFor(texts: number): number {
    return this.#sums.batches === 0 ? 1000 : Math.ceil(1000 * texts * this.#secondsPerText);
  }

  get sums(): Readonly<Omit<ServiceStatistics, 'calls' | 'queuedTexts' | 'runningTexts'>> {
    return this.#sums;
  }
}
