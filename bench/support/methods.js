// The notebook's four ways to train, and its LoRA as DoRA.
import { load } from './library.js';

const { full, linear, lora, prefix } = await load('methods/index');

export const METHODS = {
  full: full(),
  lora: lora({ rank: 32, alpha: 128, dropout: 0.1, targets: ['query', 'value'] }),
  dora: lora({ rank: 32, alpha: 128, dropout: 0.1, targets: ['query', 'value'], dora: true }),
  prefix: prefix({ virtualTokens: 20, projection: true }),
  linear: linear({ dropout: 0.2 }),
};
