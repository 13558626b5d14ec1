// The counts that a session holds at the node: which refs were found, which handles are gone. It says so in few messages, and before anything that could
// let go of what a ref was found in. What an object is, it does not know.

import { Collector } from "./collect.js";
import type { Conversation } from "./session/conversation.js";
import type { Id } from "./session/ids.js";
import { writeRefs } from "./session/ops.js";

/** Drops are sent at the latest when they are so many. */
const DROPS_MAX = 1000;

/** The counts of one session. */
export class Counts {
  readonly #session: () => Conversation;
  readonly #collector = new Collector();
  #retains: Id[] = [];
  #drops: Id[] = [];

  readonly #handles = new FinalizationRegistry<Id>((id) => {
    this.#collector.release();
    this.drop(id);
  });

  constructor(session: () => Conversation) {
    this.#session = session;
  }

  /** Counts a handle to an actor or a stream as long as it is there. */
  adopt(handle: object, id: Id): void {
    this.#collector.hold();
    this.#handles.register(handle, id, handle);
  }

  /** Lets go of what a handle was counted for. */
  release(handle: object, id: Id): void {
    this.#collector.release();
    this.#handles.unregister(handle);
    this.drop(id);
  }

  /** A ref or handle was found in a value. */
  retain(id: Id): void {
    this.#retains.push(id);
  }

  /** A count is given back: soon, since none is urgent, and many often come together. */
  drop(id: Id): void {
    this.#drops.push(id);
    if (this.#drops.length === 1) {
      setImmediate(() => {
        this.#flushDrops();
      }).unref();
    } else if (this.#drops.length >= DROPS_MAX) {
      this.#flushDrops();
    }
  }

  /** Something dear is held by a ref of this process, and garbage is worth collecting. */
  hold(): void {
    this.#collector.hold();
  }

  /** It is no more. */
  unhold(): void {
    this.#collector.release();
  }

  /** Something went on. */
  touch(): void {
    this.#collector.touch();
  }

  /** Tells the node of refs that were found, before anything that could let go of what they were found in. */
  flushRetains(): void {
    if (this.#retains.length === 0) return;
    this.#post(this.#retains.splice(0), []);
  }

  #flushDrops(): void {
    if (this.#drops.length === 0) return;
    this.#post([], this.#drops.splice(0));
  }

  #post(retain: readonly Id[], drop: readonly Id[]): void {
    const session = this.#session();
    if (session.ended) return;
    writeRefs(session.begin(), retain, drop);
    session.end();
  }
}
