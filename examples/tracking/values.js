/** The numbers of a row of the log, without its step. Trackers take no NaN. */
export function valuesOf({ step: _, ...row }) {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => Number.isFinite(value)));
}

/** What a run was set to, one value each: `method.rank`. */
export function settingsOf({ settings }) {
  const { method, ...others } = settings;
  const all = [
    ...Object.entries(others),
    ...Object.entries(method).map(([name, value]) => [`method.${name}`, value]),
  ].filter(([, value]) => value !== null);
  return Object.fromEntries(all.map(([name, value]) => [name, typeof value === 'object' ? JSON.stringify(value) : value]));
}
