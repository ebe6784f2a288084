import { readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { ModelConfig } from '../../lib/architectures/index.js';
import { BertuneError } from '../../lib/errors.js';
import { parseConfig, readConfig } from '../../lib/formats/checkpoint/config.js';
import {
  bitfit,
  countParameters,
  expectMethod,
  full,
  linear,
  lora,
  type Method,
  methodPlan,
  prefix,
  trainedNames,
} from '../../lib/methods/index.js';

const FIXTURES = new URL('../fixtures/', import.meta.url);
const readJson = (name: string) => JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8'));

const DENSE_LAYERS = ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'];

/** PEFT's names without its prefixes. */
function canonicalName(name: string): string {
  return name
    .replace(/^base_model\.(model\.)?/, '')
    .replace('.modules_to_save.default', '')
    .replace('prompt_encoder.default.', 'prompt_encoder.')
    .replace(/\.lora_([AB])\.default\./, '.lora_$1.');
}

function codeOf(work: () => unknown): [string, string] {
  try {
    work();
  } catch (error) {
    if (error instanceof BertuneError) return [error.code, error.message];
    throw error;
  }
  return ['none', ''];
}

describe('methods', () => {
  let base: ModelConfig;
  let small: ModelConfig;

  before(async () => {
    base = await readConfig(new URL('bert-base-uncased', FIXTURES).pathname);
    small = { ...base, vocabSize: 64, hiddenSize: 32, layers: 2, heads: 1, feedForwardSize: 64 };
  });

  const COUNTED: Record<string, Method> = {
    full: full(),
    linear: linear(),
    prefix20: prefix(),
    prefix20_frozen_head: prefix({ trainHead: false }),
    prefix20_noproj: prefix({ projection: false }),
    lora4: lora({ rank: 4 }),
    lora8: lora(),
    lora16: lora({ rank: 16 }),
    lora32: lora({ rank: 32 }),
    lora8_dense_layers: lora({ targets: DENSE_LAYERS }),
  };

  for (const [name, method] of Object.entries(COUNTED)) {
    it(`counts ${name} as the reference does at bert-base's dimensions`, () => {
      expect(countParameters(method, base, 6)).to.deep.equal(readJson('counts.json')[name]);
    });
  }

  it('counts every method that the reference has', () => {
    expect(Object.keys(COUNTED)).to.have.members(Object.keys(readJson('counts.json')));
  });

  const DECAYED: Record<string, Method> = {
    full: full(),
    linear: linear(),
    lora: lora({ rank: 4 }),
    lora_dense_layers: lora({ rank: 4, targets: DENSE_LAYERS }),
    prefix: prefix({ virtualTokens: 3 }),
    prefix_noproj: prefix({ virtualTokens: 3, projection: false }),
  };

  for (const [name, method] of Object.entries(DECAYED)) {
    it(`trains and decays under ${name} what Trainer does`, () => {
      const expected: { decay: string[]; no_decay: string[] } = readJson('decay.json')[name];
      const plan = methodPlan(method, small, 6);
      const trained = plan.parameters.filter(({ trainable }) => trainable);
      const decayed = trained.filter(({ decay }) => decay).map(({ name }) => name);
      expect(decayed).to.have.members(expected.decay.map(canonicalName));
      expect(trainedNames(plan)).to.have.members([...expected.decay, ...expected.no_decay].map(canonicalName));
    });
  }

  it('trains under BitFit every bias and the head', () => {
    // Of a layer: query, key, value, output of attention, its LayerNorm, F, the output, its LayerNorm; the embeddings'
    // LayerNorm and the pooler.
    const biases = 12 * (7 * 768 + 3072) + 2 * 768;
    expect(countParameters(bitfit(), base, 6)).to.deep.equal({ trainable: biases + 6 * 768 + 6, total: 109_486_854 });
    const { parameters } = methodPlan(bitfit(), small, 3, 'probe');
    for (const { name, group, trainable } of parameters) {
      expect(trainable, name).to.equal(name.endsWith('.bias') || group === 'head');
    }
  });

  it('takes a new method in its own file, the registry and the public face', () => {
    const lib = new URL('../../lib/', import.meta.url);
    const files = readdirSync(lib, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const named = files.filter((name) => /bitfit/i.test(readFileSync(new URL(name, lib), 'utf8')));
    expect(named.sort()).to.deep.equal(['index.ts', 'methods/bitfit.ts', 'methods/registry.ts']);
  });

  it('trains nothing without a method', () => {
    expect(countParameters(null, base, 6)).to.deep.equal({ trainable: 0, total: 109_486_854 });
  });

  it('counts models without token types, and with narrow embeddings', async () => {
    const count = async (name: string) =>
      countParameters(null, await readConfig(new URL(`families/bases/${name}`, FIXTURES).pathname), 4).total;
    expect(await count('distilbert')).to.equal(298_392);
    expect(await count('electra')).to.equal(246_788);
    expect(codeOf(() => countParameters(null, { ...base, modelType: 'gpt2' }, 4))[0]).to.equal('INVALID_OPTION');
    expect(codeOf(() => countParameters(null, { ...base, embeddingSize: 0 }, 4))[0]).to.equal('INVALID_OPTION');
  });

  it('scales LoRA by alpha / rank, alpha being 4 · rank by default', () => {
    expect(methodPlan(lora({ rank: 16 }), small, 3).lora?.updates[0]?.scaling).to.equal(4);
    expect(methodPlan(lora({ rank: 16, alpha: 8 }), small, 3).lora?.updates[0]?.scaling).to.equal(0.5);
  });

  it('updates the queries and values of the architecture where no targets are named, as PEFT', () => {
    const updated = (model_type: string) =>
      methodPlan(lora({ layers: [1] }), { ...parseConfig({ model_type }), layers: 2 }, 3).lora?.updates.map(
        ({ weight }) => weight.name,
      );
    expect(updated('distilbert')).to.deep.equal([
      'distilbert.transformer.layer.1.attention.q_lin.weight',
      'distilbert.transformer.layer.1.attention.v_lin.weight',
    ]);
    expect(updated('roberta')).to.deep.equal([
      'roberta.encoder.layer.1.attention.self.query.weight',
      'roberta.encoder.layer.1.attention.self.value.weight',
    ]);
  });

  it('freezes at whole dots: layer 1 is not layer 10', () => {
    const deep = { ...small, layers: 11 };
    const trainable = trainedNames(methodPlan(full({ freeze: ['embeddings', 'encoder.layer.1'] }), deep, 3));
    expect(trainable.some((name) => name.startsWith('bert.encoder.layer.10.'))).to.equal(true);
    expect(trainable.some((name) => name.startsWith('bert.encoder.layer.1.'))).to.equal(false);
    expect(trainable.some((name) => name.includes('embeddings'))).to.equal(false);
  });

  it('refuses a freeze that names nothing, or everything', () => {
    const [code, message] = codeOf(() => methodPlan(full({ freeze: ['encoder.layer.7'] }), small, 3));
    expect(code).to.equal('INVALID_OPTION');
    expect(message).to.contain('"encoder.layer.7"');
    expect(codeOf(() => methodPlan(full({ freeze: ['bert', 'classifier'] }), small, 3))[0]).to.equal('INVALID_OPTION');
  });

  it('refuses more virtual tokens than the model has positions for', () => {
    const [code, message] = codeOf(() => methodPlan(prefix({ virtualTokens: 511 }), base, 6));
    expect(code).to.equal('INVALID_OPTION');
    expect(message).to.contain('510');
    expect(methodPlan(prefix({ virtualTokens: 510 }), base, 6).prefix?.virtualTokens).to.equal(510);
  });

  it('keeps a probe under full, replaces a classifier under linear, refuses a probe under adapters', () => {
    expect(methodPlan(full(), small, 3, 'probe').head).to.equal('probe');
    expect(methodPlan(linear(), small, 3, 'classifier').head).to.equal('probe');
    expect(codeOf(() => methodPlan(lora(), small, 3, 'probe'))[0]).to.equal('INVALID_OPTION');
    expect(codeOf(() => methodPlan(prefix(), small, 3, 'probe'))[0]).to.equal('INVALID_OPTION');
  });

  const REFUSED: [string, () => unknown, string][] = [
    ['rank 0', () => lora({ rank: 0 }), 'Expected a positive integer for rank but received 0'],
    ['a rank of 1.5', () => lora({ rank: 1.5 }), 'Expected a positive integer for rank but received 1.5'],
    ['alpha 0', () => lora({ alpha: 0 }), 'for alpha'],
    ['dropout 1', () => lora({ dropout: 1 }), 'for dropout'],
    ['no targets', () => lora({ targets: [] }), 'for targets'],
    ['an unknown target', () => methodPlan(lora({ targets: ['queri'] }), small, 3), 'queri'],
    ['0 virtual tokens', () => prefix({ virtualTokens: 0 }), 'for virtualTokens'],
    ['a misspelt option', () => lora({ rnak: 4 } as object), 'did you mean rank?'],
    ['an option of another method', () => expectMethod('method', { kind: 'lora', virtualTokens: 4 }), 'virtualTokens'],
    ['an unknown kind', () => expectMethod('method', { kind: 'ia3' }), 'one of full, linear, prefix, lora'],
    ['no method', () => expectMethod('method', 'lora'), 'an object'],
  ];

  for (const [what, work, words] of REFUSED) {
    it(`refuses ${what}`, () => {
      const [code, message] = codeOf(work);
      expect(code).to.equal('INVALID_OPTION');
      expect(message).to.contain(words);
    });
  }

  it('fills what a plain object leaves out', () => {
    expect(expectMethod('method', { kind: 'lora', rank: 2 })).to.deep.equal(lora({ rank: 2 }));
    expect(expectMethod('method', prefix())).to.deep.equal(prefix());
  });
});
