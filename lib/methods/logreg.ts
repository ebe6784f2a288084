import { expectTable, numberOr, type OptionsOf, type SettingsOf } from '../options/table.js';
import type { MethodDefinition } from './method.js';

/** The options of `logreg`. */
export const LOGREG_OPTIONS = {
  /**
   * Strength of the L2 penalty on the weights, above 0: 1/C of scikit-learn's LogisticRegression, alpha of its Ridge. 'auto':
   * the one of 0.1, 1, ..., 10,000 with the lowest loss in five-fold cross-validation over the training texts. Defaults to 100.
   */
  l2: numberOr(
    ['auto'],
    { min: 0, minExclusive: true },
    {
      words: "strength of the L2 penalty, scikit-learn's 1/C, or auto: by cross-validation",
      default: 100,
    },
  ),
};

/** Options of `logreg`. */
export interface LogregOptions extends OptionsOf<typeof LOGREG_OPTIONS> {}

/** The encoder is frozen; a logistic regression is fitted to the first token's embedding. */
export interface LogregMethod extends SettingsOf<typeof LOGREG_OPTIONS> {
  readonly kind: 'logreg';
}

/**
 * Logistic regression on embeddings ("embed + linear"): every training text is embedded once, without dropout, as the last
 * hidden state of its first token. On these embeddings, each dimension scaled to mean 0 and variance 1, scikit-learn's
 * LogisticRegression is solved to convergence (L-BFGS in double precision): multinomial for single-label, one per label for
 * multi-label; Ridge for regression. The result is a plain checkpoint, in which the head's dense Linear (BERT's pooler) is a
 * multiple of the identity.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function logreg(options: LogregOptions = {}): LogregMethod {
  return { kind: 'logreg', ...expectTable('logreg options', options, LOGREG_OPTIONS) };
}

export const logregMethod: MethodDefinition<LogregMethod> = {
  kind: 'logreg',
  label: 'logreg',
  options: LOGREG_OPTIONS,
  create: logreg,
  name: () => 'logreg',
  title: () => 'logistic regression',
  words: ({ l2 }) => `logistic regression on embeddings, L2 ${l2}`,
  mark: { symbol: 'cross', light: ['#7a4fb5', '#4a2a78'], dark: ['#b79be0', '#8f6cc4'] },
  isFitted: true,
  rates: () => [],
  leastSteps: 1,
  head: () => 'classifier',
  trains: (_method, { role }) => role === 'head_dense' || role === 'classifier',
  adapter: null,
};
