/** The prefix's own parameter: (P, C) in front of a projection, (P, 2LC) without. */
export const PROMPT_EMBEDDINGS = 'prompt_encoder.embedding.weight';
