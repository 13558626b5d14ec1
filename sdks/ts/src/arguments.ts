// The arguments of a call as they travel: refs as refs, small values as themselves, large ones put first. It sends nothing itself but what is put.

import { errorOf } from "./errors.js";
import { Ref } from "./object.js";
import type { Runtime } from "./runtime.js";
import type { Id } from "./session/ids.js";
import { payloadBytes, type WireArg } from "./session/ops.js";
import { State } from "./slot.js";
import { encodeValue } from "./values.js";

/** Bytes of all small arguments of one call together; what goes beyond is stored. */
const ARGS_BYTES_MAX = 1024 * 1024;
/** One argument by keyword, for functions of languages that have them: the last argument of a call. */
export class Keywords {
  /** Names and values. */
  readonly values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values;
  }
}

/** The arguments of a call on their way. */
export interface EncodedArgs {
  readonly wire: WireArg[];
  /** Refs of what was put for this call. */
  keep: Ref<unknown>[] | undefined;
  /** Objects that may not be stored yet. */
  storing: Id[] | undefined;
  /** Bytes of small arguments. */
  inline: number;
}

/** The arguments of a call as they travel. Large ones are put first. */
export function encodeArgs(runtime: Runtime, args: readonly unknown[]): EncodedArgs {
  const encoded: EncodedArgs = { wire: [], keep: undefined, storing: undefined, inline: 0 };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg instanceof Keywords && i === args.length - 1) {
      for (const [name, value] of Object.entries(arg.values)) add(runtime, encoded, value, name, i);
    } else {
      add(runtime, encoded, arg, "", i);
    }
  }
  return encoded;
}

function add(runtime: Runtime, to: EncodedArgs, value: unknown, keyword: string, place: number): void {
  if (value instanceof Ref) {
    const { slot } = value;
    if (value.runtime !== runtime) throw errorOf("INVALID_ARGUMENT", `${nameOf(keyword, place)} is a ref of another session`);
    if (slot.state === State.Failed && !slot.counted) throw slot.error!;
    to.wire.push({ keyword, ref: slot.id, value: undefined });
    if (!slot.ready) (to.storing ??= []).push(slot.id);
    return;
  }
  const encoded = encodeValue(value, typeof value === "object" ? nameOf(keyword, place) : "an argument");
  const bytes = payloadBytes(encoded);
  if (bytes > runtime.session.inlineBytes || to.inline + bytes > ARGS_BYTES_MAX) {
    const ref = runtime.put(value);
    (to.keep ??= []).push(ref);
    (to.storing ??= []).push(ref.slot.id);
    to.wire.push({ keyword, ref: ref.slot.id, value: undefined });
    return;
  }
  to.inline += bytes;
  to.wire.push({ keyword, ref: "", value: encoded });
}

/** What an argument is called in errors. */
function nameOf(keyword: string, place: number): string {
  return `argument ${keyword === "" ? place + 1 : JSON.stringify(keyword)}`;
}
