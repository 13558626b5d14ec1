// Refs that were made just now. Most are disposed of soon, and a program that makes a hundred thousand a second must not have the garbage collector watch
// over each: registering one costs more than all else of its life, and keeps it until the next collection of everything. So only those that grow old
// are registered. Meanwhile they are held here, and for no longer than `HELD_MS`, or until there are many.

import type { Hold } from "./slot.js";

/** How long a ref is held that nobody disposes of, if the program returns to its event loop: less than it rests before garbage is collected. */
const HELD_MS = 100;
/** At so many it is looked which were disposed of. */
const HELD_MAX = 4096;

/** The young refs of one session. */
export class Young<R extends object> {
  readonly #register: (ref: R, hold: Hold) => void;
  #refs: R[] = [];
  #holds: Hold[] = [];
  #armed = false;

  /** `register` is given those that grow old. */
  constructor(register: (ref: R, hold: Hold) => void) {
    this.#register = register;
  }

  add(ref: R, hold: Hold): void {
    this.#refs.push(ref);
    this.#holds.push(hold);
    if (!this.#armed) {
      this.#armed = true;
      setTimeout(() => {
        this.#armed = false;
        this.#age();
      }, HELD_MS).unref();
    }
    if (this.#refs.length >= HELD_MAX) this.#sweep();
  }

  /** Lets go of those that were disposed of; of all, if they are not many. */
  #sweep(): void {
    const [refs, holds] = [this.#refs, this.#holds];
    let kept = 0;
    for (let i = 0; i < refs.length; i++) {
      if (holds[i].slot === undefined) continue;
      refs[kept] = refs[i];
      holds[kept++] = holds[i];
    }
    refs.length = holds.length = kept;
    // So that each is looked at twice at most, on average.
    if (kept > HELD_MAX / 2) this.#age();
  }

  /** Registers what is left. */
  #age(): void {
    const [refs, holds] = [this.#refs, this.#holds];
    this.#refs = [];
    this.#holds = [];
    for (let i = 0; i < refs.length; i++) if (holds[i].slot !== undefined) this.#register(refs[i], holds[i]);
  }
}
