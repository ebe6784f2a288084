import { basename } from 'node:path';
import { PbfWriter } from 'pbf';
import type { OpenFile } from '../../files/fs.js';
import { onnxDataFile } from '../../files/model-files.js';
import { type OutputFile, writeFully } from '../../files/output.js';
import { packageVersion } from '../../native/package.js';

/*
 * A graph of ONNX operators and its file: the messages of onnx.proto (github.com/onnx/onnx) that a graph needs, by the
 * numbers of their fields. Tensors are not part of any message in memory: they are fetched one by one as the file is
 * written.
 */

/** A tensor of the graph, by its name. */
export type Value = string;

/** Numbers of TensorProto.DataType. */
export const DTYPES = { float: 1, int8: 3, int64: 7 } as const;
const BYTES_OF = { float: 4, int8: 1, int64: 8 } as const;

export type OnnxDtype = keyof typeof DTYPES;

/**
 * The last version of the operators in which ONNX Runtime (1.30) fuses attention: its AttentionFusion knows Unsqueeze up to
 * version 11 alone. The version of the format is that of its time.
 */
const OPSET = 12;
const IR_VERSION = 7;

/** A message of protobuf, and so a file, has fewer bytes. */
const MOST_MESSAGE_BYTES = 2 ** 31 - 1;

/** Tensors of fewer bytes stay in the graph when the others move to a file of their own. */
const LEAST_EXTERNAL_BYTES = 1024;

/** Numbers of AttributeProto.AttributeType. */
const ATTRIBUTE = { int: 2, ints: 7 } as const;

/** An attribute of a node: an integer, or several. */
type Attribute = number | readonly number[];

interface Node {
  op: string;
  inputs: readonly Value[];
  outputs: readonly Value[];
  attributes: Readonly<Record<string, Attribute>>;
}

/** A constant of the graph. */
interface Initializer {
  name: Value;
  dtype: OnnxDtype;
  shape: readonly number[];
  bytes: number;
  /** Its elements in row-major order, little-endian. */
  read(): Promise<ArrayBufferView>;
}

/** An input, an output or a value of the graph: its extents are numbers, or names of those that vary. */
interface Port {
  name: Value;
  dtype: OnnxDtype;
  shape: readonly (number | string)[];
}

/** Elements of the types that constants are given in. */
type Elements = Float32Array | Int8Array | BigInt64Array;

