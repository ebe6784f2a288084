/**
 * Work that stops now and then, so that a long text does not hold the event loop: each `undefined` that it yields is a
 * place where other things may run. What it comes to is its return value.
 */
export type Steps<T = void> = Generator<undefined, T>;

/** Units of text, or steps of an algorithm, between two such places: well below a millisecond. */
export const STEP = 4096;

/** Does such work in one go. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}
