import { BertuneError } from '../../errors.js';
import { formatSetting } from '../../format.js';
import { definitionOf, expectMethod, type MethodKind } from '../../methods/index.js';
import type { DeviceOptions } from '../../model/device.js';
import { applies } from '../../options/table.js';
import type { CellValue } from '../../report/records.js';
import { isOptionOf, TRAINER_OPTIONS, type TrainerOptions } from '../../training/options.js';
import { cellId } from './cell-id.js';
import type { PlannedCell, PlannedData, PlannedModel } from './plan.js';
import { type Axis, drawsOf, expectFew, gridOf, isSeed, isSpan, type Point } from './space.js';

/** What the cells of a sweep are made of. */
export interface SweepParts {
  readonly axes: readonly Axis[];
  readonly models: readonly PlannedModel[];
  readonly data: readonly PlannedData[];
  readonly where: DeviceOptions;
  readonly grace: number | null;
  /** Combinations to draw, each with every seed; null: all of them. */
  readonly random: { readonly count: number; readonly seed: number } | null;
}

/** Draws for each cell that is wanted, before it is said that there are not so many. */
const PATIENCE = 100;

/** Those that take more than one value, but for the seed: they are in titles and tables. */
export function variedAxes(axes: readonly Axis[]): Axis[] {
  return axes.filter((axis) => !isSeed(axis) && (isSpan(axis.values) || axis.values.length > 1));
}

/**
 * The cells of a sweep, each once. An option of one method makes no difference to the others, nor does one that a method has no
 * use for, or that only applies with another.
 *
 * @throws BertuneError INVALID_OPTION
 */
export function cellsOf(parts: SweepParts): PlannedCell[] {
  const { axes, random } = parts;
  const cells = new Map<string, PlannedCell>();
  const add = (point: Point) => {
    const cell = cellOf(point, parts);
    if (!cells.has(cell.id)) cells.set(cell.id, cell);
  };
  if (random === null) {
    for (const point of gridOf(axes)) add(point);
    return [...cells.values()];
  }
  const seeds = gridOf(axes.filter(isSeed));
  expectFew(random.count * seeds.length);
  let draws = 0;
  for (const point of drawsOf(
    axes.filter((axis) => !isSeed(axis)),
    random.seed,
  )) {
    for (const seed of seeds) add(new Map([...point, ...seed]));
    if (cells.size >= random.count * seeds.length) return [...cells.values()];
    if (++draws > PATIENCE * (random.count + 10)) break;
  }
  throw new BertuneError(
    'INVALID_OPTION',
    `Expected ${random.count} different combinations to draw but the values come to ${cells.size / seeds.length}`,
  );
}

function cellOf(point: Point, parts: SweepParts): PlannedCell {
  const of = (what: 'model' | 'data' | 'method') => [...point].find(([{ target }]) => target.of === what)?.[1];
  const [model, data] = [Number(of('model') ?? 0), Number(of('data') ?? 0)];
  const kind = (of('method') ?? 'full') as MethodKind;
  const own = new Map([...point].filter(([axis]) => isOf(axis, kind, point)));
  const named = (what: 'trainer' | 'options') =>
    Object.fromEntries(
      [...own].flatMap(([{ target }, value]) => (target.of === what ? [[target.name, value] as const] : [])),
    );
  const method = expectMethod('method', { kind, ...named('options') });
  const options: Omit<TrainerOptions, 'method'> = named('trainer');
  const { where, grace } = parts;
  const id = cellId({ model: parts.models[model]!.digest, data: parts.data[data]!, method, options, where, grace });
  const definition = definitionOf(kind);
  const varied = variedAxes(parts.axes).filter((axis) => own.has(axis));
  const text = (axis: Axis) => valueText(axis, own.get(axis), parts);
  const inTitle = varied.filter(
    ({ target }) => target.of !== 'method' && !(target.of === 'options' && target.name === definition.size?.option),
  );
  const group = [definition.title(method), ...inTitle.map((axis) => wordsOf(axis, text(axis)))].join(', ');
  const seed = [...own].find(([axis]) => isSeed(axis));
  return {
    id,
    title: seed === undefined ? group : `${group}, seed ${String(seed[1])}`,
    group,
    values: Object.fromEntries(varied.map((axis) => [axis.name, text(axis)])),
    ...{ model, data, method, options },
  };
}

/** Whether a setting does anything in the cell of a point. */
function isOf(axis: Axis, kind: MethodKind, point: Point): boolean {
  const { target } = axis;
  if (target.of === 'options') return target.methods.includes(kind);
  if (target.of !== 'trainer') return true;
  if (!isOptionOf(kind, target.name, point.get(axis))) return false;
  const settingOf = (name: string) =>
    [...point].find(([{ target: other }]) => other.of === 'trainer' && other.name === name)?.[1] ??
    TRAINER_OPTIONS[name as keyof typeof TRAINER_OPTIONS].default;
  return applies(TRAINER_OPTIONS[target.name].onlyWith, (other) => [settingOf(other)]);
}

function valueText({ target }: Axis, value: unknown, { models, data }: SweepParts): CellValue {
  if (target.of === 'model') return models[Number(value)]!.name;
  if (target.of === 'data') return data[Number(value)]!.record.source;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string') return value;
  return Array.isArray(value) ? value.join(' ') : JSON.stringify(value);
}

function wordsOf({ name, target }: Axis, value: CellValue): string {
  if (target.of === 'model' || target.of === 'data') return String(value);
  if (typeof value === 'boolean') return value ? name : `without ${name}`;
  return `${name} ${typeof value === 'number' ? formatSetting(value) : value}`;
}
