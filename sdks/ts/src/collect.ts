// Has garbage collected while a program rests. An object in the store or an actor lives as long as a handle to it does, and a process that does nothing
// collects nothing: a handle of a few bytes could hold gigabytes elsewhere for ever.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** How long a process rests before it is done. */
const REST_MS = 200;
/** Between two collections that found nothing; doubled each time, up to this. */
const REST_MS_MAX = 10_000;
/** A larger heap takes so long to collect that its program had better say itself what it is done with, by `using` or `dispose`. */
const HEAP_BYTES_MAX = 256 * 1024 * 1024;

/** Watches over the handles of one session that hold something dear. */
export class Collector {
  #held = 0;
  #rest = REST_MS;
  #touched = 0;
  #timer: NodeJS.Timeout | undefined;

  /** A handle came to hold something dear. */
  hold(): void {
    this.#held++;
    this.#rest = REST_MS;
    this.#touched = performance.now();
    this.#arm(REST_MS);
  }

  /** It was let go of. */
  release(): void {
    this.#held--;
  }

  /** Something went on. */
  touch(): void {
    if (this.#held > 0) this.#touched = performance.now();
  }

  #arm(ms: number): void {
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#held === 0) return;
      const rested = performance.now() - this.#touched;
      if (rested < this.#rest) {
        this.#arm(this.#rest - rested);
        return;
      }
      if (process.memoryUsage().heapUsed > HEAP_BYTES_MAX) return;
      collect();
      this.#rest = Math.min(this.#rest * 2, REST_MS_MAX);
      this.#arm(this.#rest);
    }, ms);
    this.#timer.unref();
  }
}

let gc: (() => void) | undefined;

function collect(): void {
  if (!gc) {
    // The only way to it that needs no flag on the command line.
    setFlagsFromString("--expose-gc");
    gc = runInNewContext("gc") as () => void;
  }
  gc();
}
