// The first predictions are slow: memory is planned, weights are laid out, code is compiled.

const TEXT = 'The first ones take longer, and nobody is to wait for that. ';

/**
 * Predicts texts that nobody asked for, few and many, short and long, each number twice.
 *
 * @param {import('bertune').TextClassifier} classifier
 * @param {string | null} [adapter]
 */
export async function warmUp(classifier, adapter = null) {
  for (const count of [1, 1, 16, 16]) {
    const texts = Array.from({ length: count }, (_, i) => TEXT.repeat(1 + (i % 8)));
    await classifier.predict(texts, { adapter, textKind: 'any' });
  }
}
