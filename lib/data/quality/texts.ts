import { formatCount } from '../../format.js';
import { taskOf } from '../../tasks/index.js';
import { PIECES, type Slices } from '../../time-slice.js';
import { foldedKey, textKey } from '../same-texts.js';
import { SPLIT_NAMES, type Split, type SplitName, type TextDataset } from '../types.js';
import { areWords } from './classes.js';
import { type Finding, isMissingText, listed, quoted, SPLIT_WORDS } from './finding.js';

/** A share of texts that hold their label's name is no accident. */
const LEAK = 0.9;

/** What is to be said of the texts of a data set: of a million, in seconds. */
export function* textFindings(data: TextDataset): Slices<Finding[]> {
  const splits = SPLIT_NAMES.flatMap((name) => data[name] ?? []);
  const missing = yield* missingTexts(splits);
  const leak = yield* labelsInTexts(data);
  const copies = new Copies(splits);
  yield* copies.scan();
  return [missing, leak, copies.conflicts(), copies.repeats(), ...(yield* copies.shared())].flatMap(
    (finding) => finding ?? [],
  );
}

function* missingTexts(splits: readonly Split[]): Slices<Finding | undefined> {
  const found = new Map<string, number>();
  let count = 0;
  let total = 0;
  for (const { texts, pairs } of splits) {
    total += texts.length;
    for (let row = 0; row < texts.length; row++) {
      if (row % PIECES === 0) yield;
      const text = [texts[row]!, ...(pairs ? [pairs[row]!] : [])].find(isMissingText)?.trim();
      if (text === undefined) continue;
      count += 1;
      found.set(text, (found.get(text) ?? 0) + 1);
    }
  }
  if (count === 0) return undefined;
  const kinds = [...found].sort((a, b) => b[1] - a[1]);
  const words = kinds.map(([text, rows]) => `${text === '' ? 'empty' : quoted(text)} ${formatCount(rows)}`);
  return {
    kind: 'text-missing',
    splits: [],
    count,
    total,
    examples: kinds.map(([text]) => text),
    text: `${formatCount(count)} of ${formatCount(total)} ${noun(splits)}s are empty or look like missing values (${words.join(', ')}): remove these rows`,
  };
}

function* labelsInTexts({ train }: TextDataset): Slices<Finding | undefined> {
  if (
    train === undefined ||
    taskOf(train.task).labels !== 'class' ||
    train.labelNames.length < 3 ||
    !areWords(train.labelNames)
  )
    return undefined;
  const names = train.labelNames.map((name) => name.toLowerCase());
  const total = train.texts.length;
  let count = 0;
  for (let row = 0; row < total; row++) {
    if (row % PIECES === 0) yield;
    if (train.texts[row]!.toLowerCase().includes(names[train.labels[row]!]!)) count += 1;
    // Most data need no second look.
    else if (row + 1 - count > (1 - LEAK) * total) return undefined;
  }
  const example = train.texts[0]!;
  return {
    kind: 'label-in-text',
    splits: ['train'],
    count,
    total,
    examples: [example],
    text:
      `${formatCount(count)} of ${formatCount(total)} training texts hold the name of their own label, e.g. ${quoted(example)}: ` +
      'a model that reads it there learns nothing else; take it out of the texts',
  };
}

/** Texts that occur more than once, in one split or in several. */
class Copies {
  /** The text of each row, of all splits in turn: texts are counted from 0. */
  readonly #text: Int32Array;
  /** Of each text: rows in all splits, the first of them in its split, the splits it is in (a bit each). */
  readonly #rows: Int32Array;
  readonly #first: Row[] = [];
  readonly #in: Uint8Array;
  readonly #conflicting = new Set<number>();
  #conflict: { example: string; labels: string[] } | undefined;
  readonly #repeated: { rows: number; example: string; times: number }[] = [];

  constructor(private readonly splits: readonly Split[]) {
    const total = splits.reduce((sum, { texts }) => sum + texts.length, 0);
    this.#text = new Int32Array(total);
    this.#rows = new Int32Array(total);
    this.#in = new Uint8Array(total);
  }

