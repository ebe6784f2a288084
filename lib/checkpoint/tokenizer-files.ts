import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BertuneError } from '../errors.js';
import { isFile } from '../input.js';
import { dataFile, type OutputFile } from '../output.js';

/** Files that make up a tokenizer; the first is needed, the others are copied where they are. */
const TOKENIZER_FILES = ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt', 'special_tokens_map.json'];

/**
 * The tokenizer's files of a directory, read into memory to be written elsewhere.
 *
 * @throws BertuneError NOT_FOUND where there is no tokenizer.json
 */
export async function tokenizerFiles(directory: string): Promise<OutputFile[]> {
  const files: OutputFile[] = [];
  for (const name of TOKENIZER_FILES) {
    const path = join(directory, name);
    if (await isFile(path)) files.push(dataFile(name, await readFile(path)));
  }
  if (files[0]?.name !== TOKENIZER_FILES[0]) {
    throw new BertuneError(
      'NOT_FOUND',
      `Expected the tokenizer's ${TOKENIZER_FILES[0]} in ${directory} but there is none`,
    );
  }
  return files;
}
