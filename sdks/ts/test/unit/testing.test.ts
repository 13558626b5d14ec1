// The runtime in memory does what users' code relies on, through the same client as ever.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ActorDiedError,
  ActorNameTakenError,
  ActorNotFoundError,
  CancelledError,
  currentTask,
  DeadlineExceededError,
  FunctionNotFoundError,
  StreamTooShortError,
  TaskError,
  UnserializableError,
  WrongArityError,
} from "../../src/index.js";
import { testClient } from "../../src/testing.js";
import * as functions from "../workers/functions.js";

type Functions = typeof functions;
const module = new URL("../workers/functions.js", import.meta.url);

test("tasks, refs, large values and failures", async () => {
  await using client = await testClient(functions);
  const add = client.taskOf(functions.add);
  assert.equal(await add(add(1, 2), 3).get(), 6);
  assert.deepEqual(await client.get([add(1, 1), add(2, 2)]), [2, 4]);
  const large = client.taskOf(functions.fill)(3_000_000);
  assert.equal(await client.taskOf(functions.lengthOf)(large).get(), 3_000_000);
  assert.equal((await large.get())[2_999_999], 7);
  assert.equal(await client.taskOf(functions.lengthOf)(new Uint8Array(3_000_000)).get(), 3_000_000);
  await assert.rejects(
    client.taskOf(functions.fail)("here").get(),
    (error) => error instanceof TaskError && error.isType("RangeError"),
  );
  await assert.rejects(add(client.taskOf(functions.fail)("first"), 1).get(), /first/);
  await assert.rejects(client.task("missing")().get(), FunctionNotFoundError);
  await assert.rejects(client.task<(n: number) => number>("add")(1).get(), WrongArityError);
  assert.throws(() => add(Symbol("x") as never, 1), UnserializableError);
  const [one, two] = client.taskOf(functions.pair, { returns: 2 })();
  assert.deepEqual(await client.get([one, two]), [1, "two"]);
  await assert.rejects(client.taskOf(functions.yieldsOne, { returns: 2 })()[1].get(), StreamTooShortError);
  const [ready, rest] = await client.wait([one, two], { count: 2 });
  assert.deepEqual([ready.length, rest.length], [2, 0]);
});

test("a module is imported as it is with a server, and its tasks call each other", async () => {
  await using client = await testClient();
  const remote = await client.import<Functions>(module);
  assert.equal(await remote.nested(5).get(), 13);
  assert.deepEqual(
    await client.get(Array.from({ length: 20 }, (_, n) => remote.nested(n))),
    Array.from({ length: 20 }, (_, n) => 2 * n + 3),
  );
  assert.equal(await remote.getInside({ inner: client.put(41) }).get(), 42);
  assert.equal(await (await remote.makeInside().get()).inner.get(), 41);
  await assert.rejects(remote.nestedFailure().get(), (error) => error instanceof TaskError && error.cause instanceof TaskError);
});

test("streams come in order, paced, and end with what they fail with", async () => {
  await using client = await testClient(functions);
  const items: number[] = [];
  for await (const item of client.taskOf(functions.upTo, { streamWindow: 3 })(50)) items.push(item);
  assert.equal(items.length, 50);
  const failing = client.taskOf(functions.thenFail)(1);
  assert.equal((await failing.next()).value, 0);
  await assert.rejects(failing.next(), TaskError);
  for await (const item of client.taskOf(functions.big, { streamWindow: 1 })(1000, 2_000_000)) {
    assert.equal(item.length, 2_000_000);
    break;
  }
});

test("actors keep state and order, have names, and end", async () => {
  await using client = await testClient();
  const { Counter, nested, callActor } = await client.import<Functions>(module);
  using counter = Counter.create(5);
  assert.deepEqual(await client.get([counter.call.add(nested(1)), counter.call.add(1)]), [10, 11]);
  assert.equal(await callActor(counter).get(), 111);
  const items: number[] = [];
  for await (const item of counter.call.items(2)) items.push(item);
  assert.deepEqual(items, [111, 112]);
  using wide = Counter.with({ maxConcurrency: 3 }).create();
  assert.equal(Math.max(...(await client.get([wide.call.overlap(), wide.call.overlap(), wide.call.overlap()]))), 3);
  const named = await Counter.createNamed("it", 1);
  assert.equal(await (await client.getActor<{ add(n: number): number }>("it")).call.add(1).get(), 2);
  await assert.rejects(Counter.createNamed("it"), ActorNameTakenError);
  await assert.rejects(client.getActor("other"), ActorNotFoundError);
  named.kill();
  await assert.rejects(named.call.add(1).get(), ActorDiedError);
  await assert.rejects(client.getActor("it"), ActorNotFoundError);
  await assert.rejects(Counter.create(-1).call.add(1).get(), ActorDiedError);
  assert.equal(await wide.call.leave().get(), "gone");
  await assert.rejects(wide.call.add(1).get(), ActorDiedError);
});

test("cancelling, deadlines and retries", async () => {
  let tries = 0;
  const served = {
    wait: () =>
      new Promise((_, reject) => {
        const { signal } = currentTask();
        signal.addEventListener("abort", () => {
          reject(signal.reason as Error);
        });
      }),
    flaky: () => {
      if (tries++ < 2) throw new TypeError("not yet");
      return tries;
    },
  };
  await using client = await testClient(served);
  const controller = new AbortController();
  const waiting = client.task<() => Promise<never>>("wait", { signal: controller.signal })();
  const behind = client.task<(value: unknown) => unknown>("echo")(waiting);
  controller.abort();
  await assert.rejects(waiting.get(), CancelledError);
  await assert.rejects(behind.get());
  await assert.rejects(client.task("wait", { deadlineMs: 20 })().get(), DeadlineExceededError);
  assert.equal(
    await client
      .task<() => number>("flaky", { retryErrors: ["TypeError"] })()
      .get(),
    3,
  );
});