/** Puts a graph together, node by node. */
export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #initializers = new Map<string, Initializer>();
  readonly #inputs: Port[] = [];
  readonly #outputs: Port[] = [];
  readonly #described: Port[] = [];

  input(name: string, dtype: OnnxDtype, shape: Port['shape']): Value {
    this.#inputs.push({ name, dtype, shape });
    return name;
  }

  output(name: Value, dtype: OnnxDtype, shape: Port['shape']): void {
    this.#outputs.push({ name, dtype, shape });
  }

  /** Says what a value is, where that cannot be told from the nodes before it. */
  describe(name: Value, dtype: OnnxDtype, shape: Port['shape']): Value {
    this.#described.push({ name, dtype, shape });
    return name;
  }

  /**
   * A constant that is large, fetched as the file is written.
   *
   * @param read gives elements of `dtype`, as many as the shape says
   */
  tensor(name: string, dtype: OnnxDtype, shape: readonly number[], read: () => Promise<Elements>): Value {
    const bytes = shape.reduce<number>((product, extent) => product * extent, BYTES_OF[dtype]);
    this.#initializers.set(name, { name, dtype, shape, bytes, read });
    return name;
  }

  /** A few integers; a number alone is a scalar. Equal ones are one. */
  integers(values: number | readonly number[]): Value {
    const list = typeof values === 'number' ? [values] : values;
    return this.#constant('int64', values, BigInt64Array.from(list, BigInt));
  }

  /** A scalar. */
  float(value: number): Value {
    return this.#constant('float', value, Float32Array.of(value));
  }

  #constant(dtype: OnnxDtype, values: number | readonly number[], elements: Elements): Value {
    const name = `${dtype}_${JSON.stringify(values)}`;
    const shape = typeof values === 'number' ? [] : [values.length];
    return this.#initializers.has(name) ? name : this.tensor(name, dtype, shape, async () => elements);
  }

  /**
   * Adds a node with one output.
   *
   * @param name of its output. Defaults to the operator's with a number
   */
  node(op: string, inputs: readonly Value[], attributes: Node['attributes'] = {}, name = this.#nameOf(op)): Value {
    this.#nodes.push({ op, inputs, outputs: [name], attributes });
    return name;
  }

  /** The input in bytes: (elements, scale, zero point), each value (element − zero point) · scale. */
  dynamicQuantize(inp: Value): [elements: Value, scale: Value, zeroPoint: Value] {
    const op = 'DynamicQuantizeLinear';
    const name = this.#nameOf(op);
    const outputs: [Value, Value, Value] = [name, `${name}_scale`, `${name}_zero`];
    this.#nodes.push({ op, inputs: [inp], outputs, attributes: {} });
    return outputs;
  }

  #nameOf(op: string): string {
    return `${op}_${this.#nodes.length}`;
  }

  /**
   * The graph as a file; where it would be larger than a message may be, as two, of which the first has its tensors.
   *
   * @param name of the file, which may lead into a subdirectory
   * @param mostBytes of one file. Defaults to what a message may have
   */
  files(name: string, mostBytes = MOST_MESSAGE_BYTES): OutputFile[] {
    const whole = this.#lay(null);
    if (whole.bytes <= mostBytes) return [{ name, write: (file) => writePieces(file, whole.pieces) }];
    const dataName = onnxDataFile(name);
    const apart = this.#lay(basename(dataName));
    return [
      { name: dataName, write: (file) => writePieces(file, apart.external) },
      { name, write: (file) => writePieces(file, apart.pieces) },
    ];
  }

  /** What the file is made of. @param dataFile where large tensors go; null: they stay */
  #lay(dataFile: string | null): { pieces: Piece[]; external: Piece[]; bytes: number } {
    const external: Piece[] = [];
    let offset = 0;
    const tensors = [...this.#initializers.values()].flatMap((tensor): Piece[] => {
      if (dataFile === null || tensor.bytes < LEAST_EXTERNAL_BYTES) return [frame(tensor), tensor];
      external.push(tensor);
      offset += tensor.bytes;
      return [
        message((pbf) =>
          pbf.writeMessage(GRAPH.initializer, writeExternal, { tensor, dataFile, start: offset - tensor.bytes }),
        ),
      ];
    });
    const graph = message((pbf) => {
      for (const node of this.#nodes) pbf.writeMessage(GRAPH.node, writeNode, node);
      pbf.writeStringField(GRAPH.name, 'classifier');
      for (const port of this.#inputs) pbf.writeMessage(GRAPH.input, writePort, port);
      for (const port of this.#outputs) pbf.writeMessage(GRAPH.output, writePort, port);
      for (const port of this.#described) pbf.writeMessage(GRAPH.valueInfo, writePort, port);
    });
    const graphBytes = lengthOf([graph, ...tensors]);
    const head = message((pbf) => {
      pbf.writeVarintField(MODEL.irVersion, IR_VERSION);
      pbf.writeStringField(MODEL.producerName, 'bertune');
      pbf.writeStringField(MODEL.producerVersion, packageVersion());
      pbf.writeMessage(MODEL.opsetImport, writeOpset, OPSET);
      pbf.writeTag(MODEL.graph, BYTES);
      pbf.writeVarint(graphBytes);
    });
    const pieces = [head, graph, ...tensors];
    return { pieces, external, bytes: lengthOf(pieces) };
  }
}

/** Bytes of a file, or a tensor to be fetched. */
type Piece = Uint8Array | Initializer;

const isTensor = (piece: Piece): piece is Initializer => 'read' in piece;

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + (isTensor(piece) ? piece.bytes : piece.length), 0);
}

async function writePieces(file: OpenFile, pieces: readonly Piece[]): Promise<void> {
  for (const piece of pieces) {
    const { buffer, byteOffset, byteLength } = isTensor(piece) ? await piece.read() : piece;
    await writeFully(file, new Uint8Array(buffer, byteOffset, byteLength));
  }
}

