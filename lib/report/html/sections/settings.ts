import { formatSetting, NO_VALUE } from '../../../format.js';
import type { RunRecord } from '../../records.js';
import { swatch } from '../figure.js';
import { htmlTable, pairsTable } from '../table.js';

/** The settings of the runs: those that differ by run, then those that all share. Empty where nothing was trained. */
export function settingsSection(runs: readonly RunRecord[]): string {
  const trained = runs.map((run, index) => ({ run, index, settings: settingsOf(run) }));
  const shown = trained.filter(({ settings }) => settings.size > 0);
  const names = [...new Set(shown.flatMap(({ settings }) => [...settings.keys()]))];
  const isShared = (name: string) => new Set(shown.map(({ settings }) => settings.get(name))).size === 1;
  const pairs = names.filter(isShared).map((name) => [name, shown[0]?.settings.get(name) ?? ''] as const);
  const own = names.filter((name) => !isShared(name));
  const table = {
    columns: [{ title: 'method' }, ...own.map((title) => ({ title, align: 'right' as const }))],
    rows: shown.map(({ run, settings }) => [run.title, ...own.map((name) => settings.get(name) ?? NO_VALUE)]),
  };
  const marks = shown.map(({ index }) => swatch(index));
  return [
    own.length === 0 ? '' : `<h3>By run</h3>${htmlTable(table, 'Settings by run', marks)}`,
    pairs.length === 0
      ? ''
      : `<h3>${own.length === 0 ? 'All' : 'The same in all runs'}</h3>${pairsTable(pairs, 'Shared settings')}`,
  ].join('');
}

/** What is set, as words and texts; what is not set is left out. */
function settingsOf({ method, settings }: RunRecord): Map<string, string> {
  const { kind: _, ...options } = method;
  const entries = Object.entries({ ...options, ...settings }).map(
    ([name, value]) => [name.replaceAll('_', ' '), settingText(value)] as const,
  );
  return new Map(entries.filter(([, value]) => value !== ''));
}

/** A value of a setting; empty for one that is not set. */
function settingText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return formatSetting(value);
  if (Array.isArray(value)) return value.map(settingText).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
