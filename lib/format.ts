/** What stands in a cell that has no value. */
export const NO_VALUE = '-';

const MEBIBYTE = 1024 * 1024;

/** A whole number in groups of three: `109,486,854`. */
export function formatCount(value: number): string {
  return value.toFixed(0).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** A measured number with a fixed count of decimals; `-` where there is none, `nan` and `inf` as words. */
export function formatFixed(value: number | null | undefined, decimals: number): string {
  if (value === null || value === undefined) return NO_VALUE;
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf';
  return value.toFixed(decimals);
}

/** A metric or a loss: four decimals. */
export function formatMetric(value: number | null | undefined): string {
  return formatFixed(value, 4);
}

/** Bytes as mebibytes (2^20 bytes, what PyTorch users print as "MB"), two decimals. */
export function formatMebibytes(bytes: number | null | undefined): string {
  return formatFixed(bytes === null || bytes === undefined ? bytes : bytes / MEBIBYTE, 2);
}

/** Seconds for a table: two decimals. */
export function formatSeconds(seconds: number | null | undefined): string {
  return formatFixed(seconds, 2);
}

/** A share of a whole as percent: `100 %`, `2.33 %`, `0.0421 %`. */
export function formatShare(part: number, whole: number): string {
  if (whole <= 0) return NO_VALUE;
  const percent = (100 * part) / whole;
  if (percent >= 99.995) return percent > 100.005 ? `${percent.toFixed(0)} %` : '100 %';
  return `${percent >= 0.1 || percent === 0 ? percent.toFixed(2) : percent.toPrecision(2)} %`;
}

/** A setting as people write it: `16`, `0.01`, `3e-4`. */
export function formatSetting(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-2 ? value.toExponential() : String(value);
}

/** A number in three digits, which tell losses and shares apart: `0.0123`. */
export function formatShort(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** A span of time as a clock shows it: `0:07`, `12:05`, `1:02:03`; `-:--` where it is not known. */
export function formatClock(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds) || seconds < 0) return '-:--';
  const whole = Math.round(seconds);
  const pad = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}
