// MessagePack with the protocol's extension types (`protocol/spec/value.md`), and nothing more: what the extensions of refs and handles stand for is
// asked of whoever encodes or decodes.

import { errorOf, type ThornbackError } from "./errors.js";
import type { Id } from "./session/ids.js";
import { Writer } from "./session/wire.js";
import { dtypeOf, Tensor, type TypedArray } from "./tensor.js";

/** A value nested deeper than this is refused. */
const DEPTH_MAX = 512;
/** Bytes of a tensor's elements from which they are kept beside the MessagePack and not in it. */
const OUT_OF_BAND_BYTES = 1024;

/** Binary up to this many bytes is copied out of what it was read from, so that it does not keep all of that. */
export const COPY_BYTES_MAX = 64 * 1024;

const EXT_REF = 1;
const EXT_ACTOR = 2;
const EXT_TENSOR = 3;
const EXT_UUID = 5;
const EXT_BIG = 6;
const EXT_STREAM = 7;
const EXT_TIMESTAMP = -1;
const EXT_USERS = 64;

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/** What a value refers to: what `encode` calls on refs, streams and actor handles to learn how they are written. */
export const REFERENCE = Symbol("thornback.reference");

/** A ref, a stream or an actor handle, as it is written. */
export interface Reference {
  readonly kind: "ref" | "stream" | "actor";
  readonly id: Id;
  readonly className?: string;
  readonly interface?: Uint8Array;
}

/** Whatever is written as a reference. */
export interface Referring {
  [REFERENCE](): Reference;
}

/** Makes what stands in a value for what is counted. */
export interface Referrer {
  makeRef(id: Id): unknown;
  makeStream(id: Id): unknown;
  makeActor(id: Id, className: string, interfaceBytes: Uint8Array): unknown;
}

/** A number that is written as a float also where it has no fraction, for languages that tell the two apart. */
export class Float {
  /** The number. */
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }

  /** The number, so that it can be calculated with. */
  valueOf(): number {
    return this.value;
  }
}

/** A point in time that a `Date` cannot hold: with nanoseconds, or many thousand years away. */
export class Timestamp {
  /** Seconds since 1970 in UTC. */
  readonly seconds: bigint;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;

  constructor(seconds: bigint | number, nanoseconds = 0) {
    this.seconds = BigInt(seconds);
    this.nanoseconds = nanoseconds;
    if (!Number.isInteger(nanoseconds) || nanoseconds < 0 || nanoseconds > 999_999_999) {
      throw errorOf("INVALID_ARGUMENT", `${nanoseconds} are no nanoseconds of a second`);
    }
    if (BigInt.asIntN(64, this.seconds) !== this.seconds) {
      throw errorOf("INVALID_ARGUMENT", `${this.seconds} seconds do not fit into 64 bits`);
    }
  }
}

/** A UUID, which is not a string where languages tell the two apart. */
export class Uuid {
  /** 16 bytes, in the order in which they are printed. */
  readonly bytes: Uint8Array;

  /** From its text or its 16 bytes. */
  constructor(uuid: string | Uint8Array) {
    this.bytes = typeof uuid === "string" ? new Uint8Array(Buffer.from(uuid.replaceAll("-", ""), "hex")) : uuid;
    const text = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
    if (this.bytes.length !== 16 || (typeof uuid === "string" && !text.test(uuid))) {
      throw errorOf("INVALID_ARGUMENT", "a UUID has 16 bytes, or 32 hexadecimal digits");
    }
  }

  /** As it is printed. */
  toString(): string {
    const hex = Buffer.from(this.bytes).toString("hex");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }
}

/** An extension type of the user's own, 64 to 127. */
export class Extension {
  /** 64 to 127. */
  readonly type: number;
  /** What it holds. */
  readonly data: Uint8Array;

  constructor(type: number, data: Uint8Array) {
    this.type = type;
    this.data = data;
    if (!Number.isInteger(type) || type < EXT_USERS || type > 127) {
      throw errorOf("INVALID_ARGUMENT", `extension types of users are 64 to 127, not ${type}`);
    }
  }
}

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

/**
 * Reads one value. What it holds shares no memory with `bytes`, except long binary and the elements of tensors.
 *
 * Throws `UnsupportedFormatError` for whatever is not one whole value.
 */
export function decode(bytes: Buffer, buffers: readonly Uint8Array[], referrer: Referrer): unknown {
  if (bytes.length === 1) {
    const byte = bytes[0];
    if (byte < 0x80) return byte;
    if (byte >= 0xe0) return byte - 0x100;
  }
  const decoder = new Decoder(bytes, buffers, referrer);
  const value = decoder.any(0);
  if (decoder.at !== bytes.length) throw malformed(`${bytes.length - decoder.at} bytes are left over`);
  return value;
}

class Decoder {
  readonly bytes: Buffer;
  readonly buffers: readonly Uint8Array[];
  readonly referrer: Referrer;
  at = 0;

