// Values that JavaScript has no type of its own for, and other languages tell apart.

import { errorOf } from "./errors.js";
import { EXT_USERS } from "./extensions.js";

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
