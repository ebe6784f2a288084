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
  /** Tokens of these texts; of those being tokenized an estimate. */
  queuedTokens: number;
  /** Milliseconds that a call of one text would wait for its batch, estimated from the last ones; 0 where it fits into the next. */
  expectedWait: number;
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
