// Measures no-op tasks from one TypeScript driver to one TypeScript worker through the node, and prints one line of JSON, medians:
// `{"tasks_per_second": …, "async_per_second": …, "actor_calls_per_second": …, "sync_p50_us": …}`.
//
// `npm run build:test && THORNBACK_BINARY=…/thornback node build/bench/tasks.js [tasks] [rounds]`

import { Client, type Ref } from "../src/index.js";

const tasks = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 5);
const SYNC_CALLS = 1_000;

// One CPU, so that there is one worker.
const client = await Client.local({ numCpus: 1 });
const served = await client.import<typeof import("./nothing.js")>(new URL("./nothing.js", import.meta.url));
const echo = served.Echo.create();

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

/** Calls a second, all submitted before the first result is looked at. */
async function rate(count: number, submit: (n: number) => Ref<number>): Promise<number> {
  await submit(0).get();
  const begun = performance.now();
  const refs = Array.from({ length: count }, (_, n) => submit(n));
  const results = await client.get(refs);
  const seconds = (performance.now() - begun) / 1000;
  const wrong = results.findIndex((result, n) => result !== n);
  if (wrong >= 0) throw new Error(`the result of call ${wrong} is ${results[wrong]}`);
  for (const ref of refs) ref.dispose();
  return count / seconds;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}
