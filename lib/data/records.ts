import type { BertuneError } from '../errors.js';
import { isObject } from '../files/json.js';
import type { DatasetOptions } from './types.js';

/** A row of a file, with all that is read of it. */
export interface DataRecord {
  /** Where it starts: its line, or its row in a Parquet file, from 1. */
  readonly place: number;
  /** The names of its columns (C), in the file's order. */
  readonly columns: readonly string[];
  /**
   * The value of each column (C): strings in delimited files; in JSON what JSON has; in Parquet besides bigint (INT64),
   * Date and Uint8Array (bytes that are no text).
   */
  readonly values: readonly unknown[];
  /** An object of JSON as it is written, which its values may not be: numbers beyond 2^53, NaN, keys that are integers. */
  readonly json?: string;
  /** The rows that it would be if quotes meant nothing, where these would all be whole. */
  readonly unquoted?: readonly (readonly string[])[] | undefined;
  /** The value of a column, or of a nested one by its path, e.g. `review.body`; undefined where there is none. */
  get(column: string): unknown;
}

/** What a file has for columns, known before its first record. */
export interface FileColumns {
  /** In the file's order; of JSON, those of the first object. */
  readonly names: readonly string[];
  /** The paths of nested columns, e.g. `review.body`. */
  readonly nested: readonly string[];
  /** Whether the names are the first line of a delimited file. */
  readonly isHeader?: boolean;
  /** The first records, where columns have no names but are numbered: `1`, `2`, … */
  readonly sample?: readonly DataRecord[];
  /** The classes that a column's integers count, where the file names them. */
  classNames?(column: string): readonly string[] | undefined;
}

/** The columns of a file's texts. */
export interface TextColumns {
  text: string;
  /** The second text of a pair; undefined for single texts. */
  pair?: string | undefined;
}

/** The columns of a file that matter. */
export interface Columns extends TextColumns {
  /** undefined where a file may do without and does, or has a column for each label. */
  label: string | undefined;
  /** A column for each label; undefined where one column has them. */
  labels?: readonly string[] | undefined;
}

/** How a file's records are read. */
export interface RecordOptions
  extends Pick<DatasetOptions, 'encoding' | 'delimiter' | 'quoting' | 'header' | 'signal'> {
  /** Called once, with the file's columns: says which to decode; the others may be undefined. Defaults to all. */
  columns?: (columns: FileColumns) => readonly string[];
  /** Called with what is worth knowing about how the file was read. Defaults to nothing. */
  onNote?: (note: string) => void;
  /** Called in place of throwing at a row that cannot be read, which is then left out. Defaults to throwing. */
  onInvalid?: (invalid: InvalidRow) => void;
  /** Called as the file is read, with the share of it that is, from 0 to 1. Defaults to none. */
  onProgress?: (share: number) => void;
}

/** A row that cannot be read. */
export interface InvalidRow {
  /** What is wrong, as in "15 rows ...", e.g. `without a label`. */
  readonly reason: string;
  readonly place: number;
  readonly error: BertuneError;
}

/** How many paths are listed, and how deep they go. */
const MOST_PATHS = 50;
const MOST_LEVELS = 4;

/** The value at a path of an object; undefined where there is none. A name that has the dot itself goes first. */
export function valueAt(object: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(object, path)) return object[path];
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    const name = path.slice(0, dot);
    const inner = Object.hasOwn(object, name) ? object[name] : undefined;
    const value = isObject(inner) ? valueAt(inner, path.slice(dot + 1)) : undefined;
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The column that a path is in: the path itself, or the name in front of one of its dots; undefined for none. */
export function columnOf(path: string, names: readonly string[]): string | undefined {
  if (names.includes(path)) return path;
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    if (names.includes(path.slice(0, dot))) return path.slice(0, dot);
  }
  return undefined;
}

/** The paths of the values in the objects that an object holds. */
export function nestedPaths(object: Readonly<Record<string, unknown>>): string[] {
  const paths: string[] = [];
  const visit = (value: Readonly<Record<string, unknown>>, above: string, level: number) => {
    for (const [name, inner] of Object.entries(value)) {
      if (paths.length >= MOST_PATHS) return;
      if (isObject(inner) && level < MOST_LEVELS) visit(inner, `${above}${name}.`, level + 1);
      else if (level > 0) paths.push(above + name);
    }
  };
  visit(object, '', 0);
  return paths;
}
