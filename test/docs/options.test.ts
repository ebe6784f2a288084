import { join } from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';
import { FULL_OPTIONS } from '../../lib/methods/full.js';
import { LINEAR_OPTIONS } from '../../lib/methods/linear.js';
import { LOGREG_OPTIONS } from '../../lib/methods/logreg.js';
import { LORA_OPTIONS } from '../../lib/methods/lora.js';
import { PREFIX_OPTIONS } from '../../lib/methods/prefix.js';
import { ONNX_OPTIONS } from '../../lib/model/save.js';
import type { OptionTable } from '../../lib/options/table.js';
import { TRAINER_OPTIONS } from '../../lib/training/options.js';
import { ROOT } from './project.js';

/** Types of options that are made of a table. */
const TABLES: Readonly<Record<string, OptionTable>> = {
  TrainerOptions: TRAINER_OPTIONS,
  FullOptions: FULL_OPTIONS,
  LinearOptions: LINEAR_OPTIONS,
  LogregOptions: LOGREG_OPTIONS,
  PrefixOptions: PREFIX_OPTIONS,
  LoraOptions: LORA_OPTIONS,
  OnnxOptions: ONNX_OPTIONS,
};

/** What a user's editor shows of every option, by type: from the declarations that the package ships. */
function documentation(types: readonly string[]): Map<string, Map<string, string>> {
  const entry = join(ROOT, 'dist/index.d.ts');
  const program = ts.createProgram([entry], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    skipLibCheck: true,
    types: [],
  });
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!);
  return new Map(
    types.map((name) => {
      const alias = exported.find((symbol) => symbol.name === name)!;
      const type = checker.getDeclaredTypeOfSymbol(checker.getAliasedSymbol(alias));
      const text = (symbol: ts.Symbol) => ts.displayPartsToString(symbol.getDocumentationComment(checker));
      return [name, new Map(type.getProperties().map((option) => [option.name, text(option)]))];
    }),
  );
}

/** A default as a docstring writes it. */
function written(value: unknown): RegExp {
  if (typeof value === 'string') return new RegExp(`^'${value}'`);
  if (typeof value === 'number' && value >= 1e4) return new RegExp(`^${value.toLocaleString('en-US')}\\b`);
  return new RegExp(`^${value}\\b`);
}

describe('docstrings of options', () => {
  let found: Map<string, Map<string, string>>;
  before(function () {
    this.timeout(600_000);
    found = documentation(Object.keys(TABLES));
  });

  for (const [type, table] of Object.entries(TABLES)) {
    it(`are shown for every option, with the default of the table: ${type}`, () => {
      const docs = found.get(type)!;
      expect([...docs.keys()]).to.deep.equal(Object.keys(table));
      for (const [name, row] of Object.entries(table)) {
        const [, said] = /Defaults to (.*)\.$/s.exec(docs.get(name)!) ?? [];
        expect(said, `${type}.${name}: ${docs.get(name)}`).to.be.a('string');
        // What is none, depends or has words of its own in the help is told in words.
        if (
          row.default === undefined ||
          row.default === null ||
          Array.isArray(row.default) ||
          row.byDefault !== undefined
        )
          continue;
        expect(said, `${type}.${name}`).to.match(written(row.default));
      }
    });
  }
});
