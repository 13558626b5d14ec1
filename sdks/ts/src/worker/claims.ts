// Which of the runs that have come have begun, which were taken back: decided between two threads by one word of shared memory for each run, which
// whoever comes first sets. Runs are counted from 0 by both. It runs nothing.

import type { Id } from "../session/ids.js";
import type { RunHead } from "../session/ops.js";

/** Runs whose words lie together. */
const RUNS = 1024;

const WAITING = 0;
const BEGUN = 1;
const TAKEN_BACK = 2;

/** The words of runs, in the order in which they came. */
class Words {
  readonly #segments = new Map<number, Int32Array>();

  add(index: number, segment: SharedArrayBuffer): void {
    this.#segments.set(index, new Int32Array(segment));
  }

  /** Whether the run was waiting, and is what is said from now on. */
  set(run: number, state: number): boolean {
    const words = this.#segments.get(Math.floor(run / RUNS));
    return words !== undefined && Atomics.compareExchange(words, run % RUNS, WAITING, state) === WAITING;
  }

  waits(run: number): boolean {
    const words = this.#segments.get(Math.floor(run / RUNS));
    return words !== undefined && Atomics.load(words, run % RUNS) === WAITING;
  }

  /** Forgets the words of all runs before this one. */
  forget(run: number): void {
    for (const index of this.#segments.keys()) {
      if ((index + 1) * RUNS > run) return;
      this.#segments.delete(index);
    }
  }
}

/** The side that runs. */
export class Beginner {
  readonly #words = new Words();
  #segments = 0;

  /** Memory for the words of the next runs. */
  add(segment: SharedArrayBuffer): void {
    this.#words.add(this.#segments++, segment);
  }

  /** Begins a run; false if it was taken back. Runs are begun in the order in which they came. */
  begin(run: number): boolean {
    if (run % RUNS === 0) this.#words.forget(run);
    return this.#words.set(run, BEGUN);
  }
}

/** The side that may take runs back. */
export class Keeper {
  readonly #publish: (segment: SharedArrayBuffer) => void;
  readonly #words = new Words();
  /** Of the runs from `#first` on. */
  readonly #heads: RunHead[] = [];
  #first = 0;
  /** No run before this one waits. */
  #oldest = 0;
  #runs = 0;
  #sweepAt = RUNS;

  /** `publish` is told of the memory of runs before the first of them. */
  constructor(publish: (segment: SharedArrayBuffer) => void) {
    this.#publish = publish;
  }

  /** A run has come. */
  add(head: RunHead): void {
    if (this.#runs % RUNS === 0) {
      const segment = new SharedArrayBuffer(4 * RUNS);
      this.#words.add(this.#runs / RUNS, segment);
      this.#publish(segment);
    }
    this.#heads.push(head);
    this.#runs++;
    if (this.#heads.length >= this.#sweepAt) this.#sweep();
  }

  /** Takes the run of a task back, of that attempt if one is named; undefined if it has begun, or never came. */
  takeBack(task: Id, attempt?: number): RunHead | undefined {
    this.#pass();
    // Seldom is one wanted, and then it is among the first; to find it quickly would cost something for each that comes.
    for (let run = this.#oldest; run < this.#runs; run++) {
      const head = this.#heads[run - this.#first];
      if (head.task !== task || (attempt !== undefined && attempt !== head.attempt)) continue;
      if (this.#words.set(run, TAKEN_BACK)) return head;
    }
    return undefined;
  }

  /** Passes over the runs that have begun or were taken back. */
  #pass(): void {
    while (this.#oldest < this.#runs && !this.#words.waits(this.#oldest)) this.#oldest++;
  }

  /** Forgets those. Seldom enough that a run costs the same however many wait. */
  #sweep(): void {
    this.#pass();
    this.#heads.splice(0, this.#oldest - this.#first);
    this.#first = this.#oldest;
    this.#words.forget(this.#oldest);
    this.#sweepAt = Math.max(RUNS, 2 * this.#heads.length);
  }
}
