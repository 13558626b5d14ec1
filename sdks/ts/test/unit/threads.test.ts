// What the two threads of a worker share: which runs have begun and which were taken back, and the bytes of operations.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { RunHead } from "../../src/session/ops.js";
import { Beginner, Keeper } from "../../src/worker/claims.js";
import { SharedWriter, SlabReader } from "../../src/worker/slab.js";

function pair(): { keeper: Keeper; beginner: Beginner } {
  const beginner = new Beginner();
  const keeper = new Keeper((segment) => {
    beginner.add(segment);
  });
  return { keeper, beginner };
}

function head(n: number, attempt = 1): RunHead {
  return { task: `task ${n}`, attempt, actor: "" };
}

test("a run is begun or taken back, and never both", () => {
  const { keeper, beginner } = pair();
  keeper.add(head(0));
  keeper.add(head(1));
  assert.ok(beginner.begin(0));
  assert.equal(keeper.takeBack("task 0"), undefined);
  assert.deepEqual(keeper.takeBack("task 1"), head(1));
  assert.equal(keeper.takeBack("task 1"), undefined);
  assert.ok(!beginner.begin(1));
});

test("only the attempt that is named is taken back, and a task that came again is a new run", () => {
  const { keeper, beginner } = pair();
  keeper.add(head(0, 3));
  assert.equal(keeper.takeBack("task 0", 2), undefined);
  assert.deepEqual(keeper.takeBack("task 0", 3), head(0, 3));
  keeper.add(head(0, 3));
  assert.ok(!beginner.begin(0));
  assert.ok(beginner.begin(1));
  assert.equal(keeper.takeBack("never came"), undefined);
});

test("runs stay told apart however many there were", () => {
  const { keeper, beginner } = pair();
  const RUNS = 10_000;
  const BEHIND = 3_000;
  for (let n = 0; n < RUNS + BEHIND; n++) {
    if (n < RUNS) keeper.add(head(n));
    // Every seventh is taken back while it waits.
    if (n < RUNS && n % 7 === 0) assert.ok(keeper.takeBack(`task ${n}`));
    if (n >= BEHIND) assert.equal(beginner.begin(n - BEHIND), (n - BEHIND) % 7 !== 0, `run ${n - BEHIND}`);
  }
});

/** A writer and a reader, of which the latter hears of memory when `announce` is called. */
function bytes(): { writer: SharedWriter; reader: SlabReader; announce: () => void } {
  const reader = new SlabReader();
  const untold: SharedArrayBuffer[] = [];
  const writer = new SharedWriter((slab) => untold.push(slab));
  return {
    writer,
    reader,
    announce: () => {
      for (const slab of untold.splice(0)) reader.add(slab);
    },
  };
}

function write(writer: SharedWriter, text: string): void {
  writer.reserve(text.length);
  writer.bytes(Buffer.from(text, "latin1"));
}

function takeAll(reader: SlabReader): string {
  let text = "";
  for (let taken = reader.take(); taken; taken = reader.take()) text += taken.toString("latin1");
  return text;
}

test("bytes are taken once, in order, and not before they are whole", () => {
  const { writer, reader, announce } = bytes();
  announce();
  assert.equal(reader.take(), undefined);
  write(writer, "half");
  assert.equal(takeAll(reader), "");
  write(writer, " and whole");
  assert.equal(writer.commit(), 14);
  write(writer, "next");
  assert.equal(takeAll(reader), "half and whole");
  writer.commit();
  assert.equal(takeAll(reader), "next");
  assert.equal(takeAll(reader), "");
});

test("what does not fit into one piece of memory goes on in the next, also where that is told of late", () => {
  const { writer, reader, announce } = bytes();
  announce();
  let written = "";
  let taken = "";
  for (let n = 0; n < 60; n++) {
    const text = String(n).repeat(n % 9 === 0 ? 200_000 : 10_000);
    // In two parts, of which the first may have been written where the second has no room.
    write(writer, text.slice(0, 5_000));
    write(writer, text.slice(5_000));
    writer.commit();
    written += text;
    if (n % 4 === 0) taken += takeAll(reader);
    if (n % 5 === 0) announce();
  }
  announce();
  taken += takeAll(reader);
  assert.equal(taken.length, written.length);
  assert.ok(taken === written);
});
