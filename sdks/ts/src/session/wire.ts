// Protobuf by hand: the bytes of frames and of the operations of the hot path.
//
// What is written here is plain protobuf of `protocol/proto/thornback/v1`, as any generator would write it; what is seldom sent goes through the
// generated messages in `../gen`. Only this module and its users (`ops.ts`, `session.ts`) do so, and `test/unit/wire.test.ts` holds it to the generated
// code. It opens no socket and decides nothing.

/** What is wrong with bytes that are no protobuf. */
export class MalformedError extends Error {}

const ID_BYTES = 16;

/** Bytes of a new slab. A frame ends before it is much longer than a quarter of this. */
export const SLAB_BYTES = 256 * 1024;

/**
 * Writes into memory that is given out once and never again, so that what was written can be kept without a copy.
 *
 * `take` hands out what was written since the last `take`.
 */
export class Writer {
  buffer: Buffer;
  /** Where what is being written begins. */
  start = 0;
  /** Where the next byte goes. */
  at = 0;

  constructor(buffer: Buffer = Buffer.allocUnsafeSlow(SLAB_BYTES)) {
    this.buffer = buffer;
  }

  /** Bytes since the last `take`. */
  get length(): number {
    return this.at - this.start;
  }

  /** Makes room for so many bytes more. */
  reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const length = this.at - this.start;
    const grown = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, (length + bytes) * 2));
    this.buffer.copy(grown, 0, this.start, this.at);
    this.buffer = grown;
    this.start = 0;
    this.at = length;
  }

  /** Gives out what was written. */
  take(): Buffer {
    const taken = this.buffer.subarray(this.start, this.at);
    this.start = this.at;
    return taken;
  }

  byte(value: number): void {
    this.buffer[this.at++] = value;
  }

  /** An unsigned integer of up to 53 bits. */
  varint(value: number): void {
    const buffer = this.buffer;
    let at = this.at;
    while (value >= 0x8000_0000) {
      buffer[at++] = (value & 0x7f) | 0x80;
      value = Math.floor(value / 128);
    }
    while (value >= 0x80) {
      buffer[at++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    }
    buffer[at++] = value;
    this.at = at;
  }

  /** The 16 bytes of an id. */
  id(id: string): void {
    const { buffer, at } = this;
    // As for other few bytes, a loop is quicker than the call.
    for (let i = 0; i < ID_BYTES; i++) buffer[at + i] = id.charCodeAt(i);
    this.at = at + ID_BYTES;
  }

  bytes(bytes: Uint8Array): void {
    const { buffer, at } = this;
    const length = bytes.length;
    if (length <= 24) {
      // A loop is quicker than the call that copies.
      for (let i = 0; i < length; i++) buffer[at + i] = bytes[i]!;
    } else {
      buffer.set(bytes, at);
    }
    this.at = at + length;
  }
}

/** How many bytes `Writer.varint` writes. */
export function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let length = 5;
  for (let rest = Math.floor(value / 0x8_0000_0000); rest > 0; rest = Math.floor(rest / 128)) length++;
  return length;
}

/** Reads protobuf from bytes that came from elsewhere. Every read is checked against the end. */
export class Reader {
  buffer: Buffer;
  at: number;
  end: number;

  constructor(buffer: Buffer, at = 0, end: number = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  /** An unsigned integer. Above 2⁵³ it is not exact; where that matters the generated code reads. */
  varint(): number {
    const { buffer } = this;
    let at = this.at;
    const first = at < this.end ? buffer[at++] : cut();
    if (first < 0x80) {
      this.at = at;
      return first;
    }
    let value = first & 0x7f;
    let scale = 128;
    for (let i = 1; i < 10; i++) {
      if (at >= this.end) cut();
      const byte = buffer[at++];
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
      scale *= 128;
    }
    throw new MalformedError("an integer of more than ten bytes");
  }

  /** A field's number and wire type. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag > 0xffff_ffff) throw new MalformedError(`${tag} is no tag`);
    return tag;
  }

  /** The length of a length-delimited field, which lies before the end. */
  length(): number {
    const length = this.varint();
    if (length > this.end - this.at) cut();
    return length;
  }

  /** Bytes that share memory with what is read. */
  bytes(): Buffer {
    const length = this.length();
    return this.buffer.subarray(this.at, (this.at += length));
  }

  string(): string {
    const length = this.length();
    return this.buffer.toString("utf8", this.at, (this.at += length));
  }

  /** An id, or an empty string for an empty field. */
  id(): string {
    const length = this.length();
    if (length === 0) return "";
    if (length !== ID_BYTES) throw new MalformedError(`an id of ${length} bytes`);
    const { buffer: b, at } = this;
    this.at = at + ID_BYTES;
    // Half of the time of the call that makes a string of any length.
    // prettier-ignore
    return String.fromCharCode(
      b[at], b[at + 1], b[at + 2], b[at + 3], b[at + 4], b[at + 5], b[at + 6], b[at + 7],
      b[at + 8], b[at + 9], b[at + 10], b[at + 11], b[at + 12], b[at + 13], b[at + 14], b[at + 15],
    );
  }

  /** Passes over the field of this tag. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.varint();
        return;
      case 1:
        this.advance(8);
        return;
      case 2:
        this.advance(this.length());
        return;
      case 5:
        this.advance(4);
        return;
      default:
        throw new MalformedError(`a field of wire type ${tag & 7}`);
    }
  }

  private advance(bytes: number): void {
    if (bytes > this.end - this.at) cut();
    this.at += bytes;
  }
}

function cut(): never {
  throw new MalformedError("bytes end in the middle of a field");
}
