/** Brings what several members give together, once all of them have: those that leave are not waited for. */
export class Meeting<Given, Got> {
  readonly #members: Set<number>;
  readonly #meet: (given: ReadonlyMap<number, Given>) => Promise<ReadonlyMap<number, Got>>;
  readonly #here = new Map<number, { given: Given; resolve: (got: Got) => void; reject: (cause: unknown) => void }>();

  /**
   * @param members at first
   * @param meet makes of what each has given, by member in rising order, what each gets
   */
  constructor(
    members: Iterable<number>,
    meet: (given: ReadonlyMap<number, Given>) => Promise<ReadonlyMap<number, Got>>,
  ) {
    this.#members = new Set(members);
    this.#meet = meet;
  }

  /** Waits for the others. @throws what `meet` throws */
  come(member: number, given: Given): Promise<Got> {
    return new Promise((resolve, reject) => {
      this.#here.set(member, { given, resolve, reject });
      this.#beginWhenComplete();
    });
  }

  /** It comes no more. */
  leave(member: number): void {
    this.#members.delete(member);
    this.#beginWhenComplete();
  }

  #beginWhenComplete(): void {
    if (this.#here.size === 0 || this.#here.size < this.#members.size) return;
    const here = [...this.#here].sort(([a], [b]) => a - b);
    this.#here.clear();
    this.#meet(new Map(here.map(([member, { given }]) => [member, given]))).then(
      (got) => {
        for (const [member, { resolve }] of here) resolve(got.get(member)!);
      },
      (cause) => {
        for (const [, { reject }] of here) reject(cause);
      },
    );
  }
}