  *scan(): Slices<void> {
    const differ = labelsDiffer(this.splits);
    const known = new Map<string, number>();
    let row = 0;
    for (const [i, split] of this.splits.entries()) {
      const times = new Int32Array(this.#text.length);
      const repeated = { rows: 0, row: 0, times: 1 };
      for (let own = 0; own < split.texts.length; own++, row++) {
        if (row % PIECES === 0) yield;
        const key = textKey(split, own);
        let text = known.get(key);
        if (text === undefined) {
          text = known.size;
          known.set(key, text);
          this.#first.push({ split, row: own });
        } else if (differ(this.#first[text]!, { split, row: own })) {
          this.#conflicting.add(text);
          this.#conflict ??= {
            example: exampleOf(split, own),
            labels: [this.#first[text]!, { split, row: own }].map(labelWords),
          };
        }
        this.#text[row] = text;
        this.#rows[text]! += 1;
        this.#in[text]! |= 1 << i;
        times[text]! += 1;
        if (times[text]! > 1) repeated.rows += 1;
        if (times[text]! > repeated.times) Object.assign(repeated, { row: own, times: times[text] });
      }
      const { rows, row: first, times: most } = repeated;
      this.#repeated.push({ rows, example: exampleOf(split, first), times: most });
    }
  }

  conflicts(): Finding | undefined {
    if (this.#conflict === undefined) return undefined;
    const total = this.#text.length;
    const count = [...this.#conflicting].reduce((sum, text) => sum + this.#rows[text]!, 0);
    const { size } = this.#conflicting;
    const { example, labels } = this.#conflict;
    return {
      kind: 'conflicting-labels',
      splits: [],
      count,
      total,
      examples: [example],
      text:
        `${formatCount(size)} ${size === 1 ? `${noun(this.splits)} has` : `${noun(this.splits)}s have`} different labels in ` +
        `different rows (${formatCount(count)} of ${formatCount(total)} rows), e.g. ${example} as ` +
        `${labels.join(' and ')}: decide on one`,
    };
  }

  repeats(): Finding | undefined {
    const repeated = this.splits
      .flatMap((split, i) => ({ split, ...this.#repeated[i]! }))
      .filter(({ rows }) => rows > 0);
    const [most] = [...repeated].sort((a, b) => b.times - a.times);
    if (most === undefined) return undefined;
    const words = repeated.map(
      ({ split: { name, texts }, rows }) =>
        `${formatCount(rows)} of ${formatCount(texts.length)} ${SPLIT_WORDS[name as SplitName]}`,
    );
    const count = repeated.reduce((sum, { rows }) => sum + rows, 0);
    return {
      kind: 'repeated-texts',
      splits: repeated.map(({ split }) => split.name as SplitName),
      count,
      total: repeated.reduce((sum, { split }) => sum + split.texts.length, 0),
      examples: [most.example],
      text:
        `${words.join(', ')} ${noun(this.splits)}s ${count === 1 ? 'repeats an earlier one of its' : 'repeat earlier ones of their'} ` +
        `split, e.g. ${most.example} ${formatCount(most.times)} times: remove copies that are not meant`,
    };
  }

  /** Of each two splits: the rows of the later whose text is in the earlier too, to the letter or nearly. */
  *shared(): Slices<Finding[]> {
    const findings: Finding[] = [];
    if (this.splits.length < 2) return findings;
    const nearly = yield* this.#foldedSplits();
    let start = 0;
    for (const [later, split] of this.splits.entries()) {
      const exact = this.splits.map(() => 0);
      const near = this.splits.map(() => 0);
      const examples: string[] = [];
      for (let own = 0; own < split.texts.length; own++) {
        if (own % PIECES === 0) yield;
        const within = this.#in[this.#text[start + own]!]!;
        const folded = nearly(split, own);
        for (let earlier = 0; earlier < later; earlier++) {
          const isExact = (within & (1 << earlier)) !== 0;
          if (isExact) exact[earlier]! += 1;
          else if ((folded & (1 << earlier)) !== 0) near[earlier]! += 1;
          else continue;
          examples[earlier] ??= exampleOf(split, own);
        }
      }
      start += split.texts.length;
      for (let earlier = 0; earlier < later; earlier++) {
        if (exact[earlier]! + near[earlier]! === 0) continue;
        findings.push(this.#sharing(earlier, later, exact[earlier]!, near[earlier]!, examples[earlier]!));
      }
    }
    return findings;
  }

  #sharing(earlier: number, later: number, exact: number, near: number, example: string): Finding {
    const [first, second] = [this.splits[earlier]!.name as SplitName, this.splits[later]!.name as SplitName];
    const total = this.splits[later]!.texts.length;
    const one = noun(this.splits);
    const said = exact || near;
    const are = said === 1 ? `is a ${SPLIT_WORDS[first]} ${one}` : `are ${SPLIT_WORDS[first]} ${one}s`;
    const how =
      exact === 0
        ? ' but for case and spaces'
        : near === 0
          ? ' too'
          : ` too, ${formatCount(near)} more but for case and spaces`;
    return {
      kind: 'shared-texts',
      splits: [first, second],
      count: exact + near,
      total,
      examples: [example],
      text:
        `${formatCount(said)} of ${formatCount(total)} ${SPLIT_WORDS[second]} ${one}s ${are}${how}, e.g. ${example}: ` +
        'keep each in one split, or the metrics will be too good',
    };
  }

  /** In which splits a row's text is but for case and spaces (a bit each). The first split is the large one, as a rule: its texts are not kept. */
  *#foldedSplits(): Slices<(split: Split, row: number) => number> {
    const bits = new Map<string, number>();
    const [first, ...others] = this.splits;
    for (const [i, split] of others.entries()) {
      for (let row = 0; row < split.texts.length; row++) {
        if (row % PIECES === 0) yield;
        const text = foldedKey(split, row);
        bits.set(text, (bits.get(text) ?? 0) | (2 << i));
      }
    }
    for (let row = 0; row < first!.texts.length; row++) {
      if (row % PIECES === 0) yield;
      const text = foldedKey(first!, row);
      const others = bits.get(text);
      if (others !== undefined) bits.set(text, others | 1);
    }
    return (split, row) => (split === first ? 0 : bits.get(foldedKey(split, row))!);
  }
}

interface Row {
  readonly split: Split;
  readonly row: number;
}

/**
 * Whether two rows of one text contradict each other: other labels, or values that are further apart than half of the range
 * that all values have. Ratings of several people differ, and their mean is what is learnt.
 */
function labelsDiffer(splits: readonly Split[]): (a: Row, b: Row) => boolean {
  const [first] = splits;
  const kind = first === undefined ? 'class' : taskOf(first.task).labels;
  if (kind === 'class') return (a, b) => a.split.labels[a.row] !== b.split.labels[b.row];
  const width = first!.labelNames.length;
  const most = kind === 'classes' ? first!.labelNames.map(() => 0) : ranges(splits, width).map((range) => range / 2);
  return (a, b) =>
    most.some(
      (distance, i) => Math.abs(a.split.labels[a.row * width + i]! - b.split.labels[b.row * width + i]!) > distance,
    );
}

/** How far apart the least and the greatest of each value are. */
function ranges(splits: readonly Split[], width: number): number[] {
  return Array.from({ length: width }, (_, column) => {
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const { labels } of splits) {
      for (let i = column; i < labels.length; i += width) {
        least = Math.min(least, labels[i]!);
        most = Math.max(most, labels[i]!);
      }
    }
    return most - least;
  });
}

/** A row's labels in a line. */
function labelWords({ split: { task, labels, labelNames }, row }: Row): string {
  const width = labelNames.length;
  const own = () => Array.from(labels.subarray(row * width, (row + 1) * width));
  switch (taskOf(task).labels) {
    case 'class':
      return quoted(labelNames[labels[row]!]!);
    case 'classes': {
      const names = labelNames.filter((_, i) => own()[i] === 1);
      return names.length === 0 ? 'no label' : listed(names.map(quoted), ' + ');
    }
    case 'values':
      return own()
        .map((value) => String(Number(value.toPrecision(6))))
        .join(', ');
  }
}

function noun([first]: readonly Split[]): string {
  return first?.pairs === undefined ? 'text' : 'pair';
}

function exampleOf({ texts, pairs }: Split, row: number): string {
  return [texts[row]!, ...(pairs ? [pairs[row]!] : [])].map(quoted).join(' / ');
}
