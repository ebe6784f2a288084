import { formatSetting, NO_VALUE } from '../../../format.js';
import type { RunRecord } from '../../records.js';
import { factList, folded, htmlTable, swatch } from '../elements.js';

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
    own.length === 0 ? '' : `<h3>By run</h3>${htmlTable(table, 'Settings by run', { rows: marks })}`,
    pairs.length === 0 ? '' : `<h3>${own.length === 0 ? 'All' : 'The same in all runs'}</h3>${settingsList(pairs)}`,
  ].join('');
}

/** The settings that are told first; the others have to be unfolded. */
const MAIN = [
  ...['learning rate', 'epochs', 'max steps', 'batch size', 'gradient accumulation', 'schedule', 'warmup steps'],
  ...['weight decay', 'dropout', 'rank', 'alpha', 'targets', 'virtual tokens', 'max length', 'class weights', 'seed'],
];

/** Settings of one run, or of all: those that matter most, the others folded. */
export function settingsList(pairs: readonly (readonly [name: string, value: string])[]): string {
  const main = MAIN.flatMap((name) => pairs.filter((pair) => pair[0] === name));
  const others = pairs.filter((pair) => !main.includes(pair));
  return factList(main) + (others.length === 0 ? '' : folded('Other settings', factList(others)));
}

/** What is set, as words and texts; what is not set is left out. */
export function settingsOf({ method, settings }: RunRecord): Map<string, string> {
  const { kind: _, ...options } = method;
  const entries = Object.entries({ ...options, ...settings }).map(
    ([name, value]) => [name.replaceAll('_', ' '), settingText(value)] as const,
  );
  return new Map(entries.filter(([, value]) => value !== ''));
}

/** A value of a setting; empty for one that is not set. */
function settingText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return formatSetting(Number.isInteger(value) ? value : Number(value.toPrecision(6)));
  if (Array.isArray(value)) return value.map(settingText).join(', ');
  if (typeof value !== 'object') return String(value);
  return Object.keys(value).length === 0 ? '' : JSON.stringify(value);
}
