// Tasks, values, errors and streams, against the real server.

import assert from "node:assert/strict";
import { mkdtempSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import {
  CancelledError,
  type Client,
  DeadlineExceededError,
  Float,
  FunctionNotFoundError,
  GetTimeoutError,
  InvalidArgumentError,
  Keywords,
  type Ref,
  type Remote,
  StreamTooShortError,
  TaskError,
  Tensor,
  Timestamp,
  UnserializableError,
  Uuid,
  WorkerDiedError,
  WrongArityError,
} from "../../src/index.js";
import { eventually, type Functions, start } from "../support/runtime.js";

let client: Client;
let remote: Remote<Functions>;
const logged: string[] = [];
const directory = mkdtempSync(join(tmpdir(), "thornback-ts-"));
let files = 0;
const file = (): string => join(directory, `file-${files++}`);

before(async () => {
  ({ client, remote } = await start({ logs: ({ lines }) => logged.push(...lines) }));
});
after(() => client.close());

test("a task gives its result, and a ref stands for it in another call", async () => {
  const three = remote.add(1, 2);
  assert.equal(await three.get(), 3);
  assert.equal(await remote.add(three, remote.add(3, 4)).get(), 10);
  assert.equal(await three.get(), 3);
  assert.equal(await remote.nothing().get(), null);
});

test("get of many keeps the order and allows duplicates", async () => {
  const refs = Array.from({ length: 300 }, (_, n) => remote.add(n, n));
  const values = await client.get([...refs, refs[7]]);
  assert.deepEqual(values, [...refs.map((_, n) => 2 * n), 14]);
  assert.deepEqual(await client.get([]), []);
});

test("values arrive as what they were", async () => {
  const values: unknown[] = [
    null,
    true,
    -1,
    2 ** 53 - 1,
    2n ** 64n - 1n,
    -(2n ** 63n),
    2n ** 200n,
    1.5,
    Infinity,
    "snö ☃ 👩‍👩‍👧",
    new Uint8Array([0, 255]),
    [],
    { a: { b: [1, { c: null }] } },
    new Map<unknown, unknown>([
      [1, "a"],
      [null, [2]],
    ]),
    new Date(1_700_000_000_123),
    new Timestamp(-5n, 999_999_999),
    new Uuid("00112233-4455-6677-8899-aabbccddeeff"),
    new Float64Array([1, 2, 3]),
    Int32Array.from({ length: 1000 }, (_, n) => n),
    Tensor.from(new Float32Array([1, 2, 3, 4, 5, 6]), [2, 3]),
    { nested: new BigInt64Array([1n, -1n]) },
    Object.fromEntries([["__proto__", 1]]),
  ];
  for (const value of values) {
    const [read] = (await remote.echo([value]).get()) as unknown[];
    assert.deepEqual(read, value);
    assert.deepEqual(await remote.echo(value).get(), value);
  }
  assert.ok(Object.is(await remote.echo(-0).get(), -0));
  assert.ok(Number.isNaN(await remote.echo(NaN).get()));
  assert.equal(await remote.echo(new Float(1)).get(), 1);
  assert.deepEqual(await remote.echo({ there: 1, not: undefined }).get(), { there: 1 });
});

test("large values go through the store, as arguments, results and puts", async () => {
  const large = await remote.fill(3_000_000).get();
  assert.ok(large.length === 3_000_000 && large.every((byte) => byte === 7));
  assert.equal(await remote.lengthOf(large).get(), 3_000_000);
  assert.equal(await remote.lengthOf(remote.fill(500_000)).get(), 500_000);
  const put = client.put({ text: "x".repeat(300_000), elements: new Float64Array(20_000).fill(0.5) });
  const read = await put.get();
  assert.ok(read.text.length === 300_000 && read.elements.length === 20_000 && read.elements[19_999] === 0.5);
  assert.deepEqual(await remote.echo(put).get(), read);
});

test("what is no data is refused where the call is made, with the path to it", () => {
  const refused = (value: unknown, path: RegExp): void => {
    assert.throws(
      () => remote.echo(value),
      (error) => error instanceof UnserializableError && path.test(error.message),
    );
  };
  refused({ a: [1, { "b c": () => 1 }] }, /\.a\[1\]\["b c"\]: a function cannot be sent/);
  refused([new URL("http://localhost")], /\[0\]: an instance of URL/);
  refused(["\ud800"], /surrogate/);
  refused([Promise.resolve()], /await it first/);
  const circle: unknown[] = [];
  circle.push(circle);
  refused(circle, /contain themselves/);
});

test("a call with the wrong number of arguments is refused where it is made, or by the node", async () => {
  assert.throws(() => (remote.add as unknown as (a: number) => Ref<number>)(1), WrongArityError);
  const blind = client.task<(...args: number[]) => number>("add", { pool: "functions" });
  await assert.rejects(blind(1).get(), WrongArityError);
  await assert.rejects(blind(1, 2, 3).get(), WrongArityError);
});

test("a function that nobody serves says so", async () => {
  await assert.rejects(client.task("no.such.function")().get(), FunctionNotFoundError);
});

test("an error keeps its type, stack and causes", async () => {
  await assert.rejects(remote.fail("on purpose").get(), (error) => {
    assert.ok(error instanceof TaskError);
    assert.equal(error.message, "on purpose");
    assert.equal(error.code, "TASK_FAILED");
    assert.equal(error.language, "typescript");
    assert.deepEqual(error.types, ["RangeError", "Error"]);
    assert.ok(error.isType("RangeError") && !error.isType("TypeError"));
    assert.match(error.remoteStack, /RangeError: on purpose\n\s+at fail .*functions\.js/);
    assert.doesNotMatch(error.remoteStack, /executor/);
    assert.equal(error.taskId.length, 32);
    assert.ok(error.cause instanceof TaskError && error.cause.message === "underneath" && error.cause.isType("TypeError"));
    return true;
  });
  await assert.rejects(remote.failAs("shop.SoldOut").get(), (error) => error instanceof TaskError && error.isType("SoldOut"));
});

test("a failure of a call inside of a task is the cause of the task's", async () => {
  await assert.rejects(remote.nestedFailure().get(), (error) => {
    assert.ok(error instanceof TaskError && error.cause instanceof TaskError);
    assert.equal(error.cause.message, "deep down");
    assert.ok(error.cause.isType("RangeError"));
    assert.notEqual(error.cause.taskId, error.taskId);
    assert.ok(error.cause.cause instanceof TaskError && error.cause.cause.message === "underneath");
    return true;
  });
});

test("a result that is no data fails the task with the path to it", async () => {
  await assert.rejects(
    remote.notData().get(),
    (error) => error instanceof UnserializableError && error.message.includes("the result of notData.inside[0]"),
  );
});

test("what depends on a failed task fails with its failure", async () => {
  await assert.rejects(remote.add(remote.fail("first"), 1).get(), /first/);
});

test("several results, none, and too few", async () => {
  const [one, two] = remote.pair.with({ returns: 2 })();
  assert.deepEqual(await client.get([one, two]), [1, "two"]);
  assert.equal(remote.nothing.with({ returns: 0 })(), undefined);
  await assert.rejects(remote.tooFew.with({ returns: 2 })()[0].get(), /returned 1 results, and 2 were asked for/);
  const lazy = remote.yieldsOne.with({ returns: 2 })();
  assert.equal(await lazy[0].get(), 1);
  await assert.rejects(lazy[1].get(), StreamTooShortError);
});

test("a get that runs out of time loses nothing", async () => {
  const path = file();
  const ref = remote.untilAborted(path);
  await assert.rejects(ref.get({ timeoutMs: 0 }), (error) => error instanceof GetTimeoutError && error.name === "TimeoutError");
  await assert.rejects(ref.get({ signal: AbortSignal.abort(new Error("mine")) }), /mine/);
  ref.cancel();
  await assert.rejects(ref.get(), CancelledError);
});

test("wait gives what is ready and what is not, in order", async () => {
  const never = remote.untilAborted(file()) as unknown as Ref<number>;
  const done = remote.add(1, 1);
  const failed = remote.fail("no") as unknown as Ref<number>;
  const [ready, rest] = await client.wait([never, done, failed], { count: 2 });
  assert.deepEqual([ready, rest], [[done, failed], [never]]);
  const [none, all] = await client.wait([never], { timeoutMs: 0 });
  assert.deepEqual([none, all], [[], [never]]);
  assert.deepEqual(await client.wait([]), [[], []]);
  await assert.rejects(client.wait([done, done]), InvalidArgumentError);
  await assert.rejects(client.wait([done], { count: 2 }), InvalidArgumentError);
  never.cancel();
});

test("a running task is told of its cancellation, and one that does not listen is left behind", async () => {
  const path = file();
  const controller = new AbortController();
  const running = remote.untilAborted.with({ signal: controller.signal })(path);
  await eventually("it runs", () => Promise.resolve(existsSync(`${path}.began`)));
  controller.abort();
  await assert.rejects(running.get(), (error) => error instanceof CancelledError && error.name === "AbortError");
  await eventually("it was told", () => Promise.resolve(existsSync(path)));

  const other = file();
  const deaf = remote.deaf(other);
  await eventually("it runs", () => Promise.resolve(existsSync(`${other}.began`)));
  deaf.cancel();
  await assert.rejects(deaf.get(), CancelledError);
  assert.equal(await remote.add(1, 1).get(), 2);
});

test("a task past its deadline is interrupted", async () => {
  await assert.rejects(
    remote.untilAborted.with({ deadlineMs: 200 })(file()).get(),
    (error) => error instanceof DeadlineExceededError && error.name === "TimeoutError",
  );
});

test("a lost worker's task is run again, and a failure if it was asked for", async () => {
  assert.equal(await remote.exitOnce(file()).get(), "at last");
  await assert.rejects(remote.exitOnce.with({ maxRetries: 0 })(file()).get(), WorkerDiedError);
  assert.equal(await remote.failOnce.with({ retryErrors: true })(file()).get(), "at last");
  assert.equal(
    await remote.failOnce
      .with({ retryErrors: ["TypeError"] })(file())
      .get(),
    "at last",
  );
  await assert.rejects(
    remote.failOnce
      .with({ retryErrors: ["RangeError"] })(file())
      .get(),
    TaskError,
  );
});

test("a stream gives its items in order, then its error, then ends", async () => {
  const items: number[] = [];
  for await (const item of remote.upTo(200)) items.push(item);
  assert.deepEqual(
    items,
    Array.from({ length: 200 }, (_, n) => n),
  );
  const failing = remote.thenFail(2);
  assert.deepEqual(await failing.next(), { done: false, value: 0 });
  assert.deepEqual(await failing.next(), { done: false, value: 1 });
  await assert.rejects(failing.next(), (error) => error instanceof TaskError && error.isType("RangeError"));
  assert.deepEqual(await failing.next(), { done: true, value: undefined });
});

test("a stream is paced by its consumer, large items and all, and left early it ends", async () => {
  let seen = 0;
  for await (const item of remote.big.with({ streamWindow: 2 })(1000, 200_000)) {
    assert.ok(item.length === 200_000 && item[0] === seen % 256);
    if (++seen === 5) break;
  }
  for await (const ref of remote.upTo.with({ streamWindow: 1 })(3).refs()) assert.equal(typeof (await ref.get()), "number");
  await eventually("the store is empty again", async () => (await client.status()).storeUsedBytes === 0);
});

test("tasks call tasks, and wait for them without holding their CPU", async () => {
  const sums = await client.get(Array.from({ length: 8 }, (_, n) => remote.nested(n)));
  assert.deepEqual(
    sums,
    Array.from({ length: 8 }, (_, n) => 2 * n + 3),
  );
});

test("refs travel inside of values, both ways", async () => {
  const inner = client.put(41);
  assert.equal(await remote.getInside({ inner }).get(), 42);
  const made = await remote.makeInside().get();
  assert.equal(await made.inner.get(), 41);
  assert.equal(await remote.getInside(made).get(), 42);
});

test("a task knows what it is", async () => {
  const about = await remote.about.with({ numCpus: 0.5 })().get();
  assert.equal(about["functionName"], "about");
  assert.deepEqual(about["resources"], { CPU: 0.5 });
  assert.equal(about["nodeId"], client.nodeId);
  assert.equal(about["actorId"], "");
  assert.match(about["taskId"] as string, /^[0-9a-f]{32}$/);
});

test("arguments by name come as one object", async () => {
  const call = client.task<(first: number, given: Keywords) => number>("options", { pool: "functions" });
  assert.equal(await call(3, new Keywords({ scale: 4 })).get(), 12);
});

test("what a worker prints comes to the driver", async () => {
  await remote.printed("a line of its own").get();
  await eventually("the line came", () => Promise.resolve(logged.includes("a line of its own")));
});

test("what nobody holds any more is freed", async () => {
  {
    using ref = remote.fill(400_000);
    await ref.get();
    assert.ok((await client.status()).storeUsedBytes >= 400_000);
  }
  await eventually("it is freed", async () => (await client.status()).storeUsedBytes === 0);
  const disposed = remote.add(1, 1);
  disposed.dispose();
  assert.throws(() => disposed.get(), InvalidArgumentError);
});
