// The layout of an object in the store (`protocol/spec/data-plane.md`): the FlatBuffer header of `protocol/flatbuffers/object_header.fbs`, read with
// every offset checked and written with a fixed shape. The vectors in `protocol/vectors/object_headers.json` hold it to what others write.

import { errorOf, type ThornbackError } from "./errors.js";
import type { RawValue } from "./session/ops.js";

const ALIGNMENT = 64;
const BUFFERS_MAX = 65_536;
const FORMAT_MAX = 5;

/** Where something lies: its first byte, counted from the object's, and how many there are. */
export interface Place {
  readonly start: number;
  readonly bytes: number;
}

/** What the header of an object says. */
export interface Layout {
  readonly format: number;
  readonly schema: string;
  readonly data: Place;
  readonly buffers: readonly Place[];
  /** DLPack's number of the kind of device, and which one; [1, 0] is the memory of the CPU. */
  readonly device: readonly [number, number];
}

/** How a value becomes an object: pieces one behind the other, with zeros between them. */
export interface Plan {
  readonly size: number;
  readonly pieces: readonly { readonly at: number; readonly bytes: Uint8Array }[];
}

function align(position: number): number {
  return Math.ceil(position / ALIGNMENT) * ALIGNMENT;
}

// Positions in the header that `planOf` writes, from the object's first byte: the vtable, the table, and in it the fields.
const VTABLE = 8;
const TABLE = 24;
const SCHEMA = 4;
const DATA = 8;
const BUFFERS = 24;
const FORMAT = 28;
const TABLE_BYTES = 32;
/** A vector of structs begins with its length just before a multiple of 8. */
const VECTOR = 60;

/** Lays a value out. Throws `UnserializableError` if it has more buffers than an object may have. */
export function planOf(value: RawValue): Plan {
  const { buffers } = value;
  if (buffers.length > BUFFERS_MAX) {
    throw errorOf("UNSERIALIZABLE", `the value has ${buffers.length} buffers, and an object has at most ${BUFFERS_MAX}`);
  }
  const schema = Buffer.from(value.schema);
  const vectorEnd = buffers.length === 0 ? VECTOR : VECTOR + 4 + 16 * buffers.length;
  const end = schema.length === 0 ? vectorEnd : vectorEnd + 4 + Math.ceil((schema.length + 1) / 4) * 4;
  const header = Buffer.alloc(align(end));
  header.writeUInt32LE(end - 4, 0);
  header.writeUInt32LE(TABLE - 4, 4);
  const fields = [FORMAT, schema.length === 0 ? 0 : SCHEMA, DATA, buffers.length === 0 ? 0 : BUFFERS];
  [4 + 2 * fields.length, TABLE_BYTES, ...fields].forEach((entry, i) => header.writeUInt16LE(entry, VTABLE + 2 * i));
  header.writeInt32LE(TABLE - VTABLE, TABLE);
  header.writeUInt8(value.format, TABLE + FORMAT);
  if (schema.length > 0) {
    header.writeUInt32LE(vectorEnd - (TABLE + SCHEMA), TABLE + SCHEMA);
    header.writeUInt32LE(schema.length, vectorEnd);
    schema.copy(header, vectorEnd + 4);
  }
  const pieces: { at: number; bytes: Uint8Array }[] = [{ at: 0, bytes: header }];
  let offset = 0;
  const place = (bytes: Uint8Array, entry: number): void => {
    offset = align(offset);
    header.writeBigUInt64LE(BigInt(offset), entry);
    header.writeBigUInt64LE(BigInt(bytes.length), entry + 8);
    if (bytes.length > 0) pieces.push({ at: header.length + offset, bytes });
    offset += bytes.length;
  };
  place(value.data, TABLE + DATA);
  if (buffers.length > 0) {
    header.writeUInt32LE(VECTOR - (TABLE + BUFFERS), TABLE + BUFFERS);
    header.writeUInt32LE(buffers.length, VECTOR);
    buffers.forEach((buffer, i) => {
      place(buffer, VECTOR + 4 + 16 * i);
    });
  }
  return { size: header.length + offset, pieces };
}

/** The bytes of a plan from `from` on, at most `limit`. */
export function pieceOf(plan: Plan, from: number, limit: number): Buffer {
  const to = Math.min(plan.size, from + limit);
  const out = Buffer.alloc(to - from);
  for (const { at, bytes } of plan.pieces) {
    if (at >= to || at + bytes.length <= from) continue;
    const first = Math.max(at, from);
    out.set(bytes.subarray(first - at, Math.min(at + bytes.length, to) - at), first - from);
  }
  return out;
}

/** Reads the header of an object of `size` bytes of which `bytes` are the first. Throws `ObjectLostError`'s code INTERNAL for one that lies. */
export function readLayout(bytes: Buffer, size: number): Layout {
  return new HeaderReader(bytes, size).read();
}

