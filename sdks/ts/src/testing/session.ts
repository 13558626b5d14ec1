// One session of the node in memory: frames in and out, and large objects in pieces. It decides nothing.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

import {
  ClientFrameSchema,
  type ClientOp,
  Role,
  ServerFrameSchema,
  type ServerOpSchema,
} from "../gen/thornback/v1/session_pb.js";
import type { Declare } from "../gen/thornback/v1/task_pb.js";
import type { Accepted } from "../session/memory.js";

/** An operation of the server. */
export type Said = NonNullable<MessageInitShape<typeof ServerOpSchema>["op"]>;

/** What sessions are told limits to. Values up to 1 MiB travel in frames, so that tests meet the store only where they mean to. */
const LIMITS = {
  frameBytes: 4n << 20n,
  inlineBytes: 1n << 20n,
  windowBytes: 64n << 20n,
  heartbeatMs: 0n,
  graceMs: 0n,
  objectBytes: 0n,
};
const CHUNK_BYTES = 1 << 20;
const CREDIT_BYTES = 1 << 20;

/** One session. */
export class TestSession {
  readonly #accepted: Accepted;
  readonly #handle: (session: TestSession, op: ClientOp["op"]) => void;
  #seqOut = 0n;
  #seqIn = 0n;
  #owed = 0;
  role: Role = Role.DRIVER;
  pool = "";
  namespace = "";
  /** What the client declared. */
  readonly declared = new Map<number, Declare>();
  /** What was declared to it: numbers by what they stand for. */
  readonly declaring = new Map<Declare, number>();
  open = true;

  constructor(accepted: Accepted, handle: (session: TestSession, op: ClientOp["op"]) => void) {
    this.#accepted = accepted;
    this.#handle = handle;
  }

  frame(body: Buffer): void {
    const { seq, ops } = fromBinary(ClientFrameSchema, new Uint8Array(body));
    if (seq > 0n) {
      this.#seqIn = seq;
      this.#owed += body.length;
    }
    for (const { op } of ops) if (this.open) this.#handle(this, op);
    if (this.#owed >= CREDIT_BYTES) {
      this.#send(0n, { case: "credit", value: { bytes: BigInt(this.#owed) } });
      this.#owed = 0;
    }
  }

  welcome(id: Uint8Array): void {
    const value = {
      version: 1,
      features: ["actors", "streams", "logs"],
      limits: LIMITS,
      session: id,
      secret: id,
      node: id,
      job: id,
    };
    this.#send(0n, { case: "welcome", value: { ...value, server: "thornback/testing", namespace: this.namespace } });
  }

  tell(op: Said): void {
    if (this.open) this.#send(++this.#seqOut, op);
  }

  tellBytes(object: Uint8Array, bytes: Uint8Array): void {
    const size = BigInt(bytes.length);
    this.tell({ case: "located", value: { object, outcome: { case: "location", value: { arena: 0, size } } } });
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      this.tell({ case: "chunk", value: { object, offset: BigInt(at), data: bytes.subarray(at, at + CHUNK_BYTES) } });
    }
  }

  goodbye(): void {
    if (!this.open) return;
    this.#send(0n, { case: "goodbye", value: {} });
    this.open = false;
  }

  #send(seq: bigint, op: Said): void {
    const frame = create(ServerFrameSchema, { seq, ack: this.#seqIn, ops: [{ op }] });
    this.#accepted.send(Buffer.from(toBinary(ServerFrameSchema, frame)));
  }
}
