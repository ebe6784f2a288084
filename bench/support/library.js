// The library's own modules: as npm run build compiled them, or else (where there is no compiler) its sources through tsx.
import { existsSync } from 'node:fs';

const dist = new URL('../../dist/', import.meta.url);
const compiled = existsSync(new URL('native/index.js', dist));
if (!compiled) (await import('tsx/esm/api')).register();

/** A module of lib, e.g. 'model/session'. */
export function load(module) {
  return import(
    compiled ? new URL(`${module}.js`, dist).href : new URL(`../../lib/${module}.ts`, import.meta.url).href
  );
}
