// Measures no-op tasks from one TypeScript driver to one TypeScript worker through the node, and prints one line of JSON, medians:
// `{"tasks_per_second": …, "async_per_second": …, "actor_calls_per_second": …, "sync_p50_us": …}`.
//
// `npm run build:test && THORNBACK_BINARY=…/thornback node build/bench/tasks.js [tasks] [rounds] [in flight at once]`

import { Client, type Ref } from "../src/index.js";

const tasks = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 5);
const window = Number(process.argv[4] ?? 1_000);
const SYNC_CALLS = 1_000;
/** What is done beforehand, uncounted, as for the rows in other languages: what runs often is compiled only then. */
const WARM_UP = 0.3;

// One CPU, so that there is one worker.
const client = await Client.local({ numCpus: 1 });
const served = await client.import<typeof import("./nothing.js")>(new URL("./nothing.js", import.meta.url));
const echo = served.Echo.create();

for (const submit of [served.nothing, served.later, echo.call.nothing]) await rate(Math.ceil(WARM_UP * tasks), (n) => submit(n));
const inFlight: number[] = [];
const asynchronous: number[] = [];
const calls: number[] = [];
for (let round = 0; round < rounds; round++) {
  inFlight.push(await rate(tasks, (n) => served.nothing(n)));
  asynchronous.push(await rate(tasks, (n) => served.later(n)));
  calls.push(await rate(tasks, (n) => echo.call.nothing(n)));
}
const sync: number[] = [];
for (let n = 0; n < SYNC_CALLS; n++) {
  const begun = performance.now();
  await served.nothing(n).get();
  sync.push(1000 * (performance.now() - begun));
}
await client.close();
const figures = {
  tasks_per_second: Math.round(median(inFlight)),
  async_per_second: Math.round(median(asynchronous)),
  actor_calls_per_second: Math.round(median(calls)),
  sync_p50_us: Math.round(median(sync)),
};
process.stdout.write(`${JSON.stringify(figures)}\n`);

/** Calls a second while between half of `window` and all of it is in flight. */
async function rate(count: number, submit: (n: number) => Ref<number>): Promise<number> {
  await submit(0).get();
  const half = Math.max(window >> 1, 1);
  const begun = performance.now();
  let earlier: Ref<number>[] = [];
  for (let first = 0; first < count; first += half) {
    const refs = Array.from({ length: Math.min(half, count - first) }, (_, n) => submit(first + n));
    await take(earlier, first - half);
    earlier = refs;
  }
  await take(earlier, count - earlier.length);
  return (1000 * count) / (performance.now() - begun);
}

/** Reads the results of some calls, of which `first` is the number of the first, and lets go of them. */
async function take(refs: readonly Ref<number>[], first: number): Promise<void> {
  const results = await client.get(refs);
  const wrong = results.findIndex((result, n) => result !== first + n);
  if (wrong >= 0) throw new Error(`the result of call ${first + wrong} is ${results[wrong]}`);
  for (const ref of refs) ref.dispose();
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}