/** The value in the bytes of an object, its parts where they lie. */
export function valueOf(bytes: Buffer): RawValue {
  const layout = readLayout(bytes, bytes.length);
  const cut = ({ start, bytes: length }: Place): Buffer => bytes.subarray(start, start + length);
  return { format: layout.format, data: cut(layout.data), refs: [], buffers: layout.buffers.map(cut), schema: layout.schema };
}

class HeaderReader {
  readonly #bytes: Buffer;
  readonly #size: number;
  /** Where the FlatBuffer ends, and the header region. */
  #end = 4;
  #base = 0;

  constructor(bytes: Buffer, size: number) {
    this.#bytes = bytes;
    this.#size = size;
  }

  read(): Layout {
    if (this.#bytes.length < 4) throw invalid("it is shorter than its length");
    this.#end = this.#bytes.readUInt32LE(0) + 4;
    this.#base = align(this.#end);
    if (this.#base > this.#size || this.#base > this.#bytes.length) throw invalid("its header is longer than the object");
    const table = this.#offset(4);
    const vtable = table - this.#int32(table);
    const vtableBytes = this.#uint16(vtable);
    const tableBytes = this.#uint16(vtable + 2);
    this.#check(vtable, vtableBytes);
    this.#check(table, tableBytes);
    /** Where a field lies, or 0 if it is absent. */
    const field = (index: number, bytes: number): number => {
      const entry = 4 + 2 * index;
      const offset = entry + 2 <= vtableBytes ? this.#uint16(vtable + entry) : 0;
      if (offset === 0) return 0;
      if (offset + bytes > tableBytes) throw invalid("a field lies outside of its table");
      return table + offset;
    };
    const [formatAt, schemaAt, dataAt, buffersAt, deviceAt] = [field(0, 1), field(1, 4), field(2, 16), field(3, 4), field(4, 8)];
    const format = formatAt === 0 ? 0 : this.#uint8(formatAt);
    if (format === 0 || format > FORMAT_MAX) throw invalid(`its format ${format} is not known`);
    const data = dataAt === 0 ? { start: this.#base, bytes: 0 } : this.#place(dataAt);
    const buffers = buffersAt === 0 ? [] : this.#places(this.#offset(buffersAt));
    this.#checkApart([data, ...buffers]);
    return {
      format,
      schema: schemaAt === 0 ? "" : this.#string(this.#offset(schemaAt)),
      data,
      buffers,
      device: deviceAt === 0 ? [1, 0] : [this.#int32(deviceAt), this.#int32(deviceAt + 4)],
    };
  }

  #check(at: number, bytes: number): void {
    if (at < 4 || at + bytes > this.#end) throw invalid("its header points outside of itself");
  }

  #uint8(at: number): number {
    this.#check(at, 1);
    return this.#bytes.readUInt8(at);
  }

  #uint16(at: number): number {
    this.#check(at, 2);
    return this.#bytes.readUInt16LE(at);
  }

  #uint32(at: number): number {
    this.#check(at, 4);
    return this.#bytes.readUInt32LE(at);
  }

  #int32(at: number): number {
    this.#check(at, 4);
    return this.#bytes.readInt32LE(at);
  }

  #uint64(at: number): number {
    this.#check(at, 8);
    const value = this.#bytes.readBigUInt64LE(at);
    if (value > Number.MAX_SAFE_INTEGER) throw invalid("it points beyond any object");
    return Number(value);
  }

  #offset(at: number): number {
    return at + this.#uint32(at);
  }

  #string(at: number): string {
    const length = this.#uint32(at);
    this.#check(at + 4, length);
    return this.#bytes.toString("utf8", at + 4, at + 4 + length);
  }

  #places(at: number): Place[] {
    const count = this.#uint32(at);
    if (count > BUFFERS_MAX) throw invalid("it has more buffers than an object may have");
    this.#check(at + 4, count * 16);
    return Array.from({ length: count }, (_, i) => this.#place(at + 4 + 16 * i));
  }

  #place(at: number): Place {
    const [offset, bytes] = [this.#uint64(at), this.#uint64(at + 8)];
    if (offset % ALIGNMENT !== 0) throw invalid("a buffer is not aligned");
    const start = this.#base + offset;
    if (start + bytes > this.#size) throw invalid("a buffer ends after the object");
    return { start, bytes };
  }

  #checkApart(places: readonly Place[]): void {
    let end = this.#base;
    for (const { start, bytes } of places.filter((place) => place.bytes > 0).sort((a, b) => a.start - b.start)) {
      if (start < end) throw invalid("two buffers overlap");
      end = start + bytes;
    }
  }
}

function invalid(why: string): ThornbackError {
  return errorOf("INTERNAL", `a stored object cannot be read: ${why}`);
}
