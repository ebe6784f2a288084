/*
 * Saves models to a disk that fails at every call in turn. Run with the shim: node --import tsx save-program.ts FOLDER
 * FULL-FAULTS. FOLDER holds `model` and `control`; what is under FOLDER/disk fails. Prints one JSON line with what was
 * tried, and what went wrong.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BertuneError, full, lora, type Method, prefix, TextClassifier, Trainer } from '../../../lib/index.js';
import { LABELS, tinySplit } from '../../lib/tiny-model.js';
import { Controls, type Deed } from './shim.js';

const [folder, thorough] = [process.argv[2]!, process.argv[3] === 'long'];
const disk = join(folder, 'disk');
const controls = new Controls(join(folder, 'control'));
const target = join(disk, 'saved');
const TEXTS = ['the day was good and happy', 'never sad', 'perhaps we might'];

/** What may go wrong at a call, and at how many after it. */
const FAULTS: { deed: Deed; more: number }[] = [
  { deed: 'EIO', more: 0 },
  { deed: 'ENOSPC', more: 0 },
  { deed: 'EROFS', more: 1_000_000 },
  ...(thorough
    ? ([
        { deed: 'EIO', more: 1 },
        { deed: 'EDQUOT', more: 0 },
        { deed: 'EMFILE', more: 2 },
        { deed: 'short', more: 0 },
        { deed: 'short', more: 1_000_000 },
        { deed: 'EINTR', more: 0 },
      ] as const)
    : []),
];

const tried = { calls: 0, refused: 0, carriedThrough: 0 };
const wrong: string[] = [];

/** Every file below a directory, by name, with its digest; links and leftovers too. */
function contents(directory: string, under = ''): Record<string, string> {
  if (!existsSync(directory)) return {};
  return Object.fromEntries(
    readdirSync(directory).flatMap((name) => {
      const path = join(directory, name);
      if (lstatSync(path).isDirectory()) return Object.entries(contents(path, `${under}${name}/`));
      return [[`${under}${name}`, createHash('sha256').update(readFileSync(path)).digest('hex')] as const];
    }),
  );
}

const isTemporary = (name: string) => /\.tmp$|journal|\.lock$/.test(basename(name));
/** A file that could not be locked stays: another process may have it. */
const isLock = (error: unknown) => error instanceof BertuneError && error.message.startsWith('Expected to lock');
/** Locking says it in the words of the system. */
const says = (message: string, deed: Deed) => message.includes(deed) || message.startsWith('Expected to lock');
const withoutTemporary = (files: Record<string, string>) =>
  Object.fromEntries(Object.entries(files).filter(([name]) => !isTemporary(name)));
const same = (a: object, b: object) => JSON.stringify(a) === JSON.stringify(b);

async function trained(method: Method, seed: number): Promise<TextClassifier> {
  const model = await TextClassifier.load(join(folder, 'model'), { labels: LABELS, device: 'cpu', threads: 1 });
  await new Trainer(model, { method, maxSteps: 1, batchSize: 4, learningRate: 1e-2, seed }).train(
    tinySplit('train', 4, seed),
  );
  return model;
}

/** Saves `model` over what `before` saved (null: into no directory), with each call going wrong in turn. */
async function check(title: string, model: TextClassifier, before: TextClassifier | null): Promise<void> {
  const prepare = async () => {
    rmSync(target, { recursive: true, force: true });
    if (before) await before.save(target);
    return contents(target);
  };
  const old = await prepare();
  controls.arm({ at: 0, deed: 'EIO' });
  await model.save(target, { overwrite: true });
  const calls = controls.disarm();
  const whole = contents(target);
  const predicted = JSON.stringify(await model.predict(TEXTS));
  for (const { deed, more } of FAULTS) {
    // In `npm test -- --all` one call in forty, others for every fault.
    const stride = thorough ? (deed === 'EIO' || deed === 'ENOSPC' ? 1 : 3) : 40;
    for (
      let at = 1 + (FAULTS.findIndex((fault) => fault.deed === deed && fault.more === more) % stride);
      at <= calls;
      at += stride
    ) {
      const fail = (what: string) =>
        wrong.push(`${title}: ${deed} at call ${at} of ${calls} and ${more} more: ${what}`);
      await prepare();
      controls.arm({ at, more, deed });
      const error: unknown = await model.save(target, { overwrite: true }).then(
        () => null,
        (cause: unknown) => cause ?? 'rejected with nothing',
      );
      if (controls.disarm() < at) continue;
      tried.calls++;
      const found = contents(target);
      const lasting = more > 1;
      if (error === null) {
        tried.carriedThrough++;
        if (!same(withoutTemporary(found), whole)) fail('saved without an error, but not whole');
      } else {
        tried.refused++;
        if (deed === 'short' || deed === 'EINTR') fail(`refused: ${String(error)}`);
        if (!(error instanceof BertuneError) || error.code !== 'OUTPUT_REFUSED')
          fail(`no OUTPUT_REFUSED: ${String(error)}`);
        else if (!error.message.includes(target) || !says(error.message, deed)) fail(`says only: ${error.message}`);
        const state = withoutTemporary(found);
        const isNew = same(state, whole);
        // Where nothing can be taken back any more, the file that makes it a model is missing.
        const isNone = lasting && before === null && !('config.json' in state);
        if (!same(state, old) && !isNew && !isNone && !existsSync(join(target, '.bertune-journal.json'))) {
          fail(`neither the old files nor the new: ${Object.keys(state).join(' ')}`);
        }
        const left = Object.keys(found).filter((name) => isTemporary(name) && !(isLock(error) && /\.lock$/.test(name)));
        if (!lasting && left.length > 0) fail(`left ${left.join(' ')}`);
      }
      if (JSON.stringify(await model.predict(TEXTS)) !== predicted) fail('the model predicts otherwise');
      // The disk is well again.
      await model.save(target, { overwrite: true }).catch((cause) => fail(`the next save failed: ${String(cause)}`));
      if (!same(contents(target), whole))
        fail(`the next save left other files: ${Object.keys(contents(target)).join(' ')}`);
    }
  }
}

const models = {
  full: await trained(full(), 1),
  'another full': await trained(full(), 2),
  lora: await trained(lora({ rank: 2 }), 1),
  'wider lora': await trained(lora({ rank: 4 }), 2),
  prefix: await trained(prefix({ virtualTokens: 2 }), 1),
};
await check('full into a new directory', models.full, null);
await check('wider lora over lora', models['wider lora'], models.lora);
await check('full over lora', models.full, models.lora);
if (thorough) {
  await check('full over another full', models.full, models['another full']);
  await check('prefix over lora', models.prefix, models.lora);
  await check('lora over full', models.lora, models.full);
}
for (const model of Object.values(models)) await model.dispose();
controls.close();
console.log(JSON.stringify({ tried, wrong }));
