// The session of a worker, as the thread sees it that runs the worker's code: the connection is in a thread of its own (`thread.ts`). Operations are
// written into shared memory, so that they can be sent also while this thread computes. It opens no socket.

import { Worker } from "node:worker_threads";

import { create, fromBinary } from "@bufbuild/protobuf";

import { errorOf, type ThornbackError } from "../errors.js";
import { type ClientOp, ClientOpSchema, type Hello, type Welcome, WelcomeSchema } from "../gen/thornback/v1/session_pb.js";
import { FRAME_BYTES_DEFAULT } from "../session/carrier.js";
import { type Conversation, FRAME_BYTES_AIM, type Handler, inlineBytesOf, TAIL_BYTES, tooLong } from "../session/conversation.js";
import { writeOp } from "../session/ops.js";
import { MalformedError, Reader, type Writer } from "../session/wire.js";
import { Beginner } from "./claims.js";
import { arrived, type ToCode, type ToSession, Word } from "./messages.js";
import { SharedWriter } from "./slab.js";

/** The other thread is told of what was handled when it is so much. */
const CONSUMED_BYTES = 1024 * 1024;

/** What is finished when the program ends has so long to be sent. */
const EXIT_MS = 1_000;

/** The thread of a session, before the session is opened: it can get ready while the worker's module is loaded. */
export class SessionThread {
  readonly #words = new Int32Array(new SharedArrayBuffer(4 * Word.Count));
  readonly #worker: Worker;

