/** A finished batch. */
export interface BatchFigures {
  texts: number;
  tokens: number;
  /** Calls that had texts in it. */
  calls: number;
  /** Seconds that its texts waited since their calls, tokenizing included, added up. */
  waitSeconds: number;
  /** Seconds from the start of the batch to its logits. */
  computeSeconds: number;
  /** Whether it failed; its calls are then rejected. */
  failed: boolean;
}

/** A service's figures. Totals only grow, like counters of a metrics system. */
export interface ServiceStatistics {
  /** Calls in progress. */
  calls: number;
  /** Texts waiting, including those being tokenized. */
  queuedTexts: number;
  /** Tokens of these texts, estimated for those being tokenized. */
  queuedTokens: number;
  /** Milliseconds that a call of one text would wait for its batch, estimated from the latest batches; 0 if it fits into the next. */
  expectedWait: number;
  /** Texts in the batch being computed. */
  runningTexts: number;
  /** Finished batches, including failed ones, and what was in them. */
  batches: number;
  failedBatches: number;
  texts: number;
  tokens: number;
  /** Seconds from the call to the start of its batch, summed over `texts`. */
  waitSeconds: number;
  /** Seconds that `batches` took, added up. */
  computeSeconds: number;
}

/** Adds up what a service did. */
export class Statistics {
  readonly #sums = { batches: 0, failedBatches: 0, texts: 0, tokens: 0, waitSeconds: 0, computeSeconds: 0 };

  /** Counts a batch that ended. */
  add({ texts, tokens, waitSeconds, computeSeconds, failed }: BatchFigures): void {
    const sums = this.#sums;
    sums.batches += 1;
    sums.failedBatches += failed ? 1 : 0;
    sums.texts += texts;
    sums.tokens += tokens;
    sums.waitSeconds += waitSeconds;
    sums.computeSeconds += computeSeconds;
  }

  get sums(): Readonly<
    Omit<ServiceStatistics, 'calls' | 'queuedTexts' | 'queuedTokens' | 'expectedWait' | 'runningTexts'>
  > {
    return this.#sums;
  }
}
