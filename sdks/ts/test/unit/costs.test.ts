// What a task costs, counted and not timed: a bound that is passed is work that somebody added to each task.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { fromBytes, output, toBytes } from "../../src/session/ids.js";
import { Peer } from "../support/peer.js";

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
