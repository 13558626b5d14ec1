// What a task costs, counted and not timed: a bound that is passed is work that somebody added to each task.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Worker } from "node:worker_threads";

import { fromBytes, output, toBytes } from "../../src/session/ids.js";
import { type Hold, Slot } from "../../src/slot.js";
import { serve } from "../../src/worker.js";
import { Young } from "../../src/young.js";
import { Peer } from "../support/peer.js";
import { listen } from "../support/socket.js";

const TASKS = 10_000;

let alive: NodeJS.Timeout;
before(() => {
  alive = setInterval(() => undefined, 1000);
});
after(() => {
  clearInterval(alive);
});

test("tasks that are submitted together go in few frames of few bytes, and their results come back in one reply each", async () => {
  const peer = new Peer();
  const { client, connection } = await peer.welcome({ frameBytes: 4_194_304n, windowBytes: 64_000_000n });
  const [frames, bytes] = [connection.frames.length, connection.bytes];
  const task = client.task<(n: number) => number>("f");
  const refs = Array.from({ length: TASKS }, (_, n) => task(n & 63));
  const submits = await connection.op("submit", TASKS).then(() => connection.ops("submit"));
  // Two bytes of tag and length around each, an id, a declaration, and an argument of one byte: 32 in all.
  assert.ok(connection.bytes - bytes <= 40 * TASKS, `${(connection.bytes - bytes) / TASKS} bytes for each task`);
  // Frames are cut at 64 KiB.
  assert.ok(connection.frames.length - frames <= 8, `${connection.frames.length - frames} frames`);

  const before = connection.frames.length;
  const completions = submits.map(({ task }, n) => {
    const object = toBytes(output(fromBytes(task), 0));
    const outcome = { case: "value" as const, value: { format: 2, data: Uint8Array.of(n & 63) } };
    return { case: "completion" as const, value: { object, outcome } };
  });
  connection.send(1, Number(connection.frames.at(-1)!.seq), completions);
  const values = await client.get(refs);
  assert.ok(values.every((value, n) => value === (n & 63)));
  for (const ref of refs) ref.dispose();
  await connection.until(() => connection.ops("refs").reduce((sum, { drop }) => sum + drop.length, 0) === TASKS);
  // What is let go of is told by the thousand.
  assert.ok(connection.frames.length - before <= 24, `${connection.frames.length - before} frames to let go`);
  await client.close();
});

test("refs that are disposed of soon are not registered with the garbage collector, and all others are", async () => {
  const registered: string[] = [];
  let told: (() => void) | undefined;
  const young = new Young<object>((_, { slot }) => {
    registered.push(slot!.id);
    told?.();
  });
  const holds: Hold[] = [];
  for (let n = 0; n < 10 * TASKS; n++) {
    const hold = { slot: new Slot(String(n), true) };
    holds.push(hold);
    young.add({}, hold);
    // Up to 1,000 are in use, except for one that stays.
    if (n >= 1000 && n !== 5000) holds[n - 1000].slot = undefined;
  }
  assert.deepEqual(registered, []);
  // Those that nobody disposes of grow old, also when nothing more comes.
  await new Promise<void>((resolve) => {
    told = () => {
      if (registered.length === 1001) resolve();
    };
  });
  assert.equal(registered[0], "4000");

  // However many are made at once, few are held.
  registered.length = 0;
  for (let n = 0; n < TASKS; n++) young.add({}, { slot: new Slot(String(n), true) });
  assert.ok(TASKS - registered.length <= 4096, `${TASKS - registered.length} are held`);
});

test("the threads of a worker tell each other of many runs and results at once", async () => {
  const RUNS = 100;
  const BATCHES = 50;
  const node = await listen();
  let toSession = 0;
  let toCode = 0;
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { postMessage, emit } = Worker.prototype;
  Worker.prototype.postMessage = function (this: Worker, ...args) {
    toSession++;
    postMessage.apply(this, args);
  };
  Worker.prototype.emit = function (this: Worker, ...args: unknown[]) {
    if (args[0] === "message") toCode++;
    return emit.apply(this, args as never);
  } as never;
  try {
    const served = serve({ same: (n: number) => n }, { address: node.address, pool: "p" });
    const connection = await node.connection;
    connection.send(1, 0, [{ case: "declare", value: { number: 1, function: "same", returns: 1 } }]);
    const frames = connection.frames.length;
    [toSession, toCode] = [0, 0];
    for (let batch = 0; batch < BATCHES; batch++) {
      const runs = Array.from({ length: RUNS }, (_, n) => {
        const task = new Uint8Array(16);
        new DataView(task.buffer).setUint32(0, batch * RUNS + n);
        const args = [{ arg: { case: "value" as const, value: { format: 2, data: Uint8Array.of(n) } } }];
        return { case: "run" as const, value: { task, attempt: 0, declaration: 1, args } };
      });
      connection.send(2 + batch, Number(connection.frames.at(-1)!.seq), runs);
      await connection.op("done", (batch + 1) * RUNS);
    }
    const answers = connection.ops("done").map(({ results }) => results[0].result.value as { data: Uint8Array });
    assert.ok(answers.every(({ data }, n) => data[0] === n % RUNS));
    // For each hundred: the runs, and that there are results; besides those, seldom, that code is busy, and memory for more.
    assert.ok(toCode <= 2 * BATCHES, `${toCode} messages to the thread of the code, for ${BATCHES} batches`);
    assert.ok(toSession <= 4 * BATCHES, `${toSession} messages to the thread of the session, for ${BATCHES} batches`);
    assert.ok(connection.frames.length - frames <= 4 * BATCHES, `${connection.frames.length - frames} frames`);
    connection.send(0, 0, [{ case: "goodbye", value: {} }]);
    await served;
  } finally {
    Object.assign(Worker.prototype, { postMessage, emit });
    await node.close();
  }
});
