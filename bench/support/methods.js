// The notebook's four ways to train, its LoRA as DoRA, and LoRA of other ranks.
import { load } from './library.js';

const { full, linear, lora, prefix } = await load('methods/index');

export const METHODS = {
  full: full(),
  lora: lora({ rank: 32, alpha: 128, dropout: 0.1, targets: ['query', 'value'] }),
  dora: lora({ rank: 32, alpha: 128, dropout: 0.1, targets: ['query', 'value'], dora: true }),
  prefix: prefix({ virtualTokens: 20, projection: true }),
  linear: linear({ dropout: 0.2 }),
};

/** The methods of a name: `lora`, `lora8` by rank, or of several that train together: `lora4+lora8`. */
export function methodsOf(name) {
  return name.split('+').map((part) => {
    const [, rank] = /^lora(\d+)$/.exec(part) ?? [];
    const method = rank === undefined ? METHODS[part] : lora({ rank: Number(rank) });
    if (method) return method;
    throw new Error(
      `Expected ${Object.keys(METHODS).join(', ')}, lora<rank> or several with + for --method but received ${name}`,
    );
  });
}
