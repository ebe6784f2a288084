/* Which kinds of models are read, and what to take in place of the others. New ones are added here. */

/** The model_type of config.json of every kind that is read. */
export const SUPPORTED_TYPES: readonly string[] = ['bert'];

const ENGLISH = 'for English take google-bert/bert-base-uncased, or the built-in bert-mini';
const MULTILINGUAL = 'for many languages take google-bert/bert-base-multilingual-cased';
const GENERATIVE = `it writes text; to classify, ${ENGLISH}`;

/** What serves the same purpose, by model_type. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  albert: ENGLISH,
  bart: ENGLISH,
  big_bird: ENGLISH,
  camembert: MULTILINGUAL,
  deberta: ENGLISH,
  'deberta-v2': ENGLISH,
  distilbert: ENGLISH,
  electra: ENGLISH,
  flaubert: MULTILINGUAL,
  gemma: GENERATIVE,
  gpt2: GENERATIVE,
  llama: GENERATIVE,
  longformer: ENGLISH,
  mistral: GENERATIVE,
  mobilebert: ENGLISH,
  modernbert: ENGLISH,
  mpnet: ENGLISH,
  qwen2: GENERATIVE,
  qwen3: GENERATIVE,
  roberta: ENGLISH,
  t5: GENERATIVE,
  xlm: MULTILINGUAL,
  'xlm-roberta': MULTILINGUAL,
  'xlm-roberta-xl': MULTILINGUAL,
  xlnet: ENGLISH,
};

/** What to take in place of a model of a kind that is not read. */
export function alternativeTo(type: unknown): string {
  const known = typeof type === 'string' && Object.hasOwn(ALTERNATIVES, type) ? ALTERNATIVES[type] : undefined;
  return known ?? `${ENGLISH}; ${MULTILINGUAL}`;
}
