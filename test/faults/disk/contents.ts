import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

/** Keys of JSON files that tell when, how fast, and how much memory the process took: no two runs share them. */
const OF_TIME = /runtime|per_second|seconds|created|peak$/;

/** Every file below a directory, with `/` between parts, sorted. */
export function listFiles(directory: string, under = ''): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .flatMap((name) => {
      const path = join(directory, name);
      return lstatSync(path).isDirectory() ? listFiles(path, `${under}${name}/`) : [`${under}${name}`];
    })
    .sort();
}

/** What a run left behind, file by file, without what tells the time, and with its directory's name taken out. */
export function contentsOf(directory: string): Record<string, string> {
  const files = listFiles(directory).filter((name) => !/(^|\/)(report\.html|manifest\.json)$/.test(name));
  return Object.fromEntries(files.map((name) => [name, comparable(directory, name)]));
}

function comparable(directory: string, name: string): string {
  const bytes = readFileSync(join(directory, name));
  if (!/(trainer_state|results|run)\.json$/.test(name)) {
    const text = bytes.toString('latin1').replaceAll(directory, '<output>');
    return createHash('sha256').update(text).digest('hex');
  }
  const untimed = JSON.parse(bytes.toString('utf8').replaceAll(directory, '<output>'), (key, value: unknown) =>
    OF_TIME.test(key) ? undefined : value,
  ) as unknown;
  return JSON.stringify(untimed);
}

/** Checks that two runs left the same. */
export function expectSame(found: Record<string, string>, wanted: Record<string, string>, where: string): void {
  expect(Object.keys(found), where).to.deep.equal(Object.keys(wanted));
  for (const [name, text] of Object.entries(wanted)) {
    const other = found[name]!;
    if (other === text) continue;
    const at = [...text].findIndex((letter, i) => letter !== other[i]);
    const part = (whole: string) => whole.slice(Math.max(0, at - 60), at + 60);
    expect.fail(`${where}: ${name} is …${part(other)}… in place of …${part(text)}…`);
  }
}

/** Names of what is only there while something is written. */
export function leftovers(directory: string): string[] {
  return listFiles(directory).filter((name) => /\.tmp(\/|$)|\.bertune/.test(name));
}

/** Names of the checkpoints in a directory. */
export function checkpoints(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter((name) => /^checkpoint-\d+$/.test(name));
}

/** Checks every checkpoint-N against its manifest, without the library. Returns how many there were. */
export function expectWholeCheckpoints(directory: string, where: string): number {
  const names = checkpoints(directory);
  for (const name of names) {
    const at = join(directory, name);
    const path = join(at, 'manifest.json');
    expect(existsSync(path), `${where}: ${name} has a manifest`).to.equal(true);
    const { files } = JSON.parse(readFileSync(path, 'utf8')) as {
      files: Record<string, { size: number; sha256: string }>;
    };
    expect(listFiles(at), `${where}: files of ${name}`).to.deep.equal([...Object.keys(files), 'manifest.json'].sort());
    for (const [file, { size, sha256 }] of Object.entries(files)) {
      const bytes = readFileSync(join(at, file));
      expect(bytes.length, `${where}: bytes of ${name}/${file}`).to.equal(size);
      expect(createHash('sha256').update(bytes).digest('hex'), `${where}: ${name}/${file}`).to.equal(sha256);
    }
  }
  return names.length;
}