  constructor(bytes: Buffer, buffers: readonly Uint8Array[], referrer: Referrer) {
    this.bytes = bytes;
    this.buffers = buffers;
    this.referrer = referrer;
  }

  any(depth: number): unknown {
    const { bytes } = this;
    const first = bytes[this.take(1)];
    if (first < 0x80) return first;
    if (first < 0x90) return this.#map(first & 0x0f, depth);
    if (first < 0xa0) return this.#array(first & 0x0f, depth);
    if (first < 0xc0) return this.#string(first & 0x1f);
    if (first >= 0xe0) return first - 0x100;
    switch (first) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#uint8());
      case 0xc5:
        return this.#binary(this.#uint16());
      case 0xc6:
        return this.#binary(this.#uint32());
      case 0xc7:
        return this.#extension(this.#uint8(), depth);
      case 0xc8:
        return this.#extension(this.#uint16(), depth);
      case 0xc9:
        return this.#extension(this.#uint32(), depth);
      case 0xca:
        return bytes.readFloatBE(this.take(4));
      case 0xcb:
        return bytes.readDoubleBE(this.take(8));
      case 0xcc:
        return this.#uint8();
      case 0xcd:
        return this.#uint16();
      case 0xce:
        return this.#uint32();
      case 0xcf:
        return narrow(bytes.readBigUInt64BE(this.take(8)));
      case 0xd0:
        return bytes.readInt8(this.take(1));
      case 0xd1:
        return bytes.readInt16BE(this.take(2));
      case 0xd2:
        return bytes.readInt32BE(this.take(4));
      case 0xd3:
        return narrow(bytes.readBigInt64BE(this.take(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (first - 0xd4), depth);
      case 0xd9:
        return this.#string(this.#uint8());
      case 0xda:
        return this.#string(this.#uint16());
      case 0xdb:
        return this.#string(this.#uint32());
      case 0xdc:
        return this.#array(this.#uint16(), depth);
      case 0xdd:
        return this.#array(this.#uint32(), depth);
      case 0xde:
        return this.#map(this.#uint16(), depth);
      case 0xdf:
        return this.#map(this.#uint32(), depth);
      default:
        throw malformed(`0x${first.toString(16)} begins no value`);
    }
  }

  /** The position of the next `count` bytes, which are there. */
  take(count: number): number {
    const at = this.at;
    if (count > this.bytes.length - at) throw malformed("the bytes end in the middle of a value");
    this.at = at + count;
    return at;
  }

  #uint8(): number {
    return this.bytes[this.take(1)];
  }

  #uint16(): number {
    return this.bytes.readUInt16BE(this.take(2));
  }

  #uint32(): number {
    return this.bytes.readUInt32BE(this.take(4));
  }

  #binary(length: number): Uint8Array {
    const at = this.take(length);
    const { buffer, byteOffset } = this.bytes;
    const view = new Uint8Array(buffer, byteOffset + at, length);
    return length <= COPY_BYTES_MAX ? new Uint8Array(view) : view;
  }

  #string(length: number): string {
    const { bytes } = this;
    const at = this.take(length);
    if (length < 16) {
      let text = "";
      let i = at;
      for (; i < this.at; i++) {
        const byte = bytes[i];
        if (byte >= 0x80) break;
        text += String.fromCharCode(byte);
      }
      if (i === this.at) return text;
    }
    const text = bytes.toString("utf8", at, this.at);
    // What is no UTF-8 shows as this character, which may also stand there by itself.
    if (text.includes("\ufffd")) {
      try {
        return STRICT_UTF8.decode(bytes.subarray(at, this.at));
      } catch {
        throw malformed("a string is not UTF-8");
      }
    }
    return text;
  }

  #array(length: number, depth: number): unknown[] {
    this.#enter(length, depth);
    const items: unknown[] = [];
    for (let i = 0; i < length; i++) items.push(this.any(depth + 1));
    return items;
  }

  #map(length: number, depth: number): unknown {
    this.#enter(length * 2, depth);
    const record: Record<string, unknown> = {};
    for (let i = 0; i < length; i++) {
      const key = this.any(depth + 1);
      if (typeof key !== "string") {
        // Only a `Map` has keys that are no strings.
        const map = new Map<unknown, unknown>(Object.entries(record));
        map.set(key, this.any(depth + 1));
        for (i++; i < length; i++) map.set(this.any(depth + 1), this.any(depth + 1));
        return map;
      }
      const value = this.any(depth + 1);
      if (key === "__proto__") {
        Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
      } else {
        record[key] = value;
      }
    }
    return record;
  }

  /** Each item takes a byte at least, so a length that lies is found out before anything is made of it. */
  #enter(items: number, depth: number): void {
    if (depth >= DEPTH_MAX) throw malformed(`values are nested deeper than ${DEPTH_MAX}`);
    if (items > this.bytes.length - this.at) throw malformed("the bytes end in the middle of a value");
  }

  #extension(length: number, depth: number): unknown {
    const type = this.bytes.readInt8(this.take(1));
    const at = this.take(length);
    const payload = this.bytes.subarray(at, at + length);
    switch (type) {
      case EXT_REF:
        return this.referrer.makeRef(idOf(payload, "a ref"));
      case EXT_STREAM:
        return this.referrer.makeStream(idOf(payload, "a stream handle"));
      case EXT_ACTOR:
        return this.#actor(payload);
      case EXT_TENSOR:
        return this.#tensor(payload, depth);
      case EXT_UUID:
        if (length !== 16) throw malformed(`a UUID of ${length} bytes`);
        return new Uuid(Uint8Array.from(payload));
      case EXT_BIG:
        return bigInteger(payload);
      case EXT_TIMESTAMP:
        return timestamp(payload);
      default:
        if (type >= EXT_USERS) return new Extension(type, new Uint8Array(payload));
        throw malformed(`extension type ${type} is not known; the sender is of a later version`);
    }
  }

  #actor(payload: Buffer): unknown {
    const parts = decode(payload, [], NO_REFERRER);
    if (Array.isArray(parts) && parts.length === 3) {
      const [id, className, interfaceBytes] = parts as unknown[];
      if (id instanceof Uint8Array && typeof className === "string" && interfaceBytes instanceof Uint8Array) {
        return this.referrer.makeActor(idOf(Buffer.from(id), "an actor handle"), className, interfaceBytes);
      }
    }
    throw malformed("an actor handle is not an id, a class name and an interface");
  }

  #tensor(payload: Buffer, depth: number): unknown {
    const parts = decode(payload, [], NO_REFERRER);
    if (!Array.isArray(parts) || parts.length !== 4) throw malformed("a tensor is not dtype, shape, strides and elements");
    const [dtype, shape, strides, where] = parts as unknown[];
    const data = typeof where === "number" ? this.buffers[where] : where;
    if (
      typeof dtype !== "string" ||
      !isSizes(shape) ||
      !(strides === null || isSizes(strides)) ||
      !(data instanceof Uint8Array)
    ) {
      throw malformed("a tensor is not dtype, shape, strides and elements");
    }
    const tensor = new Tensor(dtype, shape, data, strides);
    return depth < 0 ? tensor : simplest(tensor);
  }
}

