import { writeFile } from 'node:fs/promises';
import { expect } from 'chai';
import * as bertune from '../../lib/index.js';
import { useEnvironment } from '../hub/support.js';
import { useTemporaryDirectory } from '../lib/files.js';
import { ADAPTERS, writeTinyAdapter } from '../lib/tiny-adapters.js';
import { tinySplit, writeTinyCheckpoint } from '../lib/tiny-model.js';
import { argumentTable, type Subjects } from './argument-table.js';
import { HOSTILE_VALUES } from './hostile-values.js';
import { outcomeOf } from './outcome.js';
import { note, scaled } from './scale.js';

/** Codes that a refusal of an argument may have. */
const CODES = [
  'INVALID_OPTION',
  'INVALID_DATA',
  'SHAPE_MISMATCH',
  'NOT_FOUND',
  'HUB_UNAVAILABLE',
  'OUTPUT_REFUSED',
  'NON_FINITE_LOSS',
  'NON_FINITE_LOGITS',
  'TIMED_OUT',
];

const HOME = process.cwd();

/** What callers cannot name: the constructor, and what only the library's own modules call. */
const NOT_PUBLIC =
  'constructor exchange exclusively expectUsable forward has keepDecision keepTraining trainInLane withAdapters'.split(
    ' ',
  );

describe('hostile arguments', () => {
  const directory = useTemporaryDirectory();
  const environment = useEnvironment();
  let subjects: Subjects;

  beforeEach(async () => {
    environment({ HF_HUB_OFFLINE: '1', HF_HOME: directory.path('hub') });
    // What is taken for a path is written below the working directory.
    process.chdir(directory.path());
    const checkpoint = directory.path('base');
    const config = await writeTinyCheckpoint(checkpoint);
    await writeTinyAdapter(directory.path('adapter'), checkpoint, config, ADAPTERS.dense);
    await writeFile(directory.path('rows.csv'), 'text,label\na,no\nb,yes\n');
    const model = await bertune.TextClassifier.load(checkpoint, { device: 'cpu', threads: 1 });
    subjects = {
      checkpoint,
      adapter: directory.path('adapter'),
      directory: directory.path(),
      model,
      service: new bertune.PredictionService(model),
      tokenizer: await bertune.Tokenizer.load(checkpoint),
      split: tinySplit('train', 6, 1),
      file: directory.path('rows.csv'),
    };
  });

  afterEach(async () => {
    process.chdir(HOME);
    await subjects.service.dispose();
    await subjects.model.dispose();
  });

  it('are taken sensibly or refused by name, and leave the model as it was', async () => {
    const table = argumentTable(subjects);
    const { model } = subjects;
    const texts = tinySplit('probe', 5, 3).texts;
    const before = await model.predict(texts);
    const faults: string[] = [];
    const counts = { accepted: 0, refused: 0, own: 0, fault: 0 };
    const parts = scaled(10, 1);
    for (const [index, { path, named, call, accepts }] of Object.values(table).flat().entries()) {
      for (const [place, { name, make }] of HOSTILE_VALUES.entries()) {
        // In npm test -- --all every argument meets a tenth of the values, another one than its neighbors.
        if ((index + place) % parts !== 0) continue;
        const outcome = await outcomeOf(() => call(make() as never));
        counts[outcome.kind] += 1;
        const at = `${path} = ${name}`;
        // Where an option has a default, null stands for one that is not given, as undefined does.
        const given = name === 'null' && accepts.includes('undefined') ? 'undefined' : name;
        const sensible = accepts.includes(given) || accepts.includes('anything');
        if (outcome.kind === 'fault') faults.push(`${at}: ${outcome.what}`);
        if (outcome.kind === 'accepted' && !sensible) faults.push(`${at}: accepted`);
        if (outcome.kind !== 'refused') continue;
        const { code, message } = outcome;
        if (!CODES.includes(code)) faults.push(`${at}: ${code} ${message.slice(0, 300)}`);
        else if (!named.test(message)) faults.push(`${at}: not named in ${message.slice(0, 300)}`);
      }
      expect(await model.predict(texts), path).to.deep.equal(before);
    }
    expect(faults.join('\n')).to.equal('');
    expect(model.adapters).to.deep.equal([]);
    note(
      'hostile arguments: calls',
      Object.values(counts).reduce((a, b) => a + b),
    );
  }).timeout(600_000);

  it('have a row for every export, every method and every option of a Trainer', () => {
    const table = argumentTable(subjects);
    expect(Object.keys(table).sort()).to.deep.equal(Object.keys(bertune).sort());
    const paths = Object.values(table).flatMap((rows) => rows.map(({ path }) => path));
    for (const key of Object.keys(new bertune.Trainer(subjects.model).settings)) {
      expect(paths).to.include(`Trainer options.${key}`);
    }
    const { TextClassifier, Trainer, PredictionService, Tokenizer } = bertune;
    for (const type of [TextClassifier, Trainer, PredictionService, Tokenizer]) {
      const methods = Object.entries(Object.getOwnPropertyDescriptors(type.prototype))
        .filter(([name, { value }]) => typeof value === 'function' && !NOT_PUBLIC.includes(name))
        .map(([name]) => name);
      const rows = table[type.name]!.map(({ path }) => path.replace(/^service /, ''));
      for (const name of methods) {
        expect(
          rows.some((path) => path === name || path.startsWith(`${name} `)),
          `${type.name}.${name}`,
        ).to.equal(true);
      }
    }
  });

  it('cannot change what the library exports or hands out', () => {
    const { METHOD_KINDS, TASK_KINDS, SCHEDULES, BEST_METRICS, SAVE_STRATEGIES } = bertune;
    const { labels, config } = subjects.model;
    const { settings } = new bertune.Trainer(subjects.model, { classWeights: [1, 2, 3] });
    const all = [
      METHOD_KINDS,
      TASK_KINDS,
      SCHEDULES,
      BEST_METRICS,
      SAVE_STRATEGIES,
      labels,
      config,
      settings,
      settings.classWeights,
    ];
    for (const value of all) expect(value).to.satisfy(Object.isFrozen);
  });
});
