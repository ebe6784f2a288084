import { architectureOf, type ModelConfig } from '../../architectures/index.js';
import { nativeModel } from '../../architectures/native.js';
import type { ParameterRow } from '../../architectures/rows.js';
import type { NativeActivation } from '../../native/index.js';
import type { Part, Role } from '../../native/roles.js';
import { DTYPES, GraphBuilder, type Value } from './graph.js';
import { quantised, transposed, type Weights } from './weights.js';

/** What the weights of the encoder's products and of its table of words are written in. */
export type OnnxWeights = 'fp32' | 'int8';

/** A classifier, as its graph is made of it. */
export interface OnnxClassifier {
  config: ModelConfig;
  /** NC */
  labels: number;
  /** Every parameter. Which there are says what the model has: a pooler, token types, a probe. */
  rows: Iterable<ParameterRow>;
  /** By the names of the rows; they must not change until the file is written. */
  values: ReadonlyMap<string, Float32Array>;
  /** Keys and values of virtual tokens (P, 2LC), and P; null: there are none. */
  prefix: { virtualTokens: number; values: Float32Array } | null;
}

/** Outside of the layers. */
const NO_LAYER = -1;

/** Of torch.nn.LayerNorm, and so of the probe's. */
const PROBE_EPS = 1e-5;

/** What is added to the score of a token that is padding: e to this power is 0. */
const MASKED = -10_000;

/**
 * Largest byte of a table, and of a product's weight. The latter has seven bits: processors without VNNI add two products of
 * bytes in 16 bits, which 2 · 255 · 127 would overflow (onnxruntime calls it reduce_range).
 */
const MOST_IN_TABLE = 127;
const MOST_IN_PRODUCT = 64;

/**
 * The graph of a classifier: input_ids, attention_mask and, where the model tells segments apart, token_type_ids (B, T) int64
 * → logits (B, NC). It is laid out as the optimizer of ONNX Runtime expects of a BERT, so that it puts its own kernels for
 * attention, LayerNorm and GELU in place of their parts.
 */
export function classifierGraph(model: OnnxClassifier, weights: OnnxWeights): GraphBuilder {
  return new ClassifierGraph(model, weights).build();
}

class ClassifierGraph {
  readonly #graph = new GraphBuilder();
  readonly #model: OnnxClassifier;
  readonly #weights: OnnxWeights;
  readonly #rows: ReadonlyMap<string, ParameterRow>;
  /** Inputs of products in bytes: those of query, key and value are one. */
  readonly #quantised = new Map<Value, ReturnType<GraphBuilder['dynamicQuantize']>>();

  constructor(model: OnnxClassifier, weights: OnnxWeights) {
    this.#model = model;
    this.#weights = weights;
    this.#rows = new Map([...model.rows].map((row) => [keyOf(row), row]));
  }

