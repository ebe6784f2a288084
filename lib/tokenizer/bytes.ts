/**
 * The characters that GPT-2 writes for the bytes of UTF-8: themselves where they can be seen, others from U+0100 on
 * elsewhere.
 */
export const BYTE_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const isSeen = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  if (isSeen) return String.fromCharCode(byte);
  const before = byte <= 0x20 ? byte : byte <= 0xa0 ? byte - 0x7f + 0x21 : 0x43;
  return String.fromCharCode(0x100 + before);
});

/** Each byte of a text in UTF-8 as such a character. */
export function byteLevel(text: string): string {
  return text.replace(/[\0- \x7f-\u{10ffff}]/gu, (character) => {
    return Array.from(Buffer.from(character), (byte) => BYTE_CHARACTERS[byte]!).join('');
  });
}
