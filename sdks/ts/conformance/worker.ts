// The worker's face: the functions and classes of the suite, as conformance/docs/testee.md lists them.

import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { type Client, currentTask, type Ref } from "../src/index.js";
import { serve } from "../src/worker.js";
import { pattern } from "./values.js";

/** What user code throws. */
class ConformanceError extends Error {}

/** Serves until the node lets go. */
export async function serveSuite(): Promise<void> {
  // Ctrl-C in a terminal reaches the whole group of processes; when a worker ends is for its node to say.
  process.on("SIGINT", () => undefined);
  await serve(FUNCTIONS, { prefix: "conformance." });
  process.exit(0);
}

/** Appends a line, and says how many there are. */
function append(path: string, line: string): number {
  appendFileSync(path, `${line}\n`);
  return readFileSync(path, "utf8").split("\n").length - 1;
}

async function waitFor(path: string, signal: AbortSignal): Promise<void> {
  while (!existsSync(path)) await sleep(3, undefined, { signal });
}

async function hold(path: string): Promise<string> {
  const { signal } = currentTask();
  writeFileSync(`${path}.started`, "");
  try {
    await waitFor(`${path}.go`, signal);
  } catch (error) {
    writeFileSync(`${path}.interrupted`, "");
    throw error;
  }
  return "released";
}

function relay(pool: string, functionName: string, args: unknown[]): Promise<unknown> {
  const task = currentTask().client.task<(...args: unknown[]) => unknown>(functionName, pool === "" ? {} : { pool });
  return task(...args).get();
}

async function readAll(refs: readonly Ref<unknown>[]): Promise<unknown[]> {
  const values: unknown[] = [];
  for (const ref of refs) values.push(await ref.get());
  return values;
}

function failChain(n: number): never {
  if (n === 0) throw new ConformanceError("level 0");
  try {
    return failChain(n - 1);
  } catch (cause) {
    throw new ConformanceError(`level ${n}`, { cause });
  }
}

function* count(n: number): Generator<number> {
  for (let i = 0; i < n; i++) yield i;
}

class Counter {
  #total: number;
  #kept: Ref<unknown>[] = [];

  constructor(start: number) {
    this.#total = start;
  }

  add(n: number): number {
    this.#total += n;
    return this.#total;
  }

  echo(x: unknown): unknown {
    return x;
  }

  fail(message: string): never {
    throw new ConformanceError(message);
  }

  hold(path: string): Promise<string> {
    return hold(path);
  }

  mark(path: string, text: string): void {
    append(path, text);
  }

  relay(pool: string, functionName: string, args: unknown[]): Promise<unknown> {
    return relay(pool, functionName, args);
  }

  count(n: number): Generator<number> {
    return count(n);
  }

  die(): void {
    process.exit(3);
  }

  leave(): void {
    currentTask().exitActor();
  }

  keep(refs: Ref<unknown>[]): void {
    this.#kept = refs;
  }

  recall(): Promise<unknown[]> {
    return readAll(this.#kept);
  }
}

class Broken {
  constructor(message: string) {
    throw new ConformanceError(message);
  }

  add(n: number): number {
    return n;
  }
}

class Together {
  async meet(path: string, name: string): Promise<string> {
    const { signal } = currentTask();
    writeFileSync(`${path}.${name}`, "");
    await waitFor(`${path}.go`, signal);
    return name;
  }
}

const FUNCTIONS = {
  echo: (x: unknown): unknown => x,
  add: (a: number | bigint, b: number | bigint): bigint => BigInt(a) + BigInt(b),
  list: (...args: unknown[]): unknown[] => args,
  keywords: (named: Record<string, unknown> = {}): Record<string, unknown> => named,
  pattern,
  size: (bytes: Uint8Array): number => bytes.length,
  many: (n: number): number[] => Array.from({ length: n }, (_, i) => i),
  language: (): string => "typescript",
  mark(path: string, text: string): void {
    append(path, text);
  },
  fail(message: string): never {
    throw new ConformanceError(message);
  },
  fail_chain: failChain,
  fail_first(path: string, n: number): number {
    const attempt = append(path, "attempt");
    if (attempt <= n) throw new ConformanceError(`attempt ${attempt}`);
    return attempt;
  },
  die_first(path: string, n: number): number {
    const attempt = append(path, "attempt");
    if (attempt <= n) process.exit(3);
    return attempt;
  },
  hold,
  busy(path: string): string {
    writeFileSync(`${path}.started`, "");
    while (!existsSync(`${path}.go`));
    return "released";
  },
  relay,
  refs(n: number): Ref<number>[] {
    const client: Client = currentTask().client;
    return Array.from({ length: n }, (_, i) => client.put(i));
  },
  read: readAll,
  count,
  *count_fail(n: number, message: string): Generator<number> {
    yield* count(n);
    throw new ConformanceError(message);
  },
  *paced(path: string, n: number): Generator<number> {
    for (let i = 0; i < n; i++) {
      append(path, String(i));
      yield i;
    }
  },
  Counter,
  Broken,
  Together,
};
