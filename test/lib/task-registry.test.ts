import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import { TASK_KINDS, type Task, type TaskKind, taskOf, taskOfProblemType, usualTask } from '../../lib/tasks/index.js';

describe('the registry of tasks', () => {
  it('are a file each, and a line in the registry', async () => {
    const folder = new URL('../../lib/tasks/', import.meta.url);
    const defined: Task[] = [];
    for (const name of await readdir(folder)) {
      const exported = Object.values((await import(new URL(name, folder).href)) as Record<string, unknown>);
      const isTask = (value: unknown): value is Task =>
        typeof value === 'object' && value !== null && 'problemType' in value;
      const own = exported.filter(isTask);
      expect(own.length, name).to.be.at.most(1);
      defined.push(...own);
    }
    expect(defined.map(({ kind }) => kind)).to.have.members([...TASK_KINDS]);
  });

  it("have the names of config.json's problem_type", () => {
    expect(TASK_KINDS.map((kind) => taskOf(kind).problemType)).to.deep.equal([
      'single_label_classification',
      'multi_label_classification',
      'regression',
    ]);
    for (const kind of TASK_KINDS) expect(taskOfProblemType(taskOf(kind).problemType)).to.equal(kind);
    expect(taskOfProblemType('ranking')).to.equal(undefined);
  });

  it('have a usual one for each kind of labels', () => {
    expect((['class', 'classes', 'values'] as const).map(usualTask)).to.deep.equal(TASK_KINDS);
  });

  it('tell a model that has learnt nothing', () => {
    const judge = (kind: TaskKind, names: string[], labels: number[], predictions: number[]) => {
      const task = taskOf(kind);
      const [own, guesses] = [labels, predictions].map((values) => Float64Array.from(values));
      const scores = new Float64Array(4 * names.length);
      return task.noBetterThan(task.measure(own!, guesses!, names, scores).metrics);
    };
    const guess = 'An accuracy of 0.75 is no better than always answering a (0.75)';
    expect(judge('single-label', ['a', 'b'], [0, 0, 0, 1], [0, 0, 0, 0])).to.equal(guess);
    expect(judge('single-label', ['a', 'b'], [0, 0, 0, 1], [0, 0, 0, 1])).to.equal(null);
    expect(judge('single-label', ['a', 'b'], [0, 0, 0, 0], [0, 0, 0, 0])).to.equal(null);
    expect(judge('multi-label', ['a', 'b'], [1, 0, 0, 1], [0, 1, 0, 0])).to.equal('No label is ever predicted right');
    expect(judge('multi-label', ['a', 'b'], [1, 0, 0, 1], [1, 0, 0, 0])).to.equal(null);
    expect(judge('multi-label', ['a', 'b'], [0, 0, 0, 0], [0, 1, 0, 0])).to.equal(null);
    const mean = 'An R² of 0 is no better than always answering the mean';
    expect(judge('regression', ['value'], [1, 2, 3], [2, 2, 2])).to.equal(mean);
    expect(judge('regression', ['value'], [1, 2, 3], [1, 2, 3])).to.equal(null);
    expect(judge('regression', ['value'], [2, 2, 2], [1, 2, 3])).to.equal(null);
  });
});
