// The task that the code at hand belongs to: parent of what it submits, what gives its CPU back while it waits, and what is interrupted when it is
// cancelled.

import type { ThornbackError } from "./errors.js";
import { type Id, toBytes } from "./session/ids.js";
import type { Conversation } from "./session/conversation.js";

/** One running task. */
export class Scope {
  readonly task: Id;
  readonly #session: Conversation;
  #abort: AbortController | undefined;
  #interrupted: ThornbackError | undefined;
  #waits = 0;
  #over = false;

  constructor(session: Conversation, task: Id) {
    this.#session = session;
    this.task = task;
  }

  /** Why the task is to end, if it is. */
  get interrupted(): ThornbackError | undefined {
    return this.#interrupted;
  }

  /** Aborted when the task is interrupted. Most tasks never ask. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#interrupted && !this.#abort.signal.aborted) this.#abort.abort(this.#interrupted);
    return this.#abort.signal;
  }

  interrupt(error: ThornbackError): void {
    if (this.#interrupted || this.#over) return;
    this.#interrupted = error;
    this.#abort?.abort(error);
  }

  /** A wait for an object begins. Waits are counted, because a task may wait for several at once. */
  block(): void {
    if (this.#waits++ === 0 && !this.#over) {
      this.#session.post({ case: "blocked", value: { $typeName: "thornback.v1.Blocked", task: toBytes(this.task) } });
    }
  }

  unblock(): void {
    if (--this.#waits === 0 && !this.#over) {
      this.#session.post({ case: "unblocked", value: { $typeName: "thornback.v1.Unblocked", task: toBytes(this.task) } });
    }
  }

  /** The task is over; nothing is said about it any more. */
  end(): void {
    this.#over = true;
  }
}
