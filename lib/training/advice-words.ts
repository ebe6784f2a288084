import type { Advice } from './advice.js';

/** Whom advice is for: callers of the library, or people at a terminal. */
export type Audience = 'code' | 'shell';

/** The flags of `bertune train` by the options of a Trainer. */
const FLAGS: Readonly<Record<keyof Advice['options'], string>> = {
  epochs: '--epochs',
  maxSteps: '--max-steps',
  learningRate: '--learning-rate',
  classWeights: '--class-weights',
  loadBestModel: '--load-best',
};

/** Advice as a sentence, with its options in the words of those who read it: `learningRate: 0.0003`, `--learning-rate 3e-4`. */
export function adviceText({ text, options }: Advice, audience: Audience): string {
  const ways = Object.entries(options).map(([name, value]) =>
    audience === 'code' ? optionWords(name, value) : flagWords(FLAGS[name as keyof Advice['options']], value),
  );
  return ways.length === 0 ? `${text}.` : `${text} (${ways.join(' or ')}).`;
}

function optionWords(name: string, value: unknown): string {
  return `${name}: ${typeof value === 'string' ? `'${value}'` : numberOr(value)}`;
}

function flagWords(flag: string, value: unknown): string {
  return value === true ? flag : `${flag} ${numberOr(value)}`;
}

/** A small rate is easier read as a power of ten. */
function numberOr(value: unknown): string {
  return typeof value === 'number' && value < 1e-2 ? value.toExponential() : String(value);
}