/** The wire type of strings, bytes and messages. */
const BYTES = 2;

const MODEL = { irVersion: 1, producerName: 2, producerVersion: 3, graph: 7, opsetImport: 8 };
const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12, valueInfo: 13 };

function message(write: (pbf: PbfWriter) => void): Uint8Array {
  const pbf = new PbfWriter();
  write(pbf);
  return pbf.finish();
}

/** What stands in front of a tensor's elements, its length included. */
function frame(tensor: Initializer): Uint8Array {
  const inner = message((pbf) => {
    writeTensorHead(tensor, pbf);
    pbf.writeTag(9, BYTES); // raw_data
    pbf.writeVarint(tensor.bytes);
  });
  const outer = message((pbf) => {
    pbf.writeTag(GRAPH.initializer, BYTES);
    pbf.writeVarint(inner.length + tensor.bytes);
  });
  return Buffer.concat([outer, inner]);
}

/** TensorProto: dims, data_type, name. */
function writeTensorHead({ name, dtype, shape }: Initializer, pbf: PbfWriter): void {
  pbf.writePackedVarint(1, [...shape]);
  pbf.writeVarintField(2, DTYPES[dtype]);
  pbf.writeStringField(8, name);
}

interface External {
  tensor: Initializer;
  dataFile: string;
  /** Its first byte there. */
  start: number;
}

/** TensorProto with external_data and data_location. */
function writeExternal({ tensor, dataFile, start }: External, pbf: PbfWriter): void {
  writeTensorHead(tensor, pbf);
  for (const entry of Object.entries({ location: dataFile, offset: start, length: tensor.bytes })) {
    pbf.writeMessage(13, writeEntry, entry);
  }
  pbf.writeVarintField(14, 1);
}

/** StringStringEntryProto. */
function writeEntry([key, value]: [string, string | number], pbf: PbfWriter): void {
  pbf.writeStringField(1, key);
  pbf.writeStringField(2, String(value));
}

/** NodeProto. */
function writeNode({ op, inputs, outputs, attributes }: Node, pbf: PbfWriter): void {
  for (const input of inputs) pbf.writeStringField(1, input);
  for (const output of outputs) pbf.writeStringField(2, output);
  pbf.writeStringField(3, outputs[0]!);
  pbf.writeStringField(4, op);
  for (const attribute of Object.entries(attributes)) pbf.writeMessage(5, writeAttribute, attribute);
}

/** AttributeProto. */
function writeAttribute([name, value]: [string, Attribute], pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  if (typeof value === 'number') {
    pbf.writeVarintField(3, value);
    pbf.writeVarintField(20, ATTRIBUTE.int);
  } else {
    pbf.writePackedVarint(8, [...value]);
    pbf.writeVarintField(20, ATTRIBUTE.ints);
  }
}

/** ValueInfoProto, with its TypeProto.Tensor. */
function writePort({ name, dtype, shape }: Port, pbf: PbfWriter): void {
  pbf.writeStringField(1, name);
  pbf.writeMessage(2, (_, type) => type.writeMessage(1, writeTensorType, { dtype, shape }), null);
}

function writeTensorType({ dtype, shape }: Omit<Port, 'name'>, pbf: PbfWriter): void {
  pbf.writeVarintField(1, DTYPES[dtype]);
  pbf.writeMessage(2, writeShape, shape);
}

function writeShape(shape: Port['shape'], pbf: PbfWriter): void {
  for (const extent of shape) pbf.writeMessage(1, writeExtent, extent);
}

/** TensorShapeProto.Dimension: dim_value or dim_param. */
function writeExtent(extent: number | string, pbf: PbfWriter): void {
  if (typeof extent === 'number') pbf.writeVarintField(1, extent);
  else pbf.writeStringField(2, extent);
}

/** OperatorSetIdProto of ONNX's own domain, whose name is empty. */
function writeOpset(version: number, pbf: PbfWriter): void {
  pbf.writeVarintField(2, version);
}
