// The thread of a worker's session. It answers the node while the worker's code computes: pings, credit, recalls, interrupts of what has not begun; and it
// sends what was finished meanwhile. It runs no code of the user's, decodes no value, and knows no declaration.

import { parentPort, workerData } from "node:worker_threads";

import { create, toBinary } from "@bufbuild/protobuf";

import { errorOf, ThornbackError } from "../errors.js";
import { type ClientOp, ClientOpSchema, WelcomeSchema } from "../gen/thornback/v1/session_pb.js";
import { DoneSchema, InterruptSchema, RecallSchema } from "../gen/thornback/v1/worker_pb.js";
import { connectTo } from "../session/address.js";
import { FRAME_BYTES_AIM, type Handler } from "../session/conversation.js";
import { fromBytes, type Id, toBytes } from "../session/ids.js";
import { readMessage, readRunHead, RUN } from "../session/ops.js";
import { Session } from "../session/session.js";
import { Reader, Writer } from "../session/wire.js";
import { Keeper } from "./claims.js";
import { INTERRUPT, interruption, RECALL } from "./interruption.js";
import { across, type ToCode, type ToSession, Word } from "./messages.js";
import { SlabReader } from "./slab.js";

/** How often it is looked whether busy code has finished something: results wait no longer than about this. */
const LOOK_MS = 1;
/** Operations are taken together up to so many bytes. */
const SPAN_BYTES = FRAME_BYTES_AIM / 2;

const words = new Int32Array(workerData as SharedArrayBuffer);

function tell(message: ToCode, transfer: ArrayBuffer[] = []): void {
  parentPort!.postMessage(message, transfer);
}

