// One conversation with a node: hello, order, acknowledgement, credit, resumption, heartbeats.
//
// Operations are written into one buffer and sent together: at the end of the turn of the event loop in which they were posted, or when enough have
// come together. A connection that is lost is opened again and the session resumed: what the node has not acknowledged is sent again, and what it sends
// again is recognised by its number. This module handles the operations that are about the conversation; all others go to its `Handler`.

import { create, toBinary } from "@bufbuild/protobuf";

import { errorOf, fromFailure, ThornbackError, toFailure } from "../errors.js";
import {
  ClientFrameSchema,
  type ClientOp,
  ClientOpSchema,
  type Hello,
  HelloSchema,
  type Limits,
  LimitsSchema,
  ResumeSessionSchema,
  Role,
  type ServerOp,
  type Welcome,
} from "../gen/thornback/v1/session_pb.js";
import { type Carrier, type Connect, FRAME_BYTES_DEFAULT } from "./carrier.js";
import { type Conversation, FRAME_BYTES_AIM, type Handler, inlineBytesOf, TAIL_BYTES, tooLong } from "./conversation.js";
import { fromBytes } from "./ids.js";
import { openOp, readMessage, readOp, writeOp } from "./ops.js";
import { MalformedError, Reader, Writer } from "./wire.js";

const WINDOW_BYTES = 16 * 1024 * 1024;
const WINDOW_BYTES_DEFAULT = 8 * 1024 * 1024;
const HELLO_TIMEOUT_MS = 30_000;
const RESUME_PAUSE_MS = 5;
// How long a worker that ends by itself waits for its node to take its last words.
const SETTLE_MS = 1_000;
const RESUME_PAUSE_MS_MAX = 500;
/** Operations up to this number are about the conversation, and travel in uncounted frames. */
const CONTROL_OPS_MAX = 5;

interface SentFrame {
  readonly seq: number;
  readonly body: Buffer;
}

/** A driver's or worker's conversation with its node. */
export class Session implements Conversation {
  readonly #connect: Connect;
  readonly #hello: Hello;
  readonly #handler: Handler;
  #carrier: Carrier | undefined;
  #welcome: Welcome | undefined;
  #limits: Limits = create(LimitsSchema);
  // Asked for each operation, and so kept as numbers.
  #frameBytes = FRAME_BYTES_DEFAULT;
  #inlineBytes = 0;

  readonly #writer = new Writer();
  #opStart = 0;
  #scheduled = false;
  /** Counted frames that the node has not acknowledged, in order; those from `#unsent` on wait for credit. */
  #frames: SentFrame[] = [];
  #unsent = 0;
  #seqOut = 0;
  #credit = 0;
  #goodbyeLast = false;

  #seqIn = 0;
  #owed = 0;
  #taken = 0;
  #creditLater = false;
  #connection = 0;
  #heard = 0;
  #silence: NodeJS.Timeout | undefined;
  #alive = true;
  #ended: ThornbackError | undefined;
  #closing: (() => void) | undefined;

  private constructor(connect: Connect, hello: Hello, handler: Handler) {
    this.#connect = connect;
    this.#hello = hello;
    this.#handler = handler;
  }

