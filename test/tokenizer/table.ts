// Prints how many texts each kind of tokenizer encodes otherwise than Hugging Face's library:
//
//     node --import tsx test/tokenizer/table.ts [part of a name]
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFINITIONS, differences, TEXTS } from './differences.js';

const names = Object.keys(DEFINITIONS).filter((name) => name.includes(process.argv[2] ?? ''));
const width = Math.max(...names.map(({ length }) => length));
const directory = await mkdtemp(join(tmpdir(), 'bertune-tokenizers-'));
let all = 0;
console.log(`${'tokenizer'.padEnd(width)}  texts that differ of ${TEXTS.length}  cut or in pairs  characters`);
try {
  for (const name of names) {
    const { singles, further, characters } = await differences(name, directory);
    all += singles.length + further.length + Number(characters);
    console.log(
      `${name.padEnd(width)}  ${String(singles.length).padStart(25)}  ${String(further.length).padStart(15)}  ${characters ? 'differ' : 'same'}`,
    );
    for (const text of singles.slice(0, 3)) console.log(`    ${JSON.stringify(text)}`);
  }
} finally {
  await rm(directory, { recursive: true });
}
console.log(`${names.length} tokenizers, ${all} differences`);
process.exitCode = all === 0 ? 0 : 1;
