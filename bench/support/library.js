// The library's own modules, from its sources.
import { register } from 'tsx/esm/api';

register();

/** A module of lib, e.g. 'model/session'. */
export function load(module) {
  return import(new URL(`../../lib/${module}.ts`, import.meta.url).href);
}
