import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import { TASK_KINDS, type Task, taskOf, taskOfProblemType } from '../../lib/tasks/index.js';

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
});