/** A tensor of one dimension is what this language calls a typed array, where there is one of that type (bytes are binary, not a tensor). */
export function simplest(tensor: Tensor): Tensor | TypedArray {
  const { dtype, shape, strides } = tensor;
  if (shape.length !== 1 || strides !== null || dtype === "|u1" || dtype === "|b1") return tensor;
  try {
    return tensor.toTypedArray();
  } catch {
    return tensor;
  }
}

const STRICT_UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const NO_REFERRER: Referrer = {
  makeRef: () => {
    throw malformed("a ref where none can be");
  },
  makeStream: () => {
    throw malformed("a stream handle where none can be");
  },
  makeActor: () => {
    throw malformed("an actor handle where none can be");
  },
};

function malformed(what: string): ThornbackError {
  return errorOf("UNSUPPORTED_FORMAT", `the value is not MessagePack as the protocol has it: ${what}`);
}

function narrow(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

function idOf(payload: Buffer, what: string): Id {
  if (payload.length !== 16) throw malformed(`${what} with an id of ${payload.length} bytes`);
  return payload.toString("latin1");
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => typeof size === "number");
}

function bigInteger(payload: Buffer): bigint {
  const sign = payload.at(0);
  if (sign === undefined || sign > 1) throw malformed("a big integer without a sign");
  if (payload.length < 9 || payload[1] === 0) throw malformed("a big integer that is none");
  const magnitude = BigInt(`0x${payload.subarray(1).toString("hex")}`);
  const value = sign === 1 ? -magnitude : magnitude;
  if (value >= INT64_MIN && value <= UINT64_MAX) throw malformed("a big integer that is none");
  return value;
}

function timestamp(payload: Buffer): Date | Timestamp {
  let seconds: bigint;
  let nanoseconds = 0;
  switch (payload.length) {
    case 4:
      seconds = BigInt(payload.readUInt32BE());
      break;
    case 8: {
      const both = payload.readBigUInt64BE();
      seconds = both & 0x3_ffff_ffffn;
      nanoseconds = Number(both >> 34n);
      break;
    }
    case 12:
      nanoseconds = payload.readUInt32BE();
      seconds = payload.readBigInt64BE(4);
      break;
    default:
      throw malformed(`a timestamp of ${payload.length} bytes`);
  }
  if (nanoseconds > 999_999_999) throw malformed("a timestamp with more than a second of nanoseconds");
  if (nanoseconds % 1_000_000 === 0 && seconds >= -8_640_000_000_000n && seconds <= 8_640_000_000_000n) {
    const date = new Date(Number(seconds) * 1000 + nanoseconds / 1_000_000);
    if (!Number.isNaN(date.getTime())) return date;
  }
  return new Timestamp(seconds, nanoseconds);
}
