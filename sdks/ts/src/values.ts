// Values: between JavaScript and bytes.
//
// | in JavaScript | on the wire |
// |---|---|
// | `Uint8Array`, `Buffer`, `ArrayBuffer`, alone | raw bytes |
// | `Tensor` and typed arrays of numbers, alone | a tensor |
// | everything else that is data | MessagePack |
//
// What is not data (functions, promises, instances of classes) is refused where it is given, with the path to it.

import { errorOf } from "./errors.js";
import { Format } from "./gen/thornback/v1/value_pb.js";
import { decode, simplest } from "./decode.js";
import { type Collected, Encoder, unserializable } from "./encode.js";
import type { Referrer } from "./reference.js";
import type { RawValue } from "./session/ops.js";
import { dtypeOf, fromSchema, schemaOf, Tensor, type TypedArray } from "./tensor.js";

/** A value as bytes, not yet in a frame or in the store. */
export interface Encoded extends RawValue {
  /** What must not be let go of before the value was sent: the refs inside. */
  readonly keep: readonly unknown[];
}

const encoder = new Encoder();
const NONE: readonly never[] = [];
/** Of what is no object nothing is collected. */
const NOTHING: Collected = { refs: [], keep: [], buffers: [] };

/** Encodes a value. `what` names it in the error: `"argument 1"`. Raw bytes and tensors are not copied. */
export function encodeValue(value: unknown, what: string): Encoded {
  if (typeof value === "object" && value !== null) {
    if (value instanceof Uint8Array && !(value instanceof Uint8ClampedArray)) return raw(value);
    if (value instanceof ArrayBuffer) return raw(new Uint8Array(value));
    if (value instanceof Tensor) return tensor(value);
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      const array = value as TypedArray;
      return tensor(new Tensor(dtypeOf(array), [array.length], new Uint8Array(array.buffer, array.byteOffset, array.byteLength)));
    }
  }
  try {
    if (typeof value !== "object" || value === null) {
      return { format: Format.MSGPACK, data: encoder.encode(value, NOTHING), refs: NONE, buffers: NONE, schema: "", keep: NONE };
    }
    const collected: Collected = { refs: [], keep: [], buffers: [] };
    const data = encoder.encode(value, collected);
    return { format: Format.MSGPACK, data, refs: collected.refs, buffers: collected.buffers, schema: "", keep: collected.keep };
  } catch (error) {
    throw unserializable(error, what);
  }
}

function raw(data: Uint8Array): Encoded {
  return { format: Format.RAW, data, refs: NONE, buffers: NONE, schema: "", keep: NONE };
}

function tensor(value: Tensor): Encoded {
  const schema = schemaOf(value);
  return { format: Format.TENSOR, data: EMPTY, refs: NONE, buffers: [value.data], schema, keep: NONE };
}

const EMPTY = Buffer.alloc(0);

/** Decodes a value. Binary and tensors share memory with it. */
export function decodeValue(value: RawValue, referrer: Referrer): unknown {
  switch (value.format as Format) {
    case Format.MSGPACK:
      return decode(asBuffer(value.data), value.buffers, referrer);
    case Format.RAW:
    case Format.ARROW:
      return asPlain(value.data);
    case Format.TENSOR:
      return simplest(fromSchema(value.schema, value.buffers[0] ?? EMPTY));
    case Format.PRIVATE:
      throw errorOf(
        "UNSUPPORTED_FORMAT",
        `the value is in the private format ${JSON.stringify(value.schema)}, which TypeScript cannot read; ` +
          "its sender should pass plain data (numbers, text, bytes, lists, maps)",
      );
    default:
      throw errorOf("UNSUPPORTED_FORMAT", `the value is in format ${value.format}, which this version does not know`);
  }
}

/** The same value in memory of its own, for one that is kept when the frame that it came in is not. */
export function compact(value: RawValue): RawValue {
  return { ...value, data: new Uint8Array(value.data), buffers: value.buffers.map((buffer) => new Uint8Array(buffer)) };
}

/** A `Uint8Array` that is nothing more: a `Buffer` has methods of the same name that do other things. */
function asPlain(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
