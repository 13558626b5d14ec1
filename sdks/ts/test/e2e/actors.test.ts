// Actors, placement groups and what the node tells of itself, against the real server.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  ActorDiedError,
  type ActorHandle,
  ActorNameTakenError,
  ActorNotFoundError,
  ActorUnavailableError,
  type Client,
  FunctionNotFoundError,
  InvalidArgumentError,
  PlacementGroupRemovedError,
  type Remote,
  TaskError,
  WrongArityError,
} from "../../src/index.js";
import { eventually, type Functions, start } from "../support/runtime.js";

let client: Client;
let remote: Remote<Functions>;

before(async () => {
  ({ client, remote } = await start());
});
after(() => client.close());

test("calls run in the order in which they were made, whenever their arguments come", async () => {
  using counter = remote.Counter.create(5);
  const slow = remote.nested(1);
  const values = await client.get([counter.call.add(slow), counter.call.add(1), counter.call.add(1)]);
  assert.deepEqual(values, [10, 11, 12]);
});

test("as many calls run at once as the actor allows", async () => {
  using serial = remote.Counter.create();
  assert.deepEqual(await client.get([serial.call.overlap(), serial.call.overlap()]), [1, 1]);
  using wide = remote.Counter.with({ maxConcurrency: 3 }).create();
  const most = await client.get(Array.from({ length: 6 }, () => wide.call.overlap()));
  assert.equal(Math.max(...most), 3);
});

test("a method may yield, and fail", async () => {
  using counter = remote.Counter.create(7);
  const items: number[] = [];
  for await (const item of counter.call.items(3)) items.push(item);
  assert.deepEqual(items, [7, 8, 9]);
  await assert.rejects(counter.call.fail().get(), (error) => error instanceof TaskError && error.actorId === counter.id);
  assert.equal(await counter.call.add(1).get(), 8);
});

test("a method that is not there is refused, here or by the worker", async () => {
  using counter = remote.Counter.create();
  assert.throws(() => (counter.call as unknown as Record<string, () => unknown>)["missing"](), FunctionNotFoundError);
  assert.throws(() => (counter.call.add as unknown as () => unknown)(), WrongArityError);
  await remote.Counter.with({ namespace: "missing" }).createNamed("blind");
  const blind = await client.getActor("blind", "missing");
  await assert.rejects(blind.call["missing"]().get(), FunctionNotFoundError);
  await assert.rejects(blind.call["constructor"]().get(), FunctionNotFoundError);
  blind.kill();
});

test("an actor that cannot be made says why, to every call", async () => {
  const counter = remote.Counter.create(-1);
  await assert.rejects(counter.call.add(1).get(), (error) => {
    assert.ok(error instanceof ActorDiedError);
    const chain: unknown[] = [];
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) chain.push(cause.message);
    assert.ok(chain.some((message) => String(message).includes("counters begin at 0")));
    return true;
  });
});

test("handles travel, and an actor ends with the last of them", async () => {
  const counter = remote.Counter.create(1);
  assert.equal(await remote.callActor(counter as ActorHandle<never>).get(), 101);
  assert.equal((await client.status()).actors, 1);
  counter.dispose();
  await eventually("the actor ended", async () => (await client.status()).actors === 0);
});

test("a named actor is found, is there once, and lives as long as it is detached", async () => {
  const named = remote.Counter.with({ detached: true });
  const counter = await named.createNamed("the counter", 3);
  await assert.rejects(named.createNamed("the counter"), ActorNameTakenError);
  const same = await named.with({ getIfExists: true }).createNamed("the counter");
  assert.equal(same.id, counter.id);
  const found = await client.getActor<{ add(n: number): number }>("the counter");
  assert.equal(await found.call.add(1).get(), 4);
  const [listed] = await client.listActors();
  assert.deepEqual([listed.name, listed.id], ["the counter", counter.id]);
  await assert.rejects(client.getActor("the counter", "elsewhere"), ActorNotFoundError);
  const about = await counter.call.about().get();
  assert.deepEqual(about, { actorId: counter.id, actorName: "the counter", restarts: 0 });
  counter.kill();
  await assert.rejects(counter.call.add(1).get(), ActorDiedError);
});

test("what was finished before an actor ended its process is not lost with it", async () => {
  for (let round = 0; round < 5; round++) {
    const counter = remote.Counter.create(0);
    const added = Array.from({ length: 20 }, () => counter.call.add(1));
    const died = counter.call.die();
    assert.deepEqual(
      await client.get(added),
      added.map((_, n) => n + 1),
    );
    await assert.rejects(died.get(), ActorDiedError);
  }
});

test("an actor is started again as often as it may be", async () => {
  using counter = remote.Counter.with({ maxRestarts: 1 }).create(1);
  await counter.call.add(5).get();
  await assert.rejects(counter.call.die().get(), ActorUnavailableError);
  assert.equal(await counter.call.add(1).get(), 2);
  assert.equal((await counter.call.about().get())["restarts"], 1);
  await assert.rejects(counter.call.die().get(), ActorDiedError);
});

test("an actor may end itself, and is let finish what is queued if it is asked to", async () => {
  using leaving = remote.Counter.create();
  assert.equal(await leaving.call.leave().get(), "gone");
  await assert.rejects(leaving.call.add(1).get(), ActorDiedError);
  using graceful = remote.Counter.create();
  const calls = Array.from({ length: 20 }, () => graceful.call.add(1));
  graceful.kill({ graceful: true });
  assert.equal((await client.get(calls)).at(-1), 20);
  await assert.rejects(graceful.call.add(1).get(), ActorDiedError);
});

test("a placement group reserves, runs what names it, and ends it", async () => {
  const group = await client.createPlacementGroup([{ CPU: 1 }], { strategy: "STRICT_PACK" });
  assert.equal(await group.ready.get(), null);
  assert.equal((await client.status()).available["CPU"], 1);
  assert.equal(
    await remote.add
      .with({ placement: { group, bundle: 0 } })(1, 2)
      .get(),
    3,
  );
  using counter = remote.Counter.with({ placement: { group }, numCpus: 1 }).create();
  await counter.call.add(1).get();
  await group.remove();
  await group.remove();
  await assert.rejects(remote.add.with({ placement: { group } })(1, 2).get(), PlacementGroupRemovedError);
  await eventually("all is free", async () => (await client.status()).available["CPU"] === 2);
});

test("options that have no meaning are refused where they are given", () => {
  assert.throws(() => remote.add.with({ numCpus: -1 })(1, 2), InvalidArgumentError);
  assert.throws(() => remote.add.with({ resources: { x: 0.00001 } })(1, 2), InvalidArgumentError);
  assert.throws(() => remote.add.with({ maxRetries: -2 })(1, 2), InvalidArgumentError);
  assert.throws(() => remote.Counter.with({ maxConcurrency: 0 }).create(), InvalidArgumentError);
});

test("the node tells of itself", async () => {
  await remote.add(1, 1).get();
  const status = await client.status();
  assert.equal(status.total["CPU"], 2);
  assert.ok(status.workers.length > 0 && status.workers.every(({ pool }) => pool === "functions"));
  const { items } = await client.listState("pools");
  assert.ok(items.some((item) => item["name"] === "functions"));
});
