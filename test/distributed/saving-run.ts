import type { ChildProcess } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import type { TrainerOptions } from '../../lib/training/options.js';
import { ended, firstStep } from './launch.js';
import { ranksOf } from './processes.js';
import type { Program } from './program.js';

/** Seconds that ranks wait for each other in the run that is cut short; the others may be slow. */
const LIMIT = 2;

interface Begun {
  /** Its processes, a moment after the first step. */
  ranks: ReturnType<typeof ranksOf>;
  ending: ReturnType<typeof ended>;
}

/** A run of two ranks that saves on its way, to be cut short, and to go on as if it never had been. */
export class SavingRun {
  readonly #start: (program: Program) => ChildProcess;
  readonly #where: Pick<Program, 'model' | 'device'>;
  readonly #steps: number;

  /** @param start starts two ranks of a program */
  constructor(start: (program: Program) => ChildProcess, where: Pick<Program, 'model' | 'device'>, steps: number) {
    this.#start = start;
    this.#where = where;
    this.#steps = steps;
  }

  /** The digest of what it comes to where nothing happens. */
  async whole(output: string): Promise<string> {
    return this.#end(this.#start(this.#program(output, {})));
  }

  /** Begins it, and waits so many milliseconds more than its first step takes. */
  async begin(output: string, milliseconds: number): Promise<Begun> {
    const child = this.#start(this.#program(output, { collectiveTimeout: LIMIT }));
    const ending = ended(child);
    await firstStep(child);
    await wait(milliseconds);
    return { ranks: ranksOf(child.pid!), ending };
  }

  /** The digest of what it comes to from its last checkpoint on. */
  async goOn(output: string): Promise<string> {
    return this.#end(this.#start(this.#program(output, {}, 'latest')));
  }

  async #end(child: ChildProcess): Promise<string> {
    const { outcomes, errors, code } = await ended(child);
    const said = outcomes.map(({ error }) => error?.message ?? '');
    expect(code, `${errors}${said.join('\n')}`).to.equal(0);
    const [first, second, ...others] = outcomes.map(({ digest }) => digest);
    expect([second, ...others]).to.deep.equal([first]);
    return first!;
  }

  #program(output: string, own: TrainerOptions, resume?: string): Program {
    const saved = { outputDirectory: output, saveStrategy: 'steps', saveSteps: 10, saveTotalLimit: 2 } as const;
    const options = { ...own, ...saved, maxSteps: this.#steps };
    const from = resume === undefined ? {} : { resume };
    return { ...this.#where, precision: 'fp32', runs: [{ method: 'full', options, ...from }] };
  }
}
