import { expectString, invalidOption } from '../options/validation.js';

/** What Python and others call encodings that TextDecoder knows by another name. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  'latin-1': 'windows-1252',
  'utf-8-sig': 'utf-8',
  ansi: 'windows-1252',
  'mac-roman': 'macintosh',
};

const COMMON =
  'utf-8, windows-1252, iso-8859-1, iso-8859-2, windows-1251, utf-16le, shift_jis, gb18030, big5 or euc-kr';

/** What windows-1252 has where ISO 8859-1 has control characters (0x80 to 0x9f). */
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ';

/** Letters and marks of Western Europe outside of ASCII, at most two in a row, as in "Grüße". */
const WESTERN = /^([\0-\x7f]|(?<![^\0-\x7f]{2})[À-ÖØ-öø-ÿŒœŠšŽžŸ€‚„…–—‘’“”•™\xa0¡£§©ª«°²³´·º»½¿])*$/;

/** The longest word that is shown, in characters. */
const MOST_WORD_CHARACTERS = 40;

/**
 * The encoding that is meant by a name.
 *
 * @returns the name that TextDecoder has for it
 * @throws BertuneError INVALID_OPTION, listing common ones
 */
export function expectEncoding(name: string, value: unknown): string {
  const wanted = expectString(name, value).trim().toLowerCase();
  const dashed = wanted.replaceAll('_', '-');
  for (const label of [OTHER_NAMES[dashed], wanted, dashed]) {
    const encoding = label === undefined ? undefined : encodingOf(label);
    if (encoding !== undefined) return encoding;
  }
  throw invalidOption(name, `an encoding such as ${COMMON}`, value);
}

function encodingOf(label: string): string | undefined {
  try {
    return new TextDecoder(label).encoding;
  } catch {
    return undefined;
  }
}

/** The encoding that a file's byte order mark says; undefined without one. */
export function markedEncoding(head: Uint8Array): string | undefined {
  const [first, second, third] = head;
  if (first === 0xff && second === 0xfe) return 'utf-16le';
  if (first === 0xfe && second === 0xff) return 'utf-16be';
  return first === 0xef && second === 0xbb && third === 0xbf ? 'utf-8' : undefined;
}

/**
 * Decodes the pieces of a file. Bytes that are not in the encoding throw.
 *
 * @param encoding as TextDecoder calls it
 */
export class Decoder {
  private readonly decoder: InstanceType<typeof TextDecoder>;

  constructor(readonly encoding: string) {
    this.decoder = new TextDecoder(encoding, { fatal: true });
  }

  decode(piece?: Uint8Array): string {
    const text = piece === undefined ? this.decoder.decode() : this.decoder.decode(piece, { stream: true });
    // Some releases of Node.js take windows-1252 for ISO 8859-1.
    return this.encoding === 'windows-1252' ? text.replace(/[\x80-\x9f]/g, windows1252) : text;
  }
}

function windows1252(control: string): string {
  return WINDOWS_1252[control.charCodeAt(0) - 0x80]!;
}

/** What bytes that are not UTF-8 may be in. */
export interface Guess {
  readonly encoding: string;
  /** The word with the first of these bytes, in that encoding. */
  readonly word: string;
}

/**
 * Guesses the encoding of a line.
 *
 * @param line its bytes
 * @param at the first that is not UTF-8
 * @returns undefined where nothing looks right
 */
export function guessEncoding(line: Uint8Array, at: number): Guess | undefined {
  // Letters of UTF-8 in front of it: then the file is UTF-8, and this line is broken.
  if (line.subarray(0, at).some((byte) => byte >= 0x80)) return undefined;
  const text = new Decoder('windows-1252').decode(line);
  if (!WESTERN.test(text)) return undefined;
  const start = text.slice(0, at).search(/[^\s,;|"]*$/);
  const word = /^[^\s,;|"]*/.exec(text.slice(start))![0].slice(0, MOST_WORD_CHARACTERS);
  return { encoding: 'windows-1252', word };
}
