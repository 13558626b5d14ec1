// What stands in a value for something that is counted: refs, streams and actor handles. How they are written and read is known here, what they are is not.

import type { Id } from "./session/ids.js";

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
