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

/** A box in pixels. */
interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** A label that has found its place. */
interface Placed {
  readonly index: number;
  readonly text: string;
  /** Where the text starts, and its middle. */
  readonly x: number;
  readonly y: number;
}

/**
 * Sets labels of the ends of lines under one another, each as near to its line as the others let it.
 *
 * @param heights the ends of the lines in pixels
 * @param from where the first may stand, `to` the last
 * @returns a height per label; null where there is no room for all
 */
export function spread(heights: readonly number[], from: number, to: number): number[] | null {
  const room = (to - from) / LINE_HEIGHT;
  if (heights.length - 1 > room) return null;
  const order = heights.map((_, index) => index).sort((a, b) => heights[a]! - heights[b]!);
  const places: number[] = [];
  let last = from - LINE_HEIGHT;
  for (const index of order) {
    last = Math.max(heights[index]!, last + LINE_HEIGHT);
    places[index] = last;
  }
  let next = to + LINE_HEIGHT;
  for (const index of order.reverse()) {
    next = Math.min(places[index]!, next - LINE_HEIGHT);
    places[index] = next;
  }
  return places;
}

/** Pixels between a point and its label, and the side of a point's own box. */
const GAP = 9;
const POINT = 6;

/**
 * Finds a place beside each point where its label covers no other label and no point.
 *
 * @param points with their texts, in pixels
 * @param bounds where labels may be
 * @returns the labels that found a place
 */
export function placeLabels(points: readonly { x: number; y: number; text: string }[], bounds: Box): Placed[] {
  const taken: Box[] = points.map(({ x, y }) => ({
    left: x - POINT,
    top: y - POINT,
    right: x + POINT,
    bottom: y + POINT,
  }));
  return points.flatMap(({ x, y, text }, index) => {
    const width = textWidth(text);
    for (const shift of [0, 1, -1, 1.6, -1.6, 2.4, -2.4]) {
      for (const left of [x + GAP, x - GAP - width, x - width / 2]) {
        const middle = y + shift * LINE_HEIGHT;
        const box = { left, top: middle - LINE_HEIGHT / 2, right: left + width, bottom: middle + LINE_HEIGHT / 2 };
        if (!inside(box, bounds) || taken.some((other) => overlap(box, other))) continue;
        taken.push(box);
        return [{ index, text, x: left, y: middle }];
      }
    }
    return [];
  });
}

/** Whether two boxes share an area. */
export function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function inside(box: Box, bounds: Box): boolean {
  return box.left >= bounds.left && box.right <= bounds.right && box.top >= bounds.top && box.bottom <= bounds.bottom;
}
