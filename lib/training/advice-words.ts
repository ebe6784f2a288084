import { option } from '../options/names.js';
import type { Advice } from './advice.js';

/** Advice as a sentence, with its options as whoever called writes them: `learningRate: 3e-4`, `--learning-rate 3e-4`. */
export function adviceText({ text, options }: Advice): string {
  const ways = Object.entries(options).map(([name, value]) => option(name, value));
  return ways.length === 0 ? `${text}.` : `${text} (${ways.join(' or ')}).`;
}
