// MessagePack with the protocol's extension types (`protocol/spec/value.md`) to values, and nothing more: what the extensions of refs and handles stand
// for is asked of whoever decodes.

import { errorOf, type ThornbackError } from "./errors.js";
import {
  COPY_BYTES_MAX,
  DEPTH_MAX,
  EXT_ACTOR,
  EXT_BIG,
  EXT_REF,
  EXT_STREAM,
  EXT_TENSOR,
  EXT_TIMESTAMP,
  EXT_USERS,
  EXT_UUID,
  INT64_MIN,
  UINT64_MAX,
} from "./extensions.js";
import type { Referrer } from "./reference.js";
import type { Id } from "./session/ids.js";
import { Tensor, type TypedArray } from "./tensor.js";
import { Extension, Timestamp, Uuid } from "./types.js";

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
