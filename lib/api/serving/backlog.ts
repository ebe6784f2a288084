import type { Call } from './call.js';

/** What calls still want computed. */
export interface Demand {
  texts: number;
  tokens: number;
  /** Of one turn, in which each call has a text computed: the sum of their mean tokens a text. */
  turnTokens: number;
}

/** Adds up what calls still want. */
export class Backlog implements Demand {
  /** What each call was counted as. */
  readonly #shares = new Map<Call, Demand>();
  texts = 0;
  tokens = 0;
  turnTokens = 0;

  /** Counts a call as it is now. */
  count(call: Call): void {
    this.remove(call);
    const { waiting, waitingTokens, turnTokens } = call;
    if (waiting > 0) this.#add(call, { texts: waiting, tokens: waitingTokens, turnTokens });
  }

  /** Does nothing where the call is not counted. */
  remove(call: Call): void {
    const share = this.#shares.get(call);
    if (!share) return;
    this.#shares.delete(call);
    this.texts -= share.texts;
    this.tokens -= share.tokens;
    this.turnTokens -= share.turnTokens;
  }

  #add(call: Call, share: Demand): void {
    this.#shares.set(call, share);
    this.texts += share.texts;
    this.tokens += share.tokens;
    this.turnTokens += share.turnTokens;
  }
}

/** Both together. */
export function sumOf(a: Demand, b: Demand): Demand {
  return { texts: a.texts + b.texts, tokens: a.tokens + b.tokens, turnTokens: a.turnTokens + b.turnTokens };
}
