// A runtime inside of the process, for tests of code that uses Thornback: no server, no workers, no sockets.

import { Client, type ConnectOptions } from "./client.js";
import { TestNode } from "./testing/node.js";

/**
 * A client of a runtime that runs everything in this process. Values are encoded and decoded as ever, so what would be refused elsewhere is refused
 * here. `client.import` works as it does with a server; functions of other workers are given as `exports`.
 *
 * It knows no resources and no lost workers: tasks run as soon as their arguments are there, and every object is kept until the client is closed.
 *
 * ```ts
 * import { testClient } from "thornback/testing";
 *
 * await using client = await testClient({ add: (a: number, b: number) => a + b });
 * assert.equal(await total(client, [1, 2, 3]), 6);
 * ```
 */
export async function testClient(exports: Readonly<Record<string, unknown>> = {}, options: ConnectOptions = {}): Promise<Client> {
  const node = new TestNode();
  node.serve("test", exports);
  return Client.over(node.connect, options);
}
