/** A part of a text on its way from what was given to the words that a model is asked for. */
export interface Piece {
  text: string;
  /**
   * How many units of `text`, from its first on, stand for the very first character that was given: Metaspace asks.
   * Always 0 where nobody asks.
   */
  leading: number;
  /** The most units that its text may grow to. */
  readonly limit: number;
}

/** The part [start, end) of a piece. */
export function slice({ text, leading, limit }: Piece, start: number, end: number): Piece {
  return { text: text.slice(start, end), leading: Math.max(0, Math.min(leading, end) - start), limit };
}

/** Puts text in front of a piece that has some. It stands for what the first character stands for. */
export function prepend(piece: Piece, text: string): void {
  if (piece.text === '') return;
  if (piece.leading > 0) piece.leading += text.length;
  piece.text = text + piece.text;
}

/**
 * What comes of a text, from left to right: the ids of a word, or the first of many that it has; or the id of an added
 * token. `undefined` is a pause.
 */
export type Ids = readonly number[] | { readonly unfinished: readonly number[] } | number | undefined;
