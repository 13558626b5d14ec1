// The suite's notation of values, to JavaScript and back. It knows no session: names of refs and handles are asked of whoever holds them.

import { ActorHandle, Float, Ref, Timestamp, Uuid } from "../src/index.js";

/** A value as the suite writes it: an object with one key. */
export type Notation = Readonly<Record<string, unknown>>;

/** What names stand for. */
export interface Names {
  named(name: string): unknown;
  /** Gives a name to what was found in a value. */
  found(thing: unknown): string;
}

/** Longer bytes are told by their number and checksum. */
const DIGEST_ABOVE = 1024;

/** Bytes where byte `i` is `(31·i + seed) mod 251`. */
export function pattern(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (31 * i + seed) % 251;
  return bytes;
}

/** A value for the SDK. */
export function read(notation: Notation, names: Names): unknown {
  const [kind, body] = Object.entries(notation)[0] ?? ["nothing"];
  switch (kind) {
    case "nil":
      return null;
    case "bool":
    case "str":
      return body;
    case "int":
    case "bigint": {
      const integer = BigInt(body as string);
      return BigInt(Number(integer)) === integer && Number.isSafeInteger(Number(integer)) ? Number(integer) : integer;
    }
    case "float": {
      const float = Buffer.from(body as string, "hex").readDoubleBE();
      return Number.isInteger(float) ? new Float(float) : float;
    }
    case "bytes":
      return new Uint8Array(Buffer.from(body as string, "hex"));
    case "pattern": {
      const { size, seed } = body as { size: number; seed: number };
      return pattern(size, seed);
    }
    case "list":
      return (body as Notation[]).map((item) => read(item, names));
    case "map": {
      const entries = (body as [Notation, Notation][]).map(([key, value]) => [read(key, names), read(value, names)] as const);
      const record = entries.every(([key]) => typeof key === "string");
      return record ? Object.fromEntries(entries as [string, unknown][]) : new Map(entries);
    }
    case "ref":
    case "actor":
      return names.named(body as string);
    case "uuid":
      return new Uuid(body as string);
    case "timestamp": {
      const [seconds, nanoseconds] = body as [number, number];
      return new Timestamp(seconds, nanoseconds);
    }
    case "unencodable":
      return () => undefined;
    default:
      throw new Error(`${kind} is no value`);
  }
}

/** What the SDK gave. */
export function tell(value: unknown, names: Names): Notation {
  switch (typeof value) {
    case "boolean":
      return { bool: value };
    case "string":
      return { str: value };
    case "bigint":
      return { [value >= -(2n ** 63n) && value < 2n ** 64n ? "int" : "bigint"]: String(value) };
    case "number": {
      if (Number.isSafeInteger(value) && !Object.is(value, -0)) return { int: String(value) };
      const bits = Buffer.alloc(8);
      bits.writeDoubleBE(value);
      return { float: bits.toString("hex") };
    }
    case "object":
      return tellObject(value, names);
    default:
      throw new Error(`a ${typeof value} came back, which has no notation`);
  }
}

function tellObject(value: object | null, names: Names): Notation {
  if (value === null) return { nil: null };
  if (Array.isArray(value)) return { list: value.map((item) => tell(item, names)) };
  if (value instanceof Uint8Array) {
    if (value.length <= DIGEST_ABOVE) return { bytes: Buffer.from(value).toString("hex") };
    return { digest: { size: value.length, crc32: checksum(value).toString(16).padStart(8, "0") } };
  }
  if (value instanceof Uuid) return { uuid: String(value) };
  if (value instanceof Date) {
    const seconds = Math.floor(value.getTime() / 1000);
    return { timestamp: [seconds, (value.getTime() - seconds * 1000) * 1_000_000] };
  }
  if (value instanceof Timestamp) return { timestamp: [Number(value.seconds), value.nanoseconds] };
  if (value instanceof Ref) return { ref: names.found(value) };
  if (value instanceof ActorHandle) return { actor: names.found(value) };
  if (value instanceof Map) return { map: [...value].map(([key, item]) => [tell(key, names), tell(item, names)]) };
  if (Object.getPrototypeOf(value) === Object.prototype) {
    return { map: Object.entries(value).map(([key, item]) => [{ str: key }, tell(item, names)]) };
  }
  throw new Error(`an instance of ${value.constructor.name} came back, which has no notation`);
}

/** CRC-32 as zip and PNG have it; `zlib.crc32` is not in every Node.js that the SDK supports. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb8_8320 : n >>> 1;
  return n;
});
