// A node at a Unix socket that says what the test tells it to: for workers, whose session is in a thread of its own.

import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Cutter } from "../../src/session/unix.js";
import { Connection, LIMITS, welcome } from "./peer.js";

/** A node that listens until it is closed. */
export interface SocketNode {
  /** `unix:PATH`. */
  readonly address: string;
  /** The first connection, once it was welcomed. */
  readonly connection: Promise<Connection>;
  close(): Promise<void>;
}

/** Listens for one worker. */
export async function listen(): Promise<SocketNode> {
  const directory = await mkdtemp(join(tmpdir(), "thornback-test-"));
  const path = join(directory, "node.sock");
  const server = createServer();
  const connection = new Promise<Connection>((resolve) => {
    server.once("connection", (socket) => {
      const send = (body: Buffer): void => {
        const head = Buffer.alloc(4);
        head.writeUInt32BE(body.length);
        socket.write(Buffer.concat([head, body]));
      };
      const accepted = new Connection({ send, cut: () => socket.destroy() });
      const cutter = new Cutter();
      socket.on("data", (chunk: Buffer) => {
        cutter.feed(chunk, (body) => {
          accepted.take(body);
        });
      });
      // A worker that is gone has nothing more to say.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        accepted.close();
      });
      void accepted.op("hello").then(() => {
        accepted.send(0, 0, [welcome({ ...LIMITS, frameBytes: 4_194_304n, windowBytes: 64_000_000n })]);
        resolve(accepted);
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    address: `unix:${path}`,
    connection,
    close: async () => {
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