  constructor() {
    // Loaders of the user's program are for the user's modules.
    const options = { workerData: this.#words.buffer, execArgv: [], name: "thornback session" };
    this.#worker = new Worker(new URL("./thread.js", import.meta.url), options);
  }

  /** Connects and says hello; rejects as `Session.open` does. */
  async open(address: string, token: string, hello: Partial<Hello>, handler: Handler): Promise<Conversation> {
    const link = new Link(this.#worker, this.#words, handler);
    await link.open(address, token, hello);
    return link;
  }
}

class Link implements Conversation {
  readonly #worker: Worker;
  readonly #words: Int32Array;
  readonly #handler: Handler;
  readonly #writer: SharedWriter;
  readonly #runs = new Beginner();
  #welcome: Welcome | undefined;
  #frameBytes = FRAME_BYTES_DEFAULT;
  #inlineBytes = 0;
  #ended: ThornbackError | undefined;
  #opening: { resolve(): void; reject(error: Error): void } | undefined;
  #closing: (() => void) | undefined;
  #scheduled = false;
  /** Bytes that are written, and the other thread was not told to look for. */
  #untold = 0;
  /** Bytes that were written, modulo 2³². */
  #written = 0;
  #consumed = 0;
  #connection = 0;

  constructor(worker: Worker, words: Int32Array, handler: Handler) {
    this.#worker = worker;
    this.#words = words;
    this.#handler = handler;
    this.#writer = new SharedWriter((slab) => {
      this.#tell({ kind: "slab", slab });
    });
    worker.on("message", (message: ToCode) => {
      this.#take(message);
    });
    worker.on("error", (error) => {
      this.#end(errorOf("INTERNAL", `the thread of the session failed: ${error.message}`, { cause: error }));
    });
    process.on("exit", this.#drain);
    worker.on("exit", () => {
      this.#end(errorOf("CONNECTION_LOST", "the thread of the session ended"));
    });
  }

  open(address: string, token: string, hello: Partial<Hello>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#tell({ kind: "open", address, token, hello });
    });
  }

  get welcome(): Welcome {
    return this.#welcome!;
  }

  get inlineBytes(): number {
    return this.#inlineBytes;
  }

  get frameBytes(): number {
    return this.#frameBytes;
  }

  get ended(): ThornbackError | undefined {
    return this.#ended;
  }

  get pending(): boolean {
    return this.#untold > 0;
  }

  begin(): Writer {
    return this.#writer;
  }

  end(): void {
    const writer = this.#writer;
    if (writer.length + TAIL_BYTES > this.#frameBytes) {
      const size = writer.length;
      writer.at = writer.start;
      throw tooLong(size, this.#frameBytes);
    }
    const bytes = writer.commit();
    this.#written = (this.#written + bytes) | 0;
    this.#untold += bytes;
    if (this.#untold > FRAME_BYTES_AIM) {
      this.flush();
    } else if (!this.#scheduled) {
      this.#scheduled = true;
      // After all microtasks of this turn, so that what many of them post goes together.
      process.nextTick(() => {
        this.#scheduled = false;
        if (this.#untold > 0) this.flush();
      });
    }
  }

  post(op: ClientOp["op"]): void {
    writeOp(this.begin(), create(ClientOpSchema, { op }));
    this.end();
  }

  flush(): void {
    this.#untold = 0;
    this.#nudge();
  }

  hasRoom(bytes: number): boolean {
    if (this.#waitingBytes() < bytes) return true;
    Atomics.store(this.#words, Word.WantsRoom, 1);
    // There may have come to be some before it was wanted.
    return this.#waitingBytes() < bytes;
  }

  hold(alive: boolean): void {
    if (alive) this.#worker.ref();
    else this.#worker.unref();
  }

  close(): Promise<void> {
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      this.#closing = resolve;
      this.#tell({ kind: "close" });
    });
  }

  claim(run: number): boolean {
    return this.#runs.begin(run);
  }

  busy(is: boolean): void {
    Atomics.store(this.#words, Word.Busy, is ? 1 : 0);
    // Where several runs came together, the other thread looks without being told.
    if (is && Atomics.load(this.#words, Word.Looking) === 0) this.#nudge();
  }

  #waitingBytes(): number {
    return ((this.#written - Atomics.load(this.#words, Word.Taken)) | 0) + Atomics.load(this.#words, Word.Unsent);
  }

  #nudge(): void {
    if (Atomics.exchange(this.#words, Word.Nudged, 1) === 0) this.#tell({ kind: "look" });
  }

  /** Code that ends its process takes the other thread with it, and what was finished before must not be lost so. Nothing but waiting is possible here. */
  readonly #drain = (): void => {
    if (this.#ended || !this.#welcome) return;
    this.flush();
    const until = performance.now() + EXIT_MS;
    for (;;) {
      const taken = Atomics.load(this.#words, Word.Taken);
      const left = until - performance.now();
      if (taken === this.#written || left <= 0) return;
      Atomics.wait(this.#words, Word.Taken, taken, left);
    }
  };

  #tell(message: ToSession): void {
    this.#worker.postMessage(message);
  }

  // What the other thread says.

  #take(message: ToCode): void {
    if (this.#ended) return;
    switch (message.kind) {
      case "opened":
        this.#welcome = fromBinary(WelcomeSchema, message.welcome);
        this.#frameBytes = Number(this.#welcome.limits?.frameBytes ?? 0) || FRAME_BYTES_DEFAULT;
        this.#inlineBytes = inlineBytesOf(Number(this.#welcome.limits?.inlineBytes ?? 0), this.#frameBytes);
        this.#opening?.resolve();
        this.#opening = undefined;
        return;
      case "refused":
        this.#end(arrived(message.error));
        return;
      case "runs":
        this.#runs.add(message.segment);
        return;
      case "ops":
        this.#takeOps(Buffer.from(message.ops.buffer, message.ops.byteOffset, message.ops.byteLength));
        this.#consume(message.bytes, message.connection);
        return;
      case "notTaken":
        this.#handler.handleRefused(message.made, message.op && fromBinary(ClientOpSchema, message.op), arrived(message.error));
        return;
      case "room":
        this.#handler.handleRest();
        return;
      case "ended":
        this.#end(arrived(message.error));
    }
  }

  #takeOps(bytes: Buffer): void {
    const reader = new Reader(bytes);
    const body = new Reader(bytes);
    try {
      while (reader.at < reader.end && !this.#ended) {
        const number = reader.varint();
        const length = reader.length();
        body.at = reader.at;
        body.end = reader.at += length;
        this.#handler.handleOp(number, body);
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#tell({ kind: "breach", message: `the node sent a frame that cannot be decoded: ${error.message}` });
      return;
    }
    this.#handler.handleRest();
  }

  #consume(bytes: number, connection: number): void {
    if (connection !== this.#connection) this.#consumed = 0;
    this.#connection = connection;
    this.#consumed += bytes;
    if (this.#consumed < CONSUMED_BYTES) return;
    this.#tell({ kind: "consumed", bytes: this.#consumed, connection });
    this.#consumed = 0;
  }

  #end(error: ThornbackError): void {
    if (this.#ended) return;
    this.#ended = error;
    process.off("exit", this.#drain);
    this.#closing?.();
    if (this.#opening) this.#opening.reject(error);
    else this.#handler.handleEnd(error);
  }
}
