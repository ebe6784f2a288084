import { maskedCrc32c } from './crc32c.js';
import { concat, doubleField, floatField, integerField, messageField, stringField } from './protobuf.js';

/*
 * TensorBoard's event files: TFRecords of `Event` messages. Field numbers are those of TensorFlow's event.proto and
 * summary.proto.
 */

/** A number under a tag, e.g. `train/loss`. */
export interface Scalar {
  readonly tag: string;
  readonly value: number;
}

/** The event that every file starts with. */
export function versionEvent(wallTime: number): Uint8Array {
  return concat([doubleField(1, wallTime), stringField(3, 'brain.Event:2')]);
}

/** SummaryMetadata.plugin_data.plugin_name: which part of TensorBoard shows the value. */
const METADATA = messageField(9, messageField(1, stringField(1, 'scalars')));

/**
 * The scalars of a step.
 *
 * @param wallTime seconds since 1970
 */
export function scalarsEvent(wallTime: number, step: number, scalars: readonly Scalar[]): Uint8Array {
  const values = scalars.map(({ tag, value }) =>
    messageField(1, concat([stringField(1, tag), floatField(2, value), METADATA])),
  );
  return concat([doubleField(1, wallTime), integerField(2, step), messageField(5, concat(values))]);
}

/** A TFRecord: length (8 bytes), its checksum (4), the data, their checksum (4); all little-endian. */
export function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return bytes;
}
