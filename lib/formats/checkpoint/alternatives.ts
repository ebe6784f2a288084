/* What to take in place of a model that is not read. */

const ENGLISH = 'for English take google-bert/bert-base-uncased or FacebookAI/roberta-base, or the built-in bert-mini';
const MULTILINGUAL = 'for many languages take FacebookAI/xlm-roberta-base';
const GENERATIVE = `it writes text; to classify, ${ENGLISH}`;

/** What serves the same purpose, by model_type. */
const ALTERNATIVES: Readonly<Record<string, string>> = {
  albert: ENGLISH,
  bart: ENGLISH,
  big_bird: ENGLISH,
  deberta: ENGLISH,
  'deberta-v2': ENGLISH,
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
  t5: GENERATIVE,
  xlm: MULTILINGUAL,
  'xlm-roberta-xl': MULTILINGUAL,
  xlnet: ENGLISH,
};

/** What to take in place of a model of a kind that is not read. */
export function alternativeTo(type: unknown): string {
  const known = typeof type === 'string' && Object.hasOwn(ALTERNATIVES, type) ? ALTERNATIVES[type] : undefined;
  return known ?? `${ENGLISH}; ${MULTILINGUAL}`;
}
