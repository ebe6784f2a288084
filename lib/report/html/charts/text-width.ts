/** Pixels of the charts' text. */
export const FONT_SIZE = 13;

/** Pixels between the lines of labels under one another. */
export const LINE_HEIGHT = 15.5;

/**
 * Estimates how wide text is in a system font without a browser: from above, so that what does not overlap by it does not
 * overlap on a screen.
 *
 * @returns pixels at FONT_SIZE
 */
export function textWidth(text: string): number {
  let em = 0;
  for (const character of text) {
    if (/[\u1100-\uffdc]|\p{Extended_Pictographic}/u.test(character)) em += 1.1;
    else if (/\p{Mn}|\u200d|\ufe0f/u.test(character)) em += 0;
    else if (/[iljtfrI.,:;'|!()[\] ]/.test(character)) em += 0.4;
    else em += /[mwMW@%_]|\p{Lu}/u.test(character) ? 0.85 : 0.62;
  }
  return em * FONT_SIZE;
}

/** Text cut to a width, with an ellipsis where it was cut. */
export function fitText(text: string, pixels: number): string {
  if (textWidth(text) <= pixels) return text;
  const characters = [...new Intl.Segmenter('en').segment(text.slice(0, 200))].map(({ segment }) => segment);
  while (characters.length > 1 && textWidth(`${characters.join('')}…`) > pixels) characters.pop();
  return `${characters.join('').trimEnd()}…`;
}
