// Waiting for what the node tells of: with a limit of time, a signal, and for the task that the waiting code belongs to. It asks the node for nothing
// itself.

import { errorOf, type ThornbackError } from "./errors.js";
import type { GetOptions } from "./object.js";
import type { Scope } from "./scope.js";
import type { Conversation } from "./session/conversation.js";
import { type Slot, State } from "./slot.js";

/** All who wait in one session. */
export class Waits {
  /** The process is kept alive also while nobody waits. */
  holdAlways = false;
  readonly #session: () => Conversation;
  readonly #scope: () => Scope | undefined;
  readonly #watch: (slots: readonly Slot[]) => void;
  #waits = 0;

  /** `watch` asks the node to tell of slots that it would not tell of unasked. */
  constructor(session: () => Conversation, scope: () => Scope | undefined, watch: (slots: readonly Slot[]) => void) {
    this.#session = session;
    this.#scope = scope;
    this.#watch = watch;
  }

  /** Keeps the process alive while somebody waits. */
  change(change: 1 | -1): void {
    this.#waits += change;
    if (this.holdAlways) return;
    if (this.#waits === 0) this.#session().hold(false);
    else if (this.#waits === 1 && change === 1) this.#session().hold(true);
  }

  /** Waits until `count` of the slots are ready, or, with `orFailed`, one has failed. */
  async untilReady(slots: readonly Slot[], count: number, orFailed: boolean, options: GetOptions | undefined): Promise<void> {
    const unwatched: Slot[] = [];
    const pending: Slot[] = [];
    let missing = count;
    for (const slot of slots) {
      if (slot.state === State.Failed && orFailed) throw slot.error!;
      if (slot.ready) missing--;
      else {
        pending.push(slot);
        if (!slot.watched) unwatched.push(slot);
      }
    }
    if (unwatched.length > 0) this.#watch(unwatched);
    if (missing <= 0) return;
    let failed: ThornbackError | undefined;
    await this.until((wake) => {
      const waiters = pending.map((slot) => {
        const waiter = (): void => {
          if (orFailed && slot.state === State.Failed) {
            failed ??= slot.error;
            wake();
          }
          if (--missing === 0) wake();
        };
        slot.wait(waiter);
        return waiter;
      });
      return () => {
        pending.forEach((slot, i) => {
          slot.unwait(waiters[i]);
        });
      };
    }, options);
    if (failed) throw failed;
  }

  /**
   * Waits until `wake` is called; `register` gives back how to undo it. Meanwhile the task at hand is blocked.
   *
   * Rejects with `GetTimeoutError`, the signal's reason, what interrupts the task, or the end of the session.
   */
  until(register: (wake: () => void) => () => void, options?: GetOptions): Promise<void> {
    return new Promise((resolve, reject: (reason: unknown) => void) => {
      const { ended } = this.#session();
      if (ended) throw ended;
      const scope = this.#scope();
      const signals = [options?.signal, scope?.signal].filter((signal) => signal !== undefined);
      for (const signal of signals) signal.throwIfAborted();
      let timer: NodeJS.Timeout | undefined;
      let over = false;
      const settle = (error?: unknown): void => {
        if (over) return;
        over = true;
        undo();
        clearTimeout(timer);
        for (const signal of signals) signal.removeEventListener("abort", abort);
        this.change(-1);
        scope?.unblock();
        if (error === undefined) {
          resolve();
          return;
        }
        // A signal's reason may be anything, and is passed on as it is.
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        reject(error);
      };
      const abort = (event: Event): void => {
        settle((event.target as AbortSignal).reason);
      };
      const undo = register(() => {
        settle();
      });
      for (const signal of signals) signal.addEventListener("abort", abort);
      if (options?.timeoutMs !== undefined && options.timeoutMs !== Infinity) {
        const { timeoutMs } = options;
        timer = setTimeout(
          () => {
            // What has come meanwhile is looked at first: a program that only ever asks with a timeout of 0 must get on.
            setImmediate(() => {
              settle(
                errorOf(
                  "GET_TIMEOUT",
                  `the value did not come within ${Math.max(timeoutMs, 0)} ms; it may still, so get it again`,
                ),
              );
            });
          },
          Math.min(Math.max(timeoutMs, 0), 0x7fff_ffff),
        );
      }
      this.change(1);
      scope?.block();
    });
  }
}
