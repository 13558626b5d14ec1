// Bytes between two threads: one writes operations, the other takes what is whole whenever it likes, also while the first is busy. Memory is written
// once and never again, so neither waits for the other. It knows no operation.

import { SLAB_BYTES, Writer } from "../session/wire.js";

/** How many bytes of operations are whole, and whether no more will come into this slab. */
const WHOLE = 0;
const FULL = 1;
const HEAD_BYTES = 8;

/** Writes into memory that another thread reads. `publish` is told of each piece of memory before anything in it is whole. */
export class SharedWriter extends Writer {
  readonly #publish: (slab: SharedArrayBuffer) => void;
  #head: Int32Array;

  constructor(publish: (slab: SharedArrayBuffer) => void) {
    const slab = new SharedArrayBuffer(HEAD_BYTES + SLAB_BYTES);
    super(Buffer.from(slab, HEAD_BYTES));
    this.#publish = publish;
    this.#head = new Int32Array(slab, 0, 2);
    publish(slab);
  }

  override reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const length = this.at - this.start;
    const slab = new SharedArrayBuffer(HEAD_BYTES + Math.max(SLAB_BYTES, (length + bytes) * 2));
    const grown = Buffer.from(slab, HEAD_BYTES);
    this.buffer.copy(grown, 0, this.start, this.at);
    Atomics.store(this.#head, FULL, 1);
    this.#head = new Int32Array(slab, 0, 2);
    this.buffer = grown;
    this.start = 0;
    this.at = length;
    this.#publish(slab);
  }

  /** What was written is whole, and the other thread may have it. Gives its bytes. */
  commit(): number {
    const bytes = this.at - this.start;
    this.start = this.at;
    Atomics.store(this.#head, WHOLE, this.at);
    return bytes;
  }
}

/** Takes what a `SharedWriter` wrote, in order. */
export class SlabReader {
  readonly #slabs: SharedArrayBuffer[] = [];
  #taken = 0;

  /** The memory that the writer goes on in. */
  add(slab: SharedArrayBuffer): void {
    this.#slabs.push(slab);
  }

  /** Whole operations that were not taken yet, as many as lie together; undefined if there are none. */
  take(): Buffer | undefined {
    for (let slab = this.#slabs.at(0); slab !== undefined; slab = this.#slabs.at(0)) {
      const head = new Int32Array(slab, 0, 2);
      // In this order: what is whole when no more will come is all that there is.
      const full = Atomics.load(head, FULL) === 1;
      const whole = Atomics.load(head, WHOLE);
      if (whole > this.#taken) {
        const bytes = Buffer.from(slab, HEAD_BYTES + this.#taken, whole - this.#taken);
        this.#taken = whole;
        return bytes;
      }
      // What comes after it is told of by a message, which may still be on its way.
      if (!full || this.#slabs.length === 1) return undefined;
      this.#slabs.shift();
      this.#taken = 0;
    }
    return undefined;
  }
}
