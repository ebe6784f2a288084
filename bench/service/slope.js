/** Least squares: how much `key` grows a minute over samples of `{ minutes, [key] }`. */
export function slope(samples, key) {
  const mean = (name) => samples.reduce((sum, sample) => sum + sample[name], 0) / samples.length;
  const [x, y] = [mean('minutes'), mean(key)];
  let [above, below] = [0, 0];
  for (const sample of samples) {
    above += (sample.minutes - x) * (sample[key] - y);
    below += (sample.minutes - x) ** 2;
  }
  return above / below;
}
