// Values to MessagePack with the protocol's extension types (`protocol/spec/value.md`), and nothing more: what the extensions of refs and handles stand
// for is asked of those.

import { errorOf, type ThornbackError } from "./errors.js";
import {
  DEPTH_MAX,
  EXT_ACTOR,
  EXT_BIG,
  EXT_REF,
  EXT_STREAM,
  EXT_TENSOR,
  EXT_TIMESTAMP,
  EXT_UUID,
  INT64_MIN,
  OUT_OF_BAND_BYTES,
  UINT64_MAX,
} from "./extensions.js";
import { REFERENCE, type Referring } from "./reference.js";
import type { Id } from "./session/ids.js";
import { Writer } from "./session/wire.js";
import { dtypeOf, Tensor, type TypedArray } from "./tensor.js";
import { Extension, Float, Timestamp, Uuid } from "./types.js";

/** What encoding one value gives besides its bytes. */
export interface Collected {
  /** Ids that the value refers to, each once. */
  refs: Id[];
  /** What must not be let go of before the value was sent. */
  keep: unknown[];
  buffers: Uint8Array[];
}

/** Writes values, one at a time. */
export class Encoder {
  readonly #writer = new Writer();
  #collected: Collected | undefined;

  /** The bytes of a value, in memory that is not used again. What it refers to is added to `collected`. */
  encode(value: unknown, collected: Collected): Buffer {
    this.#collected = collected;
    const writer = this.#writer;
    try {
      this.#any(value, 0);
    } catch (error) {
      // What was written of it goes away.
      writer.at = writer.start;
      throw error;
    } finally {
      this.#collected = undefined;
    }
    return writer.take();
  }

