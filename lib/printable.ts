/**
 * Characters that a terminal or a page would obey rather than show: controls (C0, DEL, C1), line and paragraph
 * separators, the marks and overrides of writing direction, the byte order mark, and halves of surrogate pairs.
 */
const UNPRINTABLE =
  /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/gu;

const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Makes text from files and users safe to print: what a terminal would obey becomes a visible escape.
 *
 * @param text any text
 * @returns the text on one line, e.g. a newline as `\n`, an escape character as `\x1b`
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const code = character.charCodeAt(0);
    const hex = code.toString(16);
    return NAMED[character] ?? (code < 0x100 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`);
  });
}

/** As `printable`, but of text in several lines: each stays one. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/**
 * JSON that is safe to print: what a terminal would obey is written as an escape, which means the same to whoever reads
 * the JSON.
 *
 * @param indent spaces a level. Defaults to none, and one line
 */
export function printableJson(value: unknown, indent?: number): string {
  return printableJsonText(JSON.stringify(value, null, indent));
}

/** As `printableJson`, of what is JSON already; line ends between its parts stay. */
export function printableJsonText(json: string): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replace(UNPRINTABLE, (character) => (character === '\n' ? character : escaped(character)));
}