  build(): GraphBuilder {
    const graph = this.#graph;
    const { config, labels } = this.#model;
    const ids = graph.input('input_ids', 'int64', ['batch', 'sequence']);
    const mask = graph.input('attention_mask', 'int64', ['batch', 'sequence']);
    const bias = this.#maskBias(mask);
    const prefixShape = this.#prefixShape(ids);
    let x = this.#embeddings(ids);
    for (let layer = 0; layer < config.layers; layer++) x = this.#layer(x, layer, bias, prefixShape);
    graph.output(this.#head(x), 'float', ['batch', labels]);
    return graph;
  }

  /** word[id] + position + token type, → LayerNorm → a Linear where the embeddings are narrower: (B, T, C). */
  #embeddings(ids: Value): Value {
    const graph = this.#graph;
    const { layerNormEps, embeddingSize } = this.#model.config;
    let x = graph.node('Add', [this.#words(ids), this.#positions(ids)]);
    const types = this.#tokenTypes();
    if (types !== null) x = graph.node('Add', [x, types]);
    graph.describe(x, 'float', ['batch', 'sequence', embeddingSize]);
    x = this.#layerNorm(x, 'embedding_norm', NO_LAYER, layerNormEps);
    return this.#has('embedding_projection') ? this.#linear(x, 'embedding_projection', NO_LAYER) : x;
  }

  /** Rows of the table of words (B, T, E). */
  #words(ids: Value): Value {
    const graph = this.#graph;
    if (this.#weights === 'fp32') return graph.node('Gather', [this.#parameter('word'), ids]);
    const { bytes, scales } = this.#inBytes('word', NO_LAYER, MOST_IN_TABLE, 'rows');
    const rows = graph.node('Cast', [graph.node('Gather', [bytes, ids])], { to: DTYPES.float });
    return graph.node('Mul', [rows, graph.node('Unsqueeze', [graph.node('Gather', [scales, ids])], { axes: [-1] })]);
  }

  /** Rows of the table of positions: (T, E) where they count a text's tokens, (B, T, E) where padding is not counted. */
  #positions(ids: Value): Value {
    const graph = this.#graph;
    const { config, prefix } = this.#model;
    const table = this.#parameter('position');
    const virtualTokens = prefix?.virtualTokens ?? 0;
    if (!architectureOf(config).positionsFollowPadding) {
      const length = graph.node('Gather', [graph.node('Shape', [ids]), graph.integers([1])]);
      const end = virtualTokens === 0 ? length : graph.node('Add', [length, graph.integers([virtualTokens])]);
      return graph.node('Slice', [table, graph.integers([virtualTokens]), end, graph.integers([0])]);
    }
    // transformers' create_position_ids_from_input_ids: padding takes the row pad_token_id, and others follow.
    const padding = graph.integers(config.padTokenId!);
    const isToken = graph.node('Cast', [graph.node('Not', [graph.node('Equal', [ids, padding])])], {
      to: DTYPES.int64,
    });
    const count = graph.node('CumSum', [isToken, graph.integers(1)]);
    const place = virtualTokens === 0 ? count : graph.node('Add', [count, graph.integers(virtualTokens)]);
    const position = graph.node('Add', [graph.node('Mul', [place, isToken]), padding]);
    return graph.node('Gather', [table, position]);
  }

  /** Rows of the table of token types (B, T, E); its one row (1, E) where all texts have the same; null without a table. */
  #tokenTypes(): Value | null {
    if (!this.#has('token_type')) return null;
    const table = this.#parameter('token_type');
    if (this.#model.config.typeVocabSize === 1) return table;
    return this.#graph.node('Gather', [table, this.#graph.input('token_type_ids', 'int64', ['batch', 'sequence'])]);
  }

  /** (B, T) of 1 and 0 → (B, 1, 1, P + T), to be added to scores. */
  #maskBias(mask: Value): Value {
    const graph = this.#graph;
    const wide = graph.node('Unsqueeze', [graph.node('Unsqueeze', [mask], { axes: [1] })], { axes: [2] });
    const padding = graph.node('Sub', [graph.float(1), graph.node('Cast', [wide], { to: DTYPES.float })]);
    const bias = graph.node('Mul', [padding, graph.float(MASKED)]);
    const { prefix } = this.#model;
    return prefix ? graph.node('Pad', [bias, graph.integers([0, 0, 0, prefix.virtualTokens, 0, 0, 0, 0])]) : bias;
  }

  /** x (B, T, C) → attention → add, LayerNorm → feed-forward → add, LayerNorm (B, T, C). */
  #layer(x: Value, layer: number, bias: Value, prefixShape: Value | null): Value {
    const graph = this.#graph;
    const { config } = this.#model;
    const attention = this.#linear(this.#attention(x, layer, bias, prefixShape), 'attention_output', layer);
    // ONNX Runtime looks for the sum in front of a LayerNorm in this order.
    const x1 = this.#layerNorm(graph.node('Add', [attention, x]), 'attention_norm', layer, config.layerNormEps);
    const { activation } = nativeModel(config, 0);
    const inner = this.#activation(this.#linear(x1, 'intermediate', layer), activation);
    const sum = graph.node('Add', [this.#linear(inner, 'output', layer), x1]);
    return this.#layerNorm(sum, 'output_norm', layer, config.layerNormEps);
  }

  /** softmax(q k / √HS + bias) v, the heads side by side again (B, T, C). */
  #attention(x: Value, layer: number, bias: Value, prefixShape: Value | null): Value {
    const graph = this.#graph;
    const { hiddenSize: C, heads: NH } = this.#model.config;
    const HS = C / NH;
    const split = (role: Role, perm: readonly number[]) => {
      const shaped = graph.node('Reshape', [this.#linear(x, role, layer), graph.integers([0, 0, NH, HS])]);
      return graph.node('Transpose', [shaped], { perm });
    };
    const q = split('query', [0, 2, 1, 3]); // (B, NH, T, HS)
    let k = split('key', [0, 2, 3, 1]); // (B, NH, HS, T)
    let v = split('value', [0, 2, 1, 3]); // (B, NH, T, HS)
    if (prefixShape !== null) {
      const prefix = this.#prefix(layer, prefixShape);
      k = graph.node('Concat', [graph.node('Transpose', [prefix.keys], { perm: [0, 1, 3, 2] }), k], { axis: 3 });
      v = graph.node('Concat', [prefix.values, v], { axis: 2 });
    }
    const scores = graph.node('Div', [graph.node('MatMul', [q, k]), graph.float(Math.fround(Math.sqrt(HS)))]);
    const probs = graph.node('Softmax', [graph.node('Add', [scores, bias])], { axis: 3 });
    const joined = graph.node('Transpose', [graph.node('MatMul', [probs, v])], { perm: [0, 2, 1, 3] });
    return graph.node('Reshape', [joined, graph.integers([0, 0, C])]);
  }

  /** (B, NH, P, HS) as four numbers; null without a prefix. */
  #prefixShape(ids: Value): Value | null {
    const graph = this.#graph;
    const { config, prefix } = this.#model;
    if (prefix === null) return null;
    const rest = graph.integers([config.heads, prefix.virtualTokens, config.hiddenSize / config.heads]);
    return graph.node('Concat', [graph.node('Gather', [graph.node('Shape', [ids]), graph.integers([0])]), rest], {
      axis: 0,
    });
  }

  /** Keys and values of the virtual tokens of a layer, the same for each text (B, NH, P, HS). */
  #prefix(layer: number, shape: Value): { keys: Value; values: Value } {
    const graph = this.#graph;
    const { heads: NH, hiddenSize: C, layers } = this.#model.config;
    const { virtualTokens: P, values } = this.#model.prefix!;
    const HS = C / NH;
    const part = (name: string, column: number) => {
      const tensor = graph.tensor(`prefix.${layer}.${name}`, 'float', [1, NH, P, HS], async () => {
        const out = new Float32Array(NH * P * HS);
        for (let head = 0; head < NH; head++) {
          for (let p = 0; p < P; p++) {
            const from = p * 2 * layers * C + column + head * HS;
            out.set(values.subarray(from, from + HS), (head * P + p) * HS);
          }
        }
        return out;
      });
      return graph.node('Expand', [tensor, shape]);
    };
    return { keys: part('keys', 2 * layer * C), values: part('values', (2 * layer + 1) * C) };
  }

  /** The first token (B, C) → the head's dense Linear, where it has one → a probe or the classifier: (B, NC). */
  #head(x: Value): Value {
    const graph = this.#graph;
    let features = graph.node('Gather', [x, graph.integers(0)], { axis: 1 });
    if (this.#has('head_dense')) {
      const { headActivation } = architectureOf(this.#model.config);
      features = this.#activation(this.#headLinear(features, 'head_dense'), headActivation);
    }
    if (this.#has('probe_dense')) {
      const normed = this.#layerNorm(features, 'probe_norm', NO_LAYER, PROBE_EPS);
      const inner = this.#activation(this.#headLinear(normed, 'probe_dense'), 'relu');
      features = this.#layerNorm(inner, 'probe_output_norm', NO_LAYER, PROBE_EPS);
    }
    return this.#headLinear(features, 'classifier', 'logits');
  }

  #activation(x: Value, activation: NativeActivation): Value {
    return ACTIVATIONS[activation](this.#graph, x);
  }

  /** (x − mean) / √(variance + eps) · weight + bias, over the last axis. */
  #layerNorm(x: Value, role: Role, layer: number, eps: number): Value {
    const graph = this.#graph;
    const mean = (value: Value) => graph.node('ReduceMean', [value], { axes: [-1], keepdims: 1 });
    const centred = graph.node('Sub', [x, mean(x)]);
    const variance = mean(graph.node('Pow', [centred, graph.float(2)]));
    const deviation = graph.node('Sqrt', [graph.node('Add', [variance, graph.float(eps)])]);
    const normed = graph.node('Div', [centred, deviation]);
    const scaled = graph.node('Mul', [normed, this.#parameter(role, layer)]);
    return graph.node('Add', [scaled, this.#parameter(role, layer, 'bias')]);
  }

  /** inp (B, T, in) → (B, T, out), in the arithmetic of the weights. */
  #linear(inp: Value, role: Role, layer: number): Value {
    const graph = this.#graph;
    const product = this.#weights === 'fp32' ? this.#product(inp, role, layer) : this.#productInBytes(inp, role, layer);
    return graph.node('Add', [product, this.#parameter(role, layer, 'bias')]);
  }

  #product(inp: Value, role: Role, layer: number): Value {
    const { name, shape } = this.#row(role, layer, 'weight');
    const [out, inputs] = shape as [number, number];
    const weight = this.#graph.tensor(name, 'float', [inputs, out], () => transposed(this.#matrix(role, layer)));
    return this.#graph.node('MatMul', [inp, weight]);
  }

  /** As onnxruntime's quantize_dynamic lays it out: the input's range is taken of all its values as it comes. */
  #productInBytes(inp: Value, role: Role, layer: number): Value {
    const graph = this.#graph;
    const known = this.#quantised.get(inp) ?? graph.dynamicQuantize(inp);
    this.#quantised.set(inp, known);
    const [elements, scale, zeroPoint] = known;
    const weight = this.#inBytes(role, layer, MOST_IN_PRODUCT, 'columns');
    const sums = graph.node('MatMulInteger', [elements, weight.bytes, zeroPoint]);
    const scales = graph.node('Mul', [scale, weight.scales]);
    return graph.node('Mul', [graph.node('Cast', [sums], { to: DTYPES.float }), scales]);
  }

  /** A Linear of the head, one row per text: (B, in) → (B, out), always in fp32. */
  #headLinear(inp: Value, role: Role, name?: string): Value {
    const inputs = [inp, this.#parameter(role), this.#parameter(role, NO_LAYER, 'bias')];
    return this.#graph.node('Gemm', inputs, { transB: 1 }, name);
  }

  /** A weight in bytes, with a scale for each of its rows. It is made once, when the first of the two is written. */
  #inBytes(role: Role, layer: number, most: number, layout: 'rows' | 'columns'): { bytes: Value; scales: Value } {
    const { name, shape } = this.#row(role, layer, 'weight');
    const [rows, columns] = shape as [number, number];
    let made: ReturnType<typeof quantised> | undefined;
    const make = () => {
      made ??= quantised(this.#matrix(role, layer), most, layout);
      return made;
    };
    const inFile = layout === 'rows' ? [rows, columns] : [columns, rows];
    return {
      bytes: this.#graph.tensor(`${name}_quantized`, 'int8', inFile, async () => (await make()).bytes),
      scales: this.#graph.tensor(`${name}_scale`, 'float', [rows], async () => {
        const { scales } = await make();
        made = undefined;
        return scales;
      }),
    };
  }

  /** A parameter as it is. */
  #parameter(role: Role, layer = NO_LAYER, part: 'weight' | 'bias' = 'weight'): Value {
    const { name, shape } = this.#row(role, layer, part);
    return this.#graph.tensor(name, 'float', shape, async () => this.#values(name));
  }

