/** A point of a curve. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Below so many points a curve is shown as it is. */
const SMOOTHED_POINTS = 24;
/** The curve is smoothed over one part in so many of its length. */
const PARTS = 20;

/**
 * An exponential moving average without its bias towards the first value.
 *
 * @returns one point a point; the points themselves where there are few
 */
export function smooth(points: readonly Point[]): readonly Point[] {
  if (points.length < SMOOTHED_POINTS) return points;
  const weight = 1 - PARTS / points.length;
  if (weight <= 0) return points;
  let sum = 0;
  let norm = 0;
  return points.map(({ x, y }) => {
    if (Number.isFinite(y)) {
      sum = weight * sum + (1 - weight) * y;
      norm = weight * norm + (1 - weight);
    }
    return { x, y: norm > 0 ? sum / norm : Number.NaN };
  });
}

/** At most `count` of the points, evenly taken, the last among them. */
export function thin(points: readonly Point[], count: number): readonly Point[] {
  if (points.length <= count) return points;
  const step = (points.length - 1) / (count - 1);
  return Array.from({ length: count }, (_, index) => points[Math.round(index * step)]!);
}
