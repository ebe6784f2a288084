import { isObject } from '../files/json.js';

/* Nested columns are named by their path, e.g. `review.body`. A name that has the dot itself goes first. */

/** How many paths are listed, and how deep they go. */
const MOST_PATHS = 50;
const MOST_LEVELS = 4;

/** The value at a path of an object; undefined where there is none. */
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