  /**
   * Connects and says hello.
   *
   * Rejects with the failure with which the node refuses, or with `ConnectionLostError`.
   */
  static async open(connect: Connect, hello: Partial<Hello>, handler: Handler): Promise<Session> {
    const {
      $typeName: _,
      $unknown: __,
      ...fields
    } = create(HelloSchema, { versionMin: 1, versionMax: 1, windowBytes: BigInt(WINDOW_BYTES) });
    const session = new Session(connect, create(HelloSchema, { ...fields, ...hello }), handler);
    let opened: Opened;
    try {
      opened = await session.#dial();
    } catch (error) {
      if (error instanceof ThornbackError) throw error;
      throw errorOf("CONNECTION_LOST", `no node can be reached: ${(error as Error).message}`, { cause: error });
    }
    session.#welcome = opened.welcome;
    session.#begin(opened);
    return session;
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

  /** Bytes that were posted and are not on their way, because the node gives no credit. */
  get waitingBytes(): number {
    let bytes = this.#writer.length;
    for (let i = this.#unsent; i < this.#frames.length; i++) bytes += this.#frames[i].body.length;
    return bytes;
  }

  /** Each credit that is given comes with something to handle, so that whoever finds no room is called again. */
  hasRoom(bytes: number): boolean {
    return this.waitingBytes < bytes;
  }

  /** In one thread nothing is taken back behind the back of whoever runs it. */
  claim(): boolean {
    return true;
  }

  busy(): void {}

  /** From now on the node has credit for what `consume` is told of, and not for whatever has come. */
  creditLater(): void {
    this.#creditLater = true;
  }

  /** Bytes of frames that have come since this was last asked, and on which connection: credit is of one connection. */
  takeBytes(): { bytes: number; connection: number } {
    const bytes = this.#taken;
    this.#taken = 0;
    return { bytes, connection: this.#connection };
  }

  /** Gives the node credit for so many bytes more. */
  consume(bytes: number, connection: number): void {
    if (connection !== this.#connection) return;
    this.#owed += bytes;
    if (this.#owed < WINDOW_BYTES / 4) return;
    const credit = BigInt(this.#owed);
    this.#owed = 0;
    this.#sendUncounted({ case: "credit", value: { $typeName: "thornback.v1.Credit", bytes: credit } });
  }

  // Posting: `const writer = session.begin(); write…(writer, …); session.end();`

  begin(): Writer {
    this.#opStart = this.#writer.length;
    return this.#writer;
  }

  end(): void {
    const writer = this.#writer;
    if (writer.length > FRAME_BYTES_AIM || writer.length > this.frameBytes >> 1) {
      const size = writer.length - this.#opStart;
      if (size + TAIL_BYTES > this.frameBytes) {
        writer.at = writer.start + this.#opStart;
        throw tooLong(size, this.frameBytes);
      }
      if (writer.length + TAIL_BYTES > this.frameBytes) this.#sealBefore(this.#opStart);
      if (writer.length > FRAME_BYTES_AIM || writer.length > this.frameBytes >> 1) {
        this.flush();
        return;
      }
    }
    if (!this.#scheduled) {
      this.#scheduled = true;
      // After all microtasks of this turn, so that what many of them post goes together.
      process.nextTick(() => {
        this.flush();
      });
    }
  }

  post(op: ClientOp["op"]): void {
    writeOp(this.begin(), create(ClientOpSchema, { op }));
    this.end();
  }

  get pending(): boolean {
    return this.#writer.length > 0;
  }

  flush(): void {
    this.#scheduled = false;
    this.#seal();
    this.#send();
  }

  hold(alive: boolean): void {
    this.#alive = alive;
    this.#carrier?.hold(this.#holds);
  }

  /** Whoever closes the session waits as well: a program must not end before what it posted is sent. */
  get #holds(): boolean {
    return this.#alive || this.#closing !== undefined;
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    this.flush();
    if (this.#hello.role === Role.WORKER) await this.#settle();
    // What waits for credit goes first: a goodbye would overtake it.
    if (this.#unsent < this.#frames.length && this.#carrier) {
      await new Promise<void>((resolve) => {
        this.#closing = resolve;
        this.#carrier?.hold(true);
      });
    }
    this.#sayGoodbye(undefined);
    this.#end(errorOf("CONNECTION_LOST", "the session was closed by this program"));
  }

  /** Until the node has all that was said, over another connection if this one is lost. With nothing to say itself, it acknowledges only when asked. */
  async #settle(): Promise<void> {
    const until = performance.now() + SETTLE_MS;
    for (let pause = 1; this.#frames.length > 0 && !this.#ended && performance.now() < until; pause *= 2) {
      this.#sendUncounted({ case: "ping", value: { $typeName: "thornback.v1.Ping", nonce: 1n } });
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Ends the session because the node broke the protocol. */
  breach(error: ThornbackError): void {
    if (this.#ended) return;
    this.#sayGoodbye(error);
    this.#end(error);
  }

  // Sending.

  #seal(): void {
    const writer = this.#writer;
    if (writer.length === 0) return;
    writer.reserve(TAIL_BYTES);
    const seq = ++this.#seqOut;
    writer.byte(0x08);
    writer.varint(seq);
    if (this.#seqIn > 0) {
      writer.byte(0x10);
      writer.varint(this.#seqIn);
    }
    this.#frames.push({ seq, body: writer.take() });
  }

  /** Makes a frame of what was written before the last operation, which does not fit into the same one. */
  #sealBefore(length: number): void {
    const { buffer, start } = this.#writer;
    const head = new Writer();
    head.reserve(length + TAIL_BYTES);
    head.bytes(buffer.subarray(start, start + length));
    head.byte(0x08);
    head.varint(++this.#seqOut);
    head.byte(0x10);
    head.varint(this.#seqIn);
    this.#frames.push({ seq: this.#seqOut, body: head.take() });
    this.#writer.start += length;
    this.#opStart = 0;
  }

  #send(): void {
    const carrier = this.#carrier;
    if (!carrier || this.#goodbyeLast) return;
    const bodies: Buffer[] = [];
    while (this.#unsent < this.#frames.length && this.#credit > 0) {
      const { body } = this.#frames[this.#unsent++];
      this.#credit -= body.length;
      bodies.push(body);
    }
    if (bodies.length > 0) carrier.send(bodies);
    if (this.#closing && this.#unsent === this.#frames.length) this.#closing();
  }

  #sendUncounted(op: ClientOp["op"]): void {
    this.#carrier?.send([uncounted(op, this.#seqIn)]);
  }

  #sayGoodbye(error: ThornbackError | undefined): void {
    const value = error ? { failure: toFailure(error) } : {};
    this.#goodbyeLast = true;
    this.#carrier?.send([uncounted({ case: "goodbye", value: { $typeName: "thornback.v1.Goodbye", ...value } }, this.#seqIn)]);
  }

  // Receiving.

  #take(body: Buffer): void {
    if (this.#ended) return;
    this.#heard = performance.now();
    try {
      this.#takeFrame(body);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.breach(errorOf("MALFORMED_FRAME", `the node sent a frame that cannot be decoded: ${error.message}`));
    }
  }

  #takeFrame(body: Buffer): void {
    const reader = new Reader(body);
    let seq = 0;
    let ack = 0;
    let lastOp = 0;
    while (reader.at < reader.end) {
      const tag = reader.tag();
      if (tag === 0x08) seq = reader.varint();
      else if (tag === 0x10) ack = reader.varint();
      else {
        if (tag === OPS) lastOp = reader.at;
        reader.skip(tag);
      }
    }
    if (ack > this.#seqOut) {
      this.breach(errorOf("SEQUENCE_GAP", `the node acknowledged frame ${ack}, and ${this.#seqOut} were sent`));
      return;
    }
    if (seq > 0) {
      if (seq <= this.#seqIn) {
        this.#acknowledge(ack);
        return;
      }
      if (seq !== this.#seqIn + 1) {
        this.breach(errorOf("SEQUENCE_GAP", `frame ${seq} of the node came after frame ${this.#seqIn}`));
        return;
      }
    }
    this.#takeOps(body, seq, lastOp);
    if (this.#ended) return;
    if (seq > 0) {
      this.#seqIn = seq;
      this.#taken += body.length;
      if (!this.#creditLater) this.consume(body.length, this.#connection);
    }
    this.#acknowledge(ack);
  }

  /** Handles the operations of a frame; `lastOp` is where the last of them begins. */
  #takeOps(body: Buffer, seq: number, lastOp: number): void {
    const frame = new Reader(body);
    // One reader for all of them, since nobody keeps it.
    const op = new Reader(body);
    while (frame.at < lastOp && !this.#ended) {
      const tag = frame.tag();
      if (tag !== OPS) {
        frame.skip(tag);
        continue;
      }
      const isLast = frame.at === lastOp;
      const length = frame.length();
      const { at } = frame;
      const end = (frame.at += length);
      op.at = at;
      op.end = end;
      const number = openOp(op);
      // An operation of a later version: nothing was agreed on that must be understood.
      if (number === 0) continue;
      if (number <= CONTROL_OPS_MAX) {
        if (seq > 0 && !(number === GOODBYE && isLast))
          throw new MalformedError("an operation that is not counted in a counted frame");
        this.#control(readOp(body.subarray(at, end)));
      } else {
        if (seq === 0) throw new MalformedError("an operation without a number");
        if (number === REFUSED) this.#refused(readOp(body.subarray(at, end)));
        else this.#handler.handleOp(number, op);
      }
    }
  }

  #acknowledge(ack: number): void {
    const frames = this.#frames;
    let count = 0;
    while (count < this.#unsent && frames[count].seq <= ack) count++;
    if (count === 0) return;
    frames.splice(0, count);
    this.#unsent -= count;
  }

  #control({ op }: ServerOp): void {
    switch (op.case) {
      case "credit":
        this.#credit += Number(op.value.bytes);
        this.#send();
        break;
      case "ping":
        this.#sendUncounted({ case: "pong", value: { $typeName: "thornback.v1.Pong", nonce: op.value.nonce } });
        break;
      case "goodbye":
        this.#end(op.value.failure ? fromFailure(op.value.failure) : errorOf("CONNECTION_LOST", "the node ended the session"));
        break;
      case "welcome":
        throw new MalformedError("a second welcome");
      default:
    }
  }

  #refused({ op }: ServerOp): void {
    if (op.case !== "refused") return;
    const { seq, index, failure, id } = op.value;
    const frame = this.#frames.find((sent) => sent.seq === Number(seq));
    const sent = frame && readMessage(ClientFrameSchema, frame.body).ops[index];
    this.#handler.handleRefused(id.length === 16 ? fromBytes(id) : undefined, sent, fromFailure(failure));
  }

  // Beginning, losing and resuming.

  async #dial(): Promise<Opened> {
    let carrier: Carrier | undefined;
    let timer: NodeJS.Timeout | undefined;
    // What comes behind the welcome before the session takes over.
    const early: Buffer[] = [];
    const listener: Listener = { take: undefined, rest: () => undefined, lost: () => undefined };
    try {
      const first = new Promise<Buffer>((resolve, reject) => {
        listener.take = (body) => {
          // More may come with the same bytes.
          listener.take = (more) => early.push(more);
          resolve(body);
        };
        listener.lost = (error) => {
          reject(
            error instanceof ThornbackError
              ? error
              : new Error(`${error.message} before it answered the hello`, { cause: error }),
          );
        };
        timer = setTimeout(() => {
          reject(new Error("the node did not answer the hello; is something else listening at its address?"));
        }, HELLO_TIMEOUT_MS);
      });
      // Nobody may come to await it, if the connection fails first.
      first.catch(() => undefined);
      carrier = await this.#connect({
        frame: (body) => {
          listener.take?.(body);
        },
        rest: () => {
          listener.rest();
        },
        lost: (error) => {
          listener.lost(error);
        },
      });
      carrier.send([uncounted({ case: "hello", value: this.#hello }, 0)]);
      const opened = this.#readWelcome(await first);
      carrier.frameBytesMax = Number(opened.limits?.frameBytes ?? 0) || FRAME_BYTES_DEFAULT;
      return { carrier, welcome: opened, listener, early };
    } catch (error) {
      carrier?.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #readWelcome(body: Buffer): Welcome {
    const reader = new Reader(body);
    try {
      while (reader.at < reader.end) {
        const tag = reader.tag();
        if (tag !== 0x1a) {
          reader.skip(tag);
          continue;
        }
        const { op } = readOp(reader.bytes());
        if (op.case === "welcome") {
          if (op.value.version !== 1)
            throw errorOf("UNSUPPORTED_VERSION", `the node chose version ${op.value.version}, which was not offered`);
          return op.value;
        }
        if (op.case === "goodbye") throw fromFailure(op.value.failure);
        break;
      }
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
    }
    throw new Error("the node did not begin with a welcome; is something else listening at its address?");
  }

  #begin({ carrier, welcome, listener, early }: Opened): void {
    this.#carrier = carrier;
    this.#limits = welcome.limits ?? create(LimitsSchema);
    this.#frameBytes = Number(this.#limits.frameBytes) || FRAME_BYTES_DEFAULT;
    this.#inlineBytes = inlineBytesOf(Number(this.#limits.inlineBytes), this.#frameBytes);
    this.#credit = Number(this.#limits.windowBytes) || WINDOW_BYTES_DEFAULT;
    this.#owed = this.#taken = 0;
    this.#connection++;
    this.#heard = performance.now();
    carrier.hold(this.#holds);
    listener.take = (body) => {
      // Frames keep their order while early ones wait.
      if (early.length > 0) early.push(body);
      else this.#take(body);
    };
    listener.rest = () => {
      if (!this.#ended) this.#handler.handleRest();
    };
    listener.lost = (error) => {
      this.#lost(error);
    };
    this.#watchSilence(Number(this.#limits.heartbeatMs));
    // Not before whoever opens the session has it.
    setImmediate(() => {
      for (const body of early.splice(0)) this.#take(body);
      if (!this.#ended) this.#handler.handleRest();
    });
  }

  #watchSilence(heartbeatMs: number): void {
    clearInterval(this.#silence);
    if (heartbeatMs === 0) return;
    const carrier = this.#carrier;
    this.#silence = setInterval(() => {
      // What has come while this process was busy is read before anybody is called silent.
      setImmediate(() => {
        if (this.#carrier !== carrier || this.#ended) return;
        const silent = performance.now() - this.#heard;
        if (silent >= heartbeatMs * 3) {
          carrier?.close();
          this.#lost(new Error(`the node was silent for ${Math.round(silent)} ms`));
        } else if (silent >= heartbeatMs) {
          this.#sendUncounted({ case: "ping", value: { $typeName: "thornback.v1.Ping", nonce: 1n } });
        }
      });
    }, heartbeatMs / 2);
    this.#silence.unref();
  }

  #lost(error: Error): void {
    if (this.#ended || !this.#carrier) return;
    const { local } = this.#carrier;
    this.#carrier = undefined;
    clearInterval(this.#silence);
    if (error instanceof ThornbackError) {
      // The peer broke the rules of framing: the same again would follow.
      this.#end(error);
      return;
    }
    void this.#resume(error, local);
  }

  async #resume(reason: Error, local: boolean): Promise<void> {
    const deadline = performance.now() + Number(this.#limits.graceMs);
    for (let pause = RESUME_PAUSE_MS; ; pause = Math.min(pause * 2, RESUME_PAUSE_MS_MAX)) {
      this.#hello.resume = create(ResumeSessionSchema, {
        session: this.welcome.session,
        secret: this.welcome.secret,
        ack: BigInt(this.#seqIn),
      });
      try {
        const opened = await this.#dial();
        if (this.#ended) {
          opened.carrier.close();
          return;
        }
        if (!opened.welcome.resumed) {
          opened.carrier.close();
          this.#end(errorOf("SESSION_EXPIRED", "the connection to the node was lost and the node no longer knows the session"));
          return;
        }
        this.#unsent = this.#frames.length;
        this.#acknowledge(Number(opened.welcome.ack));
        this.#unsent = 0;
        this.#begin(opened);
        this.flush();
        return;
      } catch (error) {
        if (this.#ended) return;
        if (error instanceof ThornbackError) {
          this.#end(error);
          return;
        }
        const { code } = error as NodeJS.ErrnoException;
        // On one machine that means that the node is gone; elsewhere it may be a network that comes back.
        const gone = local && (code === "ENOENT" || code === "ECONNREFUSED");
        if (gone || performance.now() + pause > deadline) {
          const message = `the connection to the node was lost (${reason.message}) and could not be resumed: ${(error as Error).message}`;
          this.#end(errorOf("CONNECTION_LOST", message, { cause: error }));
          return;
        }
        await new Promise((resolve) => {
          setTimeout(resolve, pause);
        });
      }
    }
  }

  #end(error: ThornbackError): void {
    if (this.#ended) return;
    this.#ended = error;
    clearInterval(this.#silence);
    this.#carrier?.close();
    this.#carrier = undefined;
    this.#frames = [];
    this.#unsent = 0;
    this.#closing?.();
    this.#handler.handleEnd(error);
  }
}

const GOODBYE = 5;
const REFUSED = 6;
/** The tag of `ServerFrame.ops`. */
const OPS = 0x1a;

interface Listener {
  take: ((body: Buffer) => void) | undefined;
  rest: () => void;
  lost: (error: Error) => void;
}

interface Opened {
  readonly carrier: Carrier;
  readonly welcome: Welcome;
  readonly listener: Listener;
  readonly early: Buffer[];
}

function uncounted(op: ClientOp["op"], ack: number): Buffer {
  const frame = create(ClientFrameSchema, { ack: BigInt(ack), ops: [create(ClientOpSchema, { op })] });
  return Buffer.from(toBinary(ClientFrameSchema, frame));
}
