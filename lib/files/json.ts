/** As deep as the reference reader of safetensors goes; code that walks through values calls itself. */
export const MAX_JSON_DEPTH = 128;

/**
 * Parses JSON that others wrote. Nesting deeper than 128 is refused: JSON.parse takes it, but what is done with the value
 * afterwards may not.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  if (isTooDeep(text)) throw new SyntaxError(`it is nested deeper than ${MAX_JSON_DEPTH}`);
  return JSON.parse(text);
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) {
      // Past the string, whose brackets do not count.
      for (i++; i < text.length && text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++;
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > MAX_JSON_DEPTH) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}
