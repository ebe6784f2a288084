/*
 * Files pass through many hands: what is read of them is there in the type that is wanted, or counts as not there.
 */

export type Fields = Record<string, unknown>;

/** Settings, figures or facts of one kind: those that follow are left out. */
export const MOST_FIELDS = 100;
/** The longest text, in characters: the rest is cut, as a title stands in many places. */
const MOST_CHARACTERS = 500;

/** The members that are one word or number. An object may not even have a text. */
export function simple(values: Fields): Fields {
  return Object.fromEntries(Object.entries(few(values)).filter(([, value]) => typeof value !== 'object'));
}

/** The first members of so many. */
export function few(values: Fields): Fields {
  return Object.fromEntries(Object.entries(values).slice(0, MOST_FIELDS));
}

/** The members that are numbers. */
export function numbers(values: Fields): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, number] => isNumber(entry[1])));
}

export function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function fields(value: unknown): Fields {
  return isFields(value) ? value : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown, otherwise = ''): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, MOST_CHARACTERS) : otherwise;
}

export function oneOf<const Choice extends string>(
  value: unknown,
  choices: readonly Choice[],
  otherwise: Choice,
): Choice {
  return choices.find((choice) => choice === value) ?? otherwise;
}