  #matrix(role: Role, layer: number): Weights {
    const { name, shape } = this.#row(role, layer, 'weight');
    const [rows, columns] = shape as [number, number];
    return { values: this.#values(name), rows, columns };
  }

  #values(name: string): Float32Array {
    return this.#model.values.get(name)!;
  }

  #has(role: Role): boolean {
    return this.#rows.has(keyOf({ role, layer: NO_LAYER, part: 'weight' }));
  }

  #row(role: Role, layer: number, part: Part): ParameterRow {
    return this.#rows.get(keyOf({ role, layer, part }))!;
  }
}

const keyOf = ({ role, layer, part }: Pick<ParameterRow, 'role' | 'layer' | 'part'>) => `${role} ${layer} ${part}`;

/** GELU and its approximation in the operations that ONNX Runtime knows together as one (Hendrycks and Gimpel, 2016). */
const ACTIVATIONS: Readonly<Record<NativeActivation, (graph: GraphBuilder, x: Value) => Value>> = {
  // x · (1 + erf(x / √2)) · 0.5
  gelu: (graph, x) => {
    const erf = graph.node('Erf', [graph.node('Div', [x, graph.float(Math.SQRT2)])]);
    const doubled = graph.node('Mul', [x, graph.node('Add', [erf, graph.float(1)])]);
    return graph.node('Mul', [doubled, graph.float(0.5)]);
  },
  // 0.5 x · (1 + tanh(√(2/π) x · (1 + 0.044715 x x)))
  gelu_tanh: (graph, x) => {
    const square = graph.node('Mul', [graph.node('Mul', [x, graph.float(0.044715)]), x]);
    const scaled = graph.node('Mul', [x, graph.float(0.7978845608)]);
    const inner = graph.node('Mul', [scaled, graph.node('Add', [square, graph.float(1)])]);
    const outer = graph.node('Add', [graph.node('Tanh', [inner]), graph.float(1)]);
    return graph.node('Mul', [graph.node('Mul', [x, graph.float(0.5)]), outer]);
  },
  tanh: (graph, x) => graph.node('Tanh', [x]),
  relu: (graph, x) => graph.node('Relu', [x]),
  silu: (graph, x) => graph.node('Mul', [x, graph.node('Sigmoid', [x])]),
};
