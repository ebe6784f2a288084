/** As deep as the reference reader of safetensors goes; code that walks through values calls itself. */
export const MAX_JSON_DEPTH = 128;

/** What Python's json writes where JSON has no number. */
const WORDS = ['NaN', 'Infinity', '-Infinity'];

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Parses JSON that others wrote. Nesting deeper than 128 is refused: JSON.parse takes it, but what is done with the value
 * afterwards may not.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  expectShallow(outline(text).depth);
  return JSON.parse(text);
}

/**
 * Parses an object of JSON as parseJson does, but by the rules of rows of data: NaN, Infinity and -Infinity, as Python's
 * json writes them, are numbers (all three are read as Infinity), and a key that occurs twice is refused.
 *
 * @throws SyntaxError
 */
export function parseJsonRow(text: string): unknown {
  const { depth, members } = outline(text);
  expectShallow(depth);
  const value = parsePython(text);
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isObject && Object.keys(value).length < members) throw new SyntaxError('a key occurs twice');
  return value;
}

function parsePython(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const other = withoutWords(text);
    if (other === text) throw error;
    return JSON.parse(other);
  }
}

function expectShallow(depth: number): void {
  if (depth > MAX_JSON_DEPTH) throw new SyntaxError(`it is nested deeper than ${MAX_JSON_DEPTH}`);
}

/** The index after the closing quote of the string that starts at `start`, or the end of the text. */
export function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text.charCodeAt(i) !== QUOTE) i += text.charCodeAt(i) === BACKSLASH ? 2 : 1;
  return Math.min(i + 1, text.length);
}

/** How deep a text is nested, up to just beyond what is allowed, and how many members its outermost object has. */
function outline(text: string): { depth: number; members: number } {
  let [depth, deepest, members] = [0, 0, 0];
  for (let i = 0; i < text.length && depth <= MAX_JSON_DEPTH; i++) {
    const code = text.charCodeAt(i);
    // Past a string, whose brackets do not count.
    if (code === QUOTE) i = endOfString(text, i) - 1;
    else if (code === 0x5b || code === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x5d || code === 0x7d) depth--;
    else if (code === 0x3a && depth === 1) members++;
  }
  return { depth: deepest, members };
}

/** JSON in place of Python's: its words for numbers that are not finite as one that overflows. */
function withoutWords(text: string): string {
  const parts: string[] = [];
  let done = 0;
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) === QUOTE) {
      i = endOfString(text, i) - 1;
      continue;
    }
    const word = WORDS.find((each) => text.startsWith(each, i));
    if (word === undefined) continue;
    // Spaces keep what stands beside it apart.
    parts.push(text.slice(done, i), ' 1e999 ');
    done = i + word.length;
    i = done - 1;
  }
  return parts.length === 0 ? text : parts.join('') + text.slice(done);
}
