// A node that says what the test tells it to.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

import { Client } from "../../src/client.js";
import {
  type ClientFrame,
  ClientFrameSchema,
  type ClientOp,
  ServerFrameSchema,
  type ServerOpSchema,
} from "../../src/gen/thornback/v1/session_pb.js";
import { type Accepted, memory } from "../../src/session/memory.js";

type ServerOps = MessageInitShape<typeof ServerOpSchema>["op"][];

type OpKind = NonNullable<ClientOp["op"]["case"]>;
type OpValue<C extends OpKind> = Extract<ClientOp["op"], { case: C }>["value"];

/** One connection, as the node sees it. */
export class Connection {
  readonly frames: ClientFrame[] = [];
  /** Bytes of all frames. */
  bytes = 0;
  closed = false;
  readonly #accepted: Accepted;
  #wake: (() => void) | undefined;

  constructor(accepted: Accepted) {
    this.#accepted = accepted;
  }

  take(body: Buffer): void {
    this.bytes += body.length;
    this.frames.push(fromBinary(ClientFrameSchema, new Uint8Array(body)));
    this.#wake?.();
  }

  close(): void {
    this.closed = true;
    this.#wake?.();
  }

  /** Sends a frame. */
  send(seq: number, ack: number, ops: ServerOps): void {
    const frame = create(ServerFrameSchema, { seq: BigInt(seq), ack: BigInt(ack), ops: ops.map((op) => ({ op })) });
    this.#accepted.send(Buffer.from(toBinary(ServerFrameSchema, frame)));
  }

  /** Sends bytes that need be no frame. */
  sendRaw(bytes: Uint8Array): void {
    this.#accepted.send(Buffer.from(bytes));
  }

  cut(): void {
    this.#accepted.cut();
  }

  /** Waits until what has come is as wanted. */
  async until(look: () => boolean): Promise<void> {
    while (!look()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** All operations that came, of one kind. */
  ops<C extends OpKind>(kind: C): OpValue<C>[] {
    const found = this.frames.flatMap(({ ops }) => ops.filter(({ op }) => op.case === kind).map(({ op }) => op.value));
    return found as unknown as OpValue<C>[];
  }

  /** Waits for an operation of a kind, the `count`th. */
  async op<C extends OpKind>(kind: C, count = 1): Promise<OpValue<C>> {
    await this.until(() => this.ops(kind).length >= count);
    return this.ops(kind)[count - 1];
  }
}

/** What `Welcome` says unless a test says otherwise. */
export const LIMITS = {
  frameBytes: 65_536n,
  inlineBytes: 10_240n,
  windowBytes: 1_000_000n,
  heartbeatMs: 0n,
  graceMs: 60_000n,
  objectBytes: 0n,
};

/** A node for one client. */
export class Peer {
  readonly connections: Connection[] = [];
  readonly connect = memory((accepted) => {
    const connection = new Connection(accepted);
    this.connections.push(connection);
    this.#wake?.();
    return {
      frame: (body) => {
        connection.take(body);
      },
      closed: () => {
        connection.close();
      },
    };
  });
  #wake: (() => void) | undefined;

  /** Waits for the client's `count`th connection and its hello. */
  async connection(count = 1): Promise<Connection> {
    while (this.connections.length < count) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const connection = this.connections[count - 1];
    await connection.op("hello");
    return connection;
  }

  /** A client that waits for its welcome. */
  open(): Promise<Client> {
    return Client.over(this.connect, { logs: () => undefined, onNotice: () => undefined });
  }

  /** A client that was welcomed, and its connection. */
  async welcome(limits: Partial<typeof LIMITS> = {}): Promise<{ client: Client; connection: Connection }> {
    const opening = this.open();
    const connection = await this.connection();
    connection.send(0, 0, [welcome({ ...LIMITS, ...limits })]);
    return { client: await opening, connection };
  }
}

/** A `Welcome`. */
export function welcome(
  limits: typeof LIMITS,
  more: { resumed?: boolean; ack?: bigint; version?: number } = {},
): ServerOps[number] {
  const value = {
    version: 1,
    features: ["actors", "streams"],
    limits,
    session: new Uint8Array(16),
    secret: new Uint8Array(16).fill(7),
    ...more,
  };
  return { case: "welcome", value };
}
