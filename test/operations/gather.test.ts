import { expect } from 'chai';
import { type Case, devices, type Operation, places, proveValues, Random, run, starts } from './harness.js';

const gatherBatch: Operation = {
  name: 'gather_batch',
  formula(args) {
    const offsets = args.ints('dataset_offsets');
    const order = Array.from(args.ints('order')).slice(args.size('order_begin', 0));
    const source = order.flatMap((example) => range(offsets[example]!, offsets[example + 1]!));
    const lengths = order.map((example) => offsets[example + 1]! - offsets[example]!);
    const ids = Int32Array.from(source, (i) => args.ints('dataset_ids')[i]!);
    const places = Int32Array.from(lengths.flatMap((length) => range(0, length)));
    const positions = args.has('dataset_positions')
      ? Int32Array.from(source, (i) => args.ints('dataset_positions')[i]!)
      : places;
    const sorted = (key: Int32Array) =>
      Int32Array.from(range(0, source.length).sort((a, b) => key[a]! - key[b]! || a - b));
    return {
      ids,
      token_types: Int32Array.from(source, (i) =>
        args.has('dataset_token_types') ? args.ints('dataset_token_types')[i]! : 0,
      ),
      positions,
      ...(args.has('dataset_labels') && { labels: Int32Array.from(order, (i) => args.ints('dataset_labels')[i]!) }),
      ...(args.has('dataset_targets') && {
        targets: Float64Array.from(
          order.flatMap((i) => [
            ...args.floats('dataset_targets').subarray(i * args.size('NC'), (i + 1) * args.size('NC')),
          ]),
        ),
      }),
      cu_seqlens: starts(lengths),
      ...(args.size('sort_tokens', 0) === 1 && { tokens_by_id: sorted(ids), tokens_by_position: sorted(positions) }),
    };
  },
};

function range(begin: number, end: number): number[] {
  return Array.from({ length: end - begin }, (_, i) => begin + i);
}

function gatherCase(title: string, lengths: number[], order: number[], sizes: Record<string, number>): Case {
  const random = new Random(lengths.length);
  const count = lengths.reduce((sum, length) => sum + length);
  const T = order.reduce((sum, example) => sum + lengths[example]!, 0);
  return {
    title,
    tensors: {
      dataset_ids: random.integers(count, 12),
      dataset_token_types: random.integers(count, 2),
      dataset_offsets: starts(lengths),
      dataset_labels: random.integers(lengths.length, 6),
      order: Int32Array.from(order),
      ids: new Int32Array(T).fill(-7),
      token_types: new Int32Array(T).fill(-7),
      positions: new Int32Array(T).fill(-7),
      labels: new Int32Array(order.length).fill(-7),
      cu_seqlens: new Int32Array(order.length + 1).fill(-7),
      tokens_by_id: new Int32Array(T).fill(-7),
      tokens_by_position: new Int32Array(T).fill(-7),
    },
    sizes,
  };
}

/** The case with positions of the data set's own: some −1, none above its token's place. */
function positioned(item: Case): Case {
  const offsets = item.tensors.dataset_offsets as Int32Array;
  const random = new Random(offsets.length);
  const positions = Array.from(offsets.slice(1), (end, i) =>
    range(0, end - offsets[i]!).map((place) => random.integers(1, place + 2)[0]! - 1),
  ).flat();
  return { ...item, tensors: { ...item.tensors, dataset_positions: Int32Array.from(positions) } };
}

/** The case with targets in place of labels. */
function targeted(item: Case, NC: number): Case {
  const { dataset_labels, ...tensors } = item.tensors;
  const random = new Random(NC);
  return {
    title: item.title,
    tensors: {
      ...tensors,
      dataset_targets: random.normal(dataset_labels!.length * NC),
      targets: new Float64Array(tensors.labels!.length * NC).fill(7777.5),
    },
    sizes: { ...item.sizes, NC },
  };
}

const lengths = [4, 1, 19, 7, 2, 33, 5];
const unlabelled = gatherCase('without labels and token types', lengths, [2, 0], { sort_tokens: 1 });
delete unlabelled.tensors.dataset_labels;
delete unlabelled.tensors.dataset_token_types;

/** `count` examples of one to three tokens. */
function short(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 1 + ((i * 7) % 3));
}
const later = gatherCase('examples later in the order', lengths, [6, 1, 5, 2, 0], { sort_tokens: 1 });
later.sizes.order_begin = 2;
for (const name of ['labels', 'cu_seqlens']) later.tensors[name] = later.tensors[name]!.slice(2);
const skipped = lengths[6]! + lengths[1]!;
for (const name of ['ids', 'token_types', 'positions', 'tokens_by_id', 'tokens_by_position']) {
  later.tensors[name] = later.tensors[name]!.slice(skipped);
}

proveValues(gatherBatch, [
  gatherCase('one token', [1], [0], { sort_tokens: 1 }),
  gatherCase('examples in another order', lengths, [5, 1, 3, 0, 6], { sort_tokens: 1 }),
  gatherCase('an example twice', lengths, [4, 4, 2], { sort_tokens: 1 }),
  gatherCase('the whole data set', lengths, [0, 1, 2, 3, 4, 5, 6], {}),
  unlabelled,
  later,
  positioned(gatherCase('positions of the data set', lengths, [5, 1, 3, 0, 6], { sort_tokens: 1 })),
  positioned(gatherCase('positions of many tokens', short(300), range(0, 300), { sort_tokens: 1 })),
  ...[1, 2, 3, 28].map((NC) => targeted(gatherCase(`${NC} targets`, lengths, [5, 1, 3, 0, 6], {}), NC)),
  targeted(gatherCase('targets of many examples', short(300), range(0, 300).reverse(), { sort_tokens: 1 }), 28),
  positioned(gatherCase('positions, not sorted', lengths, [2, 4], {})),
  // On CUDA: more sequences than a block has threads, and tokens than a tile.
  gatherCase('many examples', short(300), range(0, 300).reverse(), { sort_tokens: 1 }),
  // More sequences than fit the shared memory that is planned for them.
  gatherCase('very many examples', short(2100), range(0, 2100).reverse(), { sort_tokens: 1 }),
  // More tokens than are sorted among themselves, and than are merged at once.
  gatherCase('a token more than a window', [2000, 49], [1, 0], { sort_tokens: 1 }),
  positioned(gatherCase('positions of several windows', short(2100), range(0, 2100), { sort_tokens: 1 })),
  gatherCase('long examples', new Array(66).fill(500), range(0, 66).reverse(), { sort_tokens: 1 }),
]);

for (const device of devices()) {
  it(`leaves labels alone where the data set has none, on ${device.device}`, async () => {
    const { labels } = await run('gather_batch', places(device)[0]!, unlabelled.tensors, unlabelled.sizes);
    expect(Array.from(labels!)).to.deep.equal([-7, -7]);
  });
}