/** Passes operations between the session and the thread of the code. */
class Relay implements Handler {
  session!: Session;
  readonly #slabs = new SlabReader();
  readonly #runs = new Keeper((segment) => {
    tell({ kind: "runs", segment });
  });
  /** Operations for the other thread that were not posted yet. */
  readonly #ops = new Writer();
  /** Runs among them. */
  #runsUntold = 0;
  #open = false;

  handle(message: ToSession): void {
    switch (message.kind) {
      case "open":
        void this.#connect(message);
        return;
      case "slab":
        this.#slabs.add(message.slab);
        // Something in it may be whole already, and the look that was for that came before it.
        if (this.#open) this.#drain();
        return;
      case "look":
        this.#look();
        return;
      case "consumed":
        this.session.consume(message.bytes, message.connection);
        return;
      case "breach":
        this.session.breach(errorOf("MALFORMED_FRAME", message.message));
        return;
      case "close":
        this.#drain();
        void this.session.close();
    }
  }

  async #connect({ address, token, hello }: Extract<ToSession, { kind: "open" }>): Promise<void> {
    try {
      this.session = await Session.open(await connectTo(address, token), hello, this);
    } catch (error) {
      tell({ kind: "refused", error: across(error instanceof ThornbackError ? error : errorOf("INTERNAL", String(error))) });
      parentPort!.close();
      return;
    }
    this.session.creditLater();
    this.#open = true;
    tell({ kind: "opened", welcome: toBinary(WelcomeSchema, this.session.welcome) });
  }

  // From the code to the node.

  /** Sends what is finished. */
  #look(): void {
    Atomics.store(words, Word.Nudged, 0);
    this.#drain();
    if (Atomics.load(words, Word.Busy) === 1) this.#lookSoon();
  }

  /** Looks by itself, for as long as code is busy. */
  #lookSoon(): void {
    if (Atomics.exchange(words, Word.Looking, 1) === 1) return;
    setTimeout(() => {
      // In this order: code that gets busy after it was looked whether it is finds that nobody looks.
      Atomics.store(words, Word.Looking, 0);
      this.#look();
    }, LOOK_MS);
  }

  #drain(): void {
    const { session } = this;
    if (session.ended) return;
    let taken = 0;
    for (let ops = this.#slabs.take(); ops; ops = this.#slabs.take()) {
      taken += ops.length;
      this.#forward(ops);
    }
    if (taken > 0) session.flush();
    Atomics.add(words, Word.Taken, taken);
    // Somebody waits for it who is about to end.
    Atomics.notify(words, Word.Taken);
    this.#tellRoom();
  }

  /** Posts whole operations, in pieces that fit into frames. */
  #forward(ops: Buffer): void {
    const { session } = this;
    const reader = new Reader(ops);
    let from = 0;
    const post = (to: number): void => {
      if (to === from) return;
      const writer = session.begin();
      writer.reserve(to - from);
      writer.bytes(ops.subarray(from, to));
      session.end();
      from = to;
    };
    while (reader.at < reader.end) {
      const { at } = reader;
      reader.skip(reader.tag());
      if (reader.at - from > SPAN_BYTES) post(at);
    }
    post(ops.length);
  }

  #tellRoom(): void {
    Atomics.store(words, Word.Unsent, this.session.waitingBytes);
    if (Atomics.exchange(words, Word.WantsRoom, 0) === 1) tell({ kind: "room" });
  }

  // From the node to the code.

  handleOp(number: number, body: Reader): void {
    switch (number) {
      case RECALL:
        this.#recall(readMessage(RecallSchema, body.buffer.subarray(body.at, body.end)).tasks);
        return;
      case INTERRUPT:
        if (this.#interrupt(body.buffer.subarray(body.at, body.end))) return;
        break;
      case RUN:
        this.#addRun(body);
        break;
      default:
    }
    const ops = this.#ops;
    const length = body.end - body.at;
    ops.reserve(length + 12);
    ops.varint(number);
    ops.varint(length);
    ops.bytes(body.buffer.subarray(body.at, body.end));
  }

  #addRun(body: Reader): void {
    const { at } = body;
    this.#runs.add(readRunHead(body));
    body.at = at;
    this.#runsUntold++;
  }

  handleRest(): void {
    const { bytes, connection } = this.session.takeBytes();
    if (this.#ops.length > 0) {
      // A copy of its own, to be given away.
      const ops = new Uint8Array(this.#ops.take());
      // What the first of several gives must not wait for the others. The code's thread finds that it need not say so.
      if (this.#runsUntold > 1) this.#lookSoon();
      this.#runsUntold = 0;
      tell({ kind: "ops", ops, bytes, connection }, [ops.buffer]);
    } else if (bytes > 0) {
      this.session.consume(bytes, connection);
    }
    this.#tellRoom();
  }

  handleRefused(made: Id | undefined, op: ClientOp | undefined, error: ThornbackError): void {
    tell({ kind: "notTaken", made, op: op && toBinary(ClientOpSchema, op), error: across(error) });
  }

  handleEnd(error: ThornbackError): void {
    tell({ kind: "ended", error: across(error) });
    parentPort!.close();
  }

  /** Gives back what has not begun. */
  #recall(tasks: readonly Uint8Array[]): void {
    this.#drain();
    const back = tasks.filter((task) => this.#runs.takeBack(fromBytes(task)) !== undefined);
    this.session.post({ case: "returned", value: { $typeName: "thornback.v1.Returned", tasks: back } });
  }

  /** Answers for a task that has not begun. One that has is for the other thread to interrupt. */
  #interrupt(bytes: Uint8Array): boolean {
    const { task, attempt, code } = readMessage(InterruptSchema, bytes);
    const head = this.#runs.takeBack(fromBytes(task), attempt);
    if (!head) return false;
    const { failure } = interruption(code, "before it began");
    failure.task = task;
    failure.actor = toBytes(head.actor);
    this.session.post({ case: "done", value: create(DoneSchema, { task, attempt, failure, yielded: 0n }) });
    return true;
  }
}

const relay = new Relay();
parentPort!.on("message", (message: ToSession) => {
  relay.handle(message);
});
