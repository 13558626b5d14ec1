// Ids: 16 bytes, made by whoever sends them first. In this package an id is a string of 16 characters, one for each byte, because strings are what a
// `Map` finds quickly. People see hexadecimal.

import { randomBytes } from "node:crypto";

/** 16 bytes, as a latin-1 string. */
export type Id = string;

/** No id, where a field may be empty. */
export const NO_ID: Id = "";

const INDEX_SELF = "\0\0\0\0";
const INDEX_FIRST = "\0\0\0\x01";

/** Makes ids: 8 random bytes of this process, a counter of 4 bytes, an index of 4 bytes. */
export class Ids {
  #salt = salt();
  #high = "";
  #next = 1;

  /** The first 12 bytes of a new id. */
  prefix(): string {
    const n = this.#next++;
    const low = n & 0xffff;
    if (low === 0 || this.#high === "") {
      if (n > 0xffff_ffff) {
        // A counter is never used twice with one salt.
        this.#salt = salt();
        this.#next = 1;
        this.#high = "";
        return this.prefix();
      }
      this.#high = this.#salt + String.fromCharCode(n >>> 24, (n >>> 16) & 0xff);
    }
    return this.#high + PAIRS[low];
  }

  /** The id of a new task, actor or placement group. */
  next(): Id {
    return this.prefix() + INDEX_SELF;
  }

  /** The id of a new object that is put. */
  nextPut(): Id {
    return this.prefix() + INDEX_FIRST;
  }
}

/** Every string of two bytes: quicker than making one for each id. */
const PAIRS: readonly string[] = Array.from({ length: 0x1_0000 }, (_, n) => String.fromCharCode(n >> 8, n & 0xff));

function salt(): string {
  return randomBytes(8).toString("latin1");
}

/** The id of a task's return value or stream item, counted from 0. */
export function output(task: Id, index: number): Id {
  return index === 0 ? task.slice(0, 12) + INDEX_FIRST : withIndex(task, index + 1);
}

/** The same id with another index. */
export function withIndex(id: Id, index: number): Id {
  const bytes = String.fromCharCode(index >>> 24, (index >>> 16) & 0xff, (index >>> 8) & 0xff, index & 0xff);
  return id.slice(0, 12) + bytes;
}

/** The index of an id. */
export function indexOf(id: Id): number {
  return Buffer.from(id, "latin1").readUInt32BE(12);
}

/** As people see it. */
export function toHex(id: Id): string {
  return Buffer.from(id, "latin1").toString("hex");
}

/** As it goes on the wire; nothing for no id. */
export function toBytes(id: Id): Uint8Array {
  return Buffer.from(id, "latin1");
}

/** From the wire. */
export function fromBytes(bytes: Uint8Array): Id {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
