import stringWidth from 'string-width';

/** Columns of what is printed where no terminal says how many it has. */
export const USUAL_WIDTH = 100;

/**
 * Breaks a text at spaces into lines of at most `width` columns. A word that is longer stays whole: paths and names are
 * copied from where they are printed.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && stringWidth(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return [...lines, line];
}

/** The columns of the longest word of a text. */
export function longestWord(text: string): number {
  return Math.max(...text.split(' ').map((word) => stringWidth(word)));
}