  #any(value: unknown, depth: number): void {
    const writer = this.#writer;
    writer.reserve(10);
    switch (typeof value) {
      case "number":
        this.#number(value);
        return;
      case "string":
        this.#string(value);
        return;
      case "boolean":
        writer.byte(value ? 0xc3 : 0xc2);
        return;
      case "undefined":
        writer.byte(0xc0);
        return;
      case "bigint":
        this.#bigint(value);
        return;
      case "object":
        if (value === null) writer.byte(0xc0);
        else this.#object(value, depth);
        return;
      default:
        throw refused(`a ${typeof value} cannot be sent; only data can`);
    }
  }

  #number(value: number): void {
    const { buffer, at } = this.#writer;
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.#float(value);
    } else if (value >= 0) {
      if (value < 0x80) {
        buffer[at] = value;
        this.#writer.at = at + 1;
      } else if (value < 0x100) {
        buffer[at] = 0xcc;
        this.#writer.at = buffer.writeUInt8(value, at + 1);
      } else if (value < 0x1_0000) {
        buffer[at] = 0xcd;
        this.#writer.at = buffer.writeUInt16BE(value, at + 1);
      } else if (value < 0x1_0000_0000) {
        buffer[at] = 0xce;
        this.#writer.at = buffer.writeUInt32BE(value, at + 1);
      } else {
        this.#bigint(BigInt(value));
      }
    } else if (value >= -0x20) {
      buffer[at] = value + 0x100;
      this.#writer.at = at + 1;
    } else if (value >= -0x80) {
      buffer[at] = 0xd0;
      this.#writer.at = buffer.writeInt8(value, at + 1);
    } else if (value >= -0x8000) {
      buffer[at] = 0xd1;
      this.#writer.at = buffer.writeInt16BE(value, at + 1);
    } else if (value >= -0x8000_0000) {
      buffer[at] = 0xd2;
      this.#writer.at = buffer.writeInt32BE(value, at + 1);
    } else {
      this.#bigint(BigInt(value));
    }
  }

  #float(value: number): void {
    const { buffer, at } = this.#writer;
    buffer[at] = 0xcb;
    this.#writer.at = buffer.writeDoubleBE(value, at + 1);
  }

  #bigint(value: bigint): void {
    const { buffer, at } = this.#writer;
    if (value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER) {
      const small = Number(value);
      if (small >= -0x8000_0000 && small < 0x1_0000_0000) return this.#number(small);
    }
    if (value >= 0n && value <= UINT64_MAX) {
      buffer[at] = 0xcf;
      this.#writer.at = buffer.writeBigUInt64BE(value, at + 1);
    } else if (value < 0n && value >= INT64_MIN) {
      buffer[at] = 0xd3;
      this.#writer.at = buffer.writeBigInt64BE(value, at + 1);
    } else {
      const hex = (value < 0n ? -value : value).toString(16);
      const magnitude = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
      this.#extension(EXT_BIG, [Uint8Array.of(value < 0n ? 1 : 0), magnitude]);
    }
  }

  #string(value: string): void {
    const writer = this.#writer;
    const { length } = value;
    if (length < 32) {
      // Short and plain, as most are: by hand.
      writer.reserve(length + 1);
      const { buffer, at } = writer;
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code >= 0x80) break;
        buffer[at + 1 + i] = code;
      }
      if (i === length) {
        buffer[at] = 0xa0 | length;
        writer.at = at + 1 + length;
        return;
      }
    }
    if (!value.isWellFormed()) throw refused("a string with half of a surrogate pair cannot be sent as UTF-8; send bytes");
    const bytes = Buffer.byteLength(value);
    writer.reserve(bytes + 5);
    if (bytes < 32) writer.byte(0xa0 | bytes);
    else this.#head(bytes, 0xd9);
    writer.at += writer.buffer.write(value, writer.at, "utf8");
  }

  /** The length behind one of three consecutive first bytes: for 1, 2 or 4 bytes of length. */
  #head(length: number, first: number): void {
    const writer = this.#writer;
    const { buffer, at } = writer;
    if (length < 0x100) {
      buffer[at] = first;
      writer.at = buffer.writeUInt8(length, at + 1);
    } else if (length < 0x1_0000) {
      buffer[at] = first + 1;
      writer.at = buffer.writeUInt16BE(length, at + 1);
    } else if (length < 0x1_0000_0000) {
      buffer[at] = first + 2;
      writer.at = buffer.writeUInt32BE(length, at + 1);
    } else {
      throw refused(`${length} bytes or items are more than MessagePack can hold`);
    }
  }

  #object(value: object, depth: number): void {
    if (Array.isArray(value)) return this.#array(value, depth);
    const proto: unknown = Object.getPrototypeOf(value);
    if (proto === Object.prototype || proto === null) return this.#record(value as Record<string, unknown>, depth);
    if (REFERENCE in value) return this.#reference(value as Referring);
    if (value instanceof Map) return this.#map(value, depth);
    if (value instanceof Set) return this.#array([...value], depth);
    if (value instanceof Uint8Array && !(value instanceof Uint8ClampedArray)) return this.#binary(value);
    if (value instanceof ArrayBuffer) return this.#binary(new Uint8Array(value));
    if (value instanceof Date) return this.#date(value);
    if (value instanceof Float) return this.#float(value.value);
    if (value instanceof Timestamp) return this.#timestamp(value.seconds, value.nanoseconds);
    if (value instanceof Uuid) return this.#extension(EXT_UUID, [value.bytes]);
    if (value instanceof Tensor) return this.#tensor(value);
    if (value instanceof Extension) return this.#extension(value.type, [value.data]);
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      return this.#tensor(new Tensor(dtypeOf(value as TypedArray), [(value as TypedArray).length], bytesOf(value)));
    }
    if (value instanceof String || value instanceof Number || value instanceof Boolean) return this.#any(value.valueOf(), depth);
    // An object of another realm (a `vm` context, a test runner's) has another `Object.prototype`.
    if (Object.getPrototypeOf(proto) === null && Object.prototype.toString.call(value) === "[object Object]") {
      return this.#record(value as Record<string, unknown>, depth);
    }
    const name = (value as { constructor?: { name?: string } }).constructor?.name ?? "object";
    throw refused(
      value instanceof Promise
        ? "a promise cannot be sent; await it first"
        : `an instance of ${name} cannot be sent, because other languages do not know the class; send a plain object`,
    );
  }

  #array(items: readonly unknown[], depth: number): void {
    const { length } = items;
    deeper(depth);
    if (length < 16) this.#writer.byte(0x90 | length);
    else this.#head16(length, 0xdc);
    for (let i = 0; i < length; i++) {
      try {
        this.#any(items[i], depth + 1);
      } catch (error) {
        throw below(error, `[${i}]`);
      }
    }
  }

  #head16(length: number, first: number): void {
    // `#head` without its one-byte length, which arrays and maps do not have.
    const writer = this.#writer;
    const { buffer, at } = writer;
    if (length < 0x1_0000) {
      buffer[at] = first;
      writer.at = buffer.writeUInt16BE(length, at + 1);
    } else {
      buffer[at] = first + 1;
      writer.at = buffer.writeUInt32BE(length, at + 1);
    }
  }

  #record(record: Record<string, unknown>, depth: number): void {
    deeper(depth);
    const keys = Object.keys(record);
    // As in JSON, what is undefined is not there.
    let count = keys.length;
    for (const key of keys) if (record[key] === undefined) count--;
    if (count < 16) this.#writer.byte(0x80 | count);
    else this.#head16(count, 0xde);
    for (const key of keys) {
      const value = record[key];
      if (value === undefined) continue;
      try {
        this.#writer.reserve(10);
        this.#string(key);
        this.#any(value, depth + 1);
      } catch (error) {
        throw below(error, /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`);
      }
    }
  }

  #map(map: ReadonlyMap<unknown, unknown>, depth: number): void {
    deeper(depth);
    if (map.size < 16) this.#writer.byte(0x80 | map.size);
    else this.#head16(map.size, 0xde);
    for (const [key, value] of map) {
      try {
        this.#any(key, depth + 1);
        this.#any(value, depth + 1);
      } catch (error) {
        throw below(error, `.get(${typeof key === "string" ? JSON.stringify(key) : String(key)})`);
      }
    }
  }

  #binary(bytes: Uint8Array): void {
    this.#writer.reserve(bytes.length + 5);
    this.#head(bytes.length, 0xc4);
    this.#writer.bytes(bytes);
  }

  #date(date: Date): void {
    const ms = date.getTime();
    if (Number.isNaN(ms)) throw refused("an invalid Date is no point in time");
    const seconds = Math.floor(ms / 1000);
    this.#timestamp(BigInt(seconds), (ms - seconds * 1000) * 1_000_000);
  }

  #timestamp(seconds: bigint, nanoseconds: number): void {
    let payload: Buffer;
    if (seconds >= 0n && seconds < 2n ** 34n) {
      if (nanoseconds === 0 && seconds < 2n ** 32n) {
        payload = Buffer.alloc(4);
        payload.writeUInt32BE(Number(seconds));
      } else {
        payload = Buffer.alloc(8);
        payload.writeBigUInt64BE((BigInt(nanoseconds) << 34n) | seconds);
      }
    } else {
      payload = Buffer.alloc(12);
      payload.writeUInt32BE(nanoseconds);
      payload.writeBigInt64BE(seconds, 4);
    }
    this.#extension(EXT_TIMESTAMP, [payload]);
  }

  #tensor(tensor: Tensor): void {
    const { data } = tensor;
    let where: unknown = data;
    if (data.length >= OUT_OF_BAND_BYTES) {
      where = this.#collected!.buffers.length;
      this.#collected!.buffers.push(data);
    }
    this.#extension(EXT_TENSOR, [encodePlain([tensor.dtype, tensor.shape, tensor.strides, where])]);
  }

  #reference(value: Referring): void {
    const reference = value[REFERENCE]();
    const collected = this.#collected!;
    if (!collected.refs.includes(reference.id)) {
      collected.refs.push(reference.id);
      collected.keep.push(value);
    }
    const id = Buffer.from(reference.id, "latin1");
    if (reference.kind === "actor") {
      const handle = [id, reference.className ?? "", reference.interface ?? new Uint8Array()];
      this.#extension(EXT_ACTOR, [encodePlain(handle)]);
    } else {
      this.#extension(reference.kind === "ref" ? EXT_REF : EXT_STREAM, [id]);
    }
  }

  #extension(type: number, parts: readonly Uint8Array[]): void {
    const writer = this.#writer;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    writer.reserve(length + 6);
    const fixed = FIXED_EXTENSIONS.get(length);
    if (fixed !== undefined) writer.byte(fixed);
    else this.#head(length, 0xc7);
    writer.byte(type & 0xff);
    for (const part of parts) writer.bytes(part);
  }
}

const FIXED_EXTENSIONS: ReadonlyMap<number, number> = new Map([
  [1, 0xd4],
  [2, 0xd5],
  [4, 0xd6],
  [8, 0xd7],
  [16, 0xd8],
]);

const plainEncoder = new Encoder();

function encodePlain(value: unknown): Buffer {
  return plainEncoder.encode(value, { refs: [], keep: [], buffers: [] });
}

function deeper(depth: number): void {
  if (depth >= DEPTH_MAX) throw refused(`values are nested deeper than ${DEPTH_MAX}, or contain themselves`);
}

/** A refusal, and where in the value what is in the way lies. */
class Refused extends Error {
  path = "";
  parts = 0;
}

function refused(message: string): Refused {
  return new Refused(message);
}

function below(error: unknown, step: string): unknown {
  if (error instanceof Refused && error.parts++ < 16) error.path = step + error.path;
  return error;
}

/** What `Encoder.encode` threw, as the error for the user. `what` names the value: `"argument 1"`. */
export function unserializable(error: unknown, what: string): ThornbackError {
  if (error instanceof Refused) return errorOf("UNSERIALIZABLE", `${what}${error.path}: ${error.message}`);
  return errorOf("UNSERIALIZABLE", `${what} cannot be read while it is encoded`, { cause: error });
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
