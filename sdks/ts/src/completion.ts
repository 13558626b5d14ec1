// What a completion brings into a slot: a value that is decoded at once because that costs less than keeping it, or one as it travelled.

import { decode } from "./decode.js";
import { Format } from "./gen/thornback/v1/value_pb.js";
import type { Referrer } from "./reference.js";
import type { RawValue } from "./session/ops.js";
import type { Slot } from "./slot.js";
import { compact } from "./values.js";

/** Completions whose values are decoded as they come have at most so many bytes. */
const PLAIN_BYTES_MAX = 64;

/** The value of an object has come, in memory that is not kept. */
export function setValue(slot: Slot, value: RawValue): void {
  const { data } = value;
  if ((value.format as Format) === Format.MSGPACK && data.length > 0 && data.length <= PLAIN_BYTES_MAX && isPlain(data[0])) {
    try {
      slot.setPlain(decode(data as Buffer, [], NOTHING));
      return;
    } catch {
      // Whoever reads it is told what is wrong with it.
    }
  }
  slot.setRaw(compact(value));
}

/** Whether MessagePack that begins so is a number, text, a boolean or nil. */
function isPlain(first: number): boolean {
  return first < 0x80 || (first >= 0xa0 && first <= 0xc3) || (first >= 0xca && first <= 0xd3) || first === 0xd9 || first >= 0xe0;
}

const NOTHING: Referrer = { makeRef: () => null, makeStream: () => null, makeActor: () => null };
