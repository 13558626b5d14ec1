// Serves the interface of `sdks/gen/tests/wit/everything.wit`.

import { type CounterWorker, type Nested, type Shape, serveEcho, serveShapes } from "../golden/everything.js";

class Tally implements CounterWorker {
  #sum: bigint;
  readonly #history: bigint[] = [];

  constructor(start: bigint) {
    if (start < 0n) throw new RangeError("a counter begins at 0");
    this.#sum = start;
  }

  add(n: bigint): bigint {
    this.#sum += n;
    this.#history.push(n);
    return this.#sum;
  }

  async historyOf(): Promise<bigint[]> {
    await Promise.resolve();
    return this.#history;
  }

  *steps(by: number): Generator<bigint> {
    for (let n = 0n; n < this.#sum; n += BigInt(by)) yield n;
  }

  async reset(): Promise<void> {
    await Promise.resolve();
    this.#sum = 0n;
  }
}

export const shapes = serveShapes({
  area: (shape: Shape) => (shape.kind === "circle" ? 3 * shape.value ** 2 : 0),
});

export const echo = serveEcho(
  {
    thereAndBack: (value: Nested) => value,
    numbers: (values: readonly number[]) => values.reduce((sum, value) => sum + BigInt(value), 0n),
    maybe: async (value: number | null) => Promise.resolve(value),
    divide: (a: number, b: number) => (b === 0 ? { err: "division by zero" } : { ok: Math.trunc(a / b) }),
    nothing: () => undefined,
    async *countDown(from: number) {
      for (let n = from; n > 0; n--) yield await Promise.resolve(n);
    },
  },
  Tally,
);
