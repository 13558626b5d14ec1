// What a session's handles share: who waits for which object, stream and reply, and what every operation of the server does to them. It decides
// nothing about where and when something runs, and retries nothing: the node does.

import type { MessageShape } from "@bufbuild/protobuf";

import { errorOf, fromFailure, type ThornbackError } from "./errors.js";
import { type Reply, ReplySchema, type Request } from "./gen/thornback/v1/control_pb.js";
import { type Failure, FailureSchema } from "./gen/thornback/v1/failure_pb.js";
import { ChunkSchema, CreatedSchema, LocatedSchema } from "./gen/thornback/v1/object_pb.js";
import { type ClientOp, NoticeSchema } from "./gen/thornback/v1/session_pb.js";
import { StreamEndSchema } from "./gen/thornback/v1/task_pb.js";
import { type Log, LogSchema } from "./gen/thornback/v1/worker_pb.js";
import { ActorHandle } from "./actor.js";
import { encodeArgs } from "./arguments.js";
import { setValue } from "./completion.js";
import { Counts } from "./counts.js";
import type { Referrer } from "./reference.js";
import { type CancelOptions, type GetOptions, Ref, type WaitOptions } from "./object.js";
import type { Scope } from "./scope.js";
import type { Conversation, Handler } from "./session/conversation.js";
import { fromBytes, type Id, Ids, output, toBytes, withIndex } from "./session/ids.js";
import {
  COMPLETION,
  payloadBytes,
  readCompletion,
  readMessage,
  type RawValue,
  writeCall,
  writePut,
  writeSubmit,
} from "./session/ops.js";
import type { Reader } from "./session/wire.js";
import { type Hold, Slot, State } from "./slot.js";
import { Store } from "./store.js";
import { RefStream, StreamSlot } from "./stream.js";
import { compact, decodeValue, encodeValue } from "./values.js";
import { Waits } from "./wait.js";
import { Young } from "./young.js";

const STREAM_END = 21;
const CREATED = 22;
const LOCATED = 23;
const CHUNK = 24;
const REPLY = 26;
const LOG = 27;
const NOTICE = 28;

/** What the server says to the user rather than to a handle. */
export interface Listener {
  log(log: Log): void;
  notice(notice: ThornbackError): void;
  /** The session is over. */
  ended(error: ThornbackError): void;
}

/** Operations for a worker, by the number of their field in `ServerOp`. */
export type WorkerOps = (number: number, body: Reader) => void;

/** How many results a call has: a number, or a stream. */
export type Returns = number | "stream";

/** What the handles of one session share. */
export class Runtime implements Handler, Referrer {
  session!: Conversation;
  /** The task that the running code belongs to; set in workers. */
  scope: () => Scope | undefined = () => undefined;
  workerOps: WorkerOps | undefined;
  /** Called once everything that has come was handled. */
  onRest: (() => void) | undefined;

  readonly #listener: Listener;
  readonly #ids = new Ids();
  readonly #slots = new Map<Id, Slot>();
  /** Streams that somebody waits for: who waits is held by nothing but what it waits for. */
  readonly waiting = new Set<StreamSlot>();
  readonly #streams = new Map<Id, WeakRef<StreamSlot>>();
  readonly #store = new Store(() => this.session);
  readonly #replies = new Map<number, { resolve(reply: Reply["reply"]): void; reject(error: ThornbackError): void }>();
  readonly #declarations = new Map<string, number>();
  readonly #counts = new Counts(() => this.session);
  #requests = 0;
  readonly #waits = new Waits(
    () => this.session,
    () => this.scope(),
    (slots) => {
      this.#watch(slots);
    },
  );

  // A ref that is disposed of stays registered, and its hold is empty when it is collected: to take it out costs more than all else of its life.
  readonly #refs = new FinalizationRegistry<Hold>((hold) => {
    this.release(hold);
  });
  readonly #young = new Young<Ref<unknown>>((ref, hold) => {
    this.#refs.register(ref, hold);
  });

  private constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** Opens a session. A driver's keeps the process alive only while somebody waits; with `holdAlways` it does so until it is closed. */
  static async open(
    open: (handler: Handler) => Promise<Conversation>,
    listener: Listener,
    holdAlways: boolean,
  ): Promise<Runtime> {
    const runtime = new Runtime(listener);
    runtime.session = await open(runtime);
    runtime.#waits.holdAlways = holdAlways;
    runtime.session.hold(holdAlways);
    return runtime;
  }

  // Making ids and declarations.

  nextId(): Id {
    return this.#ids.next();
  }

  /** The number of a declaration, which is sent if it is new. `key` tells declarations apart. */
  declare(key: string, make: (number: number) => Extract<ClientOp["op"], { case: "declare" }>["value"]): number {
    let number = this.#declarations.get(key);
    if (number === undefined) {
      number = this.#declarations.size + 1;
      this.session.post({ case: "declare", value: make(number) });
      this.#declarations.set(key, number);
    }
    return number;
  }

  // Calling.

  /** Submits a task, or a call of an actor's method, and gives what its results are known by. */
  call(declaration: number, args: readonly unknown[], returns: Returns, actor?: Id): unknown {
    this.#check();
    const { wire, keep, storing } = encodeArgs(this, args);
    const task = this.#ids.next();
    const parent = this.scope()?.task ?? "";
    const { session } = this;
    if (actor === undefined) writeSubmit(session.begin(), task, declaration, wire, parent);
    else writeCall(session.begin(), task, actor, declaration, wire, parent);
    session.end();
    if (storing) this.#dependOn(storing, task);
    // The node has counted them by now.
    if (keep) for (const ref of keep) ref.dispose();
    if (returns === "stream") {
      const slot = new StreamSlot(task);
      this.#streams.set(task, new WeakRef(slot));
      return new RefStream(this, slot);
    }
    if (returns === 1) return this.#expect(output(task, 0));
    return Array.from({ length: returns }, (_, i) => this.#expect(output(task, i)));
  }

  /** Fails a call if one of the objects that it was sent with gets no room. */
  #dependOn(storing: readonly Id[], task: Id): void {
    for (const object of storing) {
      this.#store.depend(object, (error) => {
        this.#failOutputs(task, error);
        this.cancel(task, {});
      });
    }
  }

  /** A ref to an object that this session makes, and is told of unasked. */
  #expect(id: Id): Ref<unknown> {
    const slot = new Slot(id, true);
    this.#slots.set(id, slot);
    return new Ref(this, slot);
  }

  /** A ref to the object with a group's prefix, which completes when the group is reserved. */
  expectReady(group: Id): Ref<null> {
    return this.#expect(withIndex(group, 1)) as Ref<null>;
  }

  put(value: unknown): Ref<unknown> {
    this.#check();
    if (value instanceof Ref) throw errorOf("INVALID_ARGUMENT", "put stores values; this is a ref already");
    const encoded = encodeValue(value, "the value");
    const id = this.#ids.prefix() + "\0\0\0\x01";
    const ref = this.#expect(id);
    const { slot } = ref;
    if (payloadBytes(encoded) <= this.session.inlineBytes) {
      writePut(this.session.begin(), id, encoded);
      this.session.end();
      slot.setRaw(compact(encoded));
      return ref;
    }
    // Its count is not given back before there is one.
    slot.handles++;
    this.#waits.change(1);
    this.#store.store(id, encoded).then(
      () => {
        this.#stored(slot);
        this.#waits.change(-1);
        this.#drop(slot);
      },
      (error: unknown) => {
        slot.counted = false;
        slot.fail(error as ThornbackError);
        this.#waits.change(-1);
        this.#drop(slot);
      },
    );
    return ref;
  }

  /** Stores the result or an item of a running task. */
  storeResult(object: Id, encoded: ReturnType<typeof encodeValue>, task: Id, attempt: number): Promise<void> {
    return this.#store.store(object, encoded, task, attempt);
  }

  /** Reads an object that is stored: an argument of a worker. */
  fetch(object: Id): Promise<RawValue> {
    return this.#store.fetch(object);
  }

  cancel(id: Id, options: CancelOptions): void {
    if (this.session.ended) return;
    const { force = false, recursive = false } = options;
    this.session.post({ case: "cancel", value: { $typeName: "thornback.v1.Cancel", id: toBytes(id), force, recursive } });
  }

  /** Sends a request of the control plane and waits for its reply. */
  async request(request: Request["request"]): Promise<Reply["reply"]> {
    this.#check();
    const number = ++this.#requests;
    this.#waits.change(1);
    try {
      const reply = await new Promise<Reply["reply"]>((resolve, reject) => {
        this.#replies.set(number, { resolve, reject });
        this.session.post({ case: "request", value: { $typeName: "thornback.v1.Request", number: BigInt(number), request } });
      });
      if (reply.case === "failure") throw fromFailure(reply.value);
      return reply;
    } finally {
      this.#waits.change(-1);
    }
  }

  // Waiting.

  get(ref: Ref<unknown>, options?: GetOptions): Promise<unknown> {
    const { slot } = ref;
    if (slot.state === State.Plain) return Promise.resolve(slot.plain);
    if (slot.state === State.Pending && options === undefined && this.scope() === undefined) {
      if (!slot.watched) this.#watch([slot]);
      // What most programs do most: no timer, no signal, no task.
      return new Promise((resolve, reject) => {
        this.#waits.change(1);
        slot.wait(() => {
          this.#waits.change(-1);
          // The ref is held until here: without it nobody would tell of the object.
          this.#read(ref, slot, undefined).then(resolve, reject);
        });
      });
    }
    return this.#getSlowly(ref, slot, options);
  }

  async #getSlowly(ref: Ref<unknown>, slot: Slot, options: GetOptions | undefined): Promise<unknown> {
    const deadline = options?.timeoutMs === undefined ? undefined : performance.now() + Math.max(options.timeoutMs, 0);
    if (!slot.ready) await this.#waits.untilReady([slot], 1, false, options);
    return this.#read(
      ref,
      slot,
      options && { ...options, ...(deadline !== undefined && { timeoutMs: deadline - performance.now() }) },
    );
  }

  async getAll(refs: readonly Ref<unknown>[], options?: GetOptions): Promise<unknown[]> {
    const slots = refs.map((ref) => ref.slot);
    const deadline = options?.timeoutMs === undefined ? undefined : performance.now() + Math.max(options.timeoutMs, 0);
    await this.#waits.untilReady(slots, slots.length, true, options);
    const rest = options && { ...options, ...(deadline !== undefined && { timeoutMs: deadline - performance.now() }) };
    const values: unknown[] = new Array(slots.length);
    let later: Promise<void>[] | undefined;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i];
      if (slot.state === State.Plain) values[i] = slot.plain;
      else {
        const set = this.#read(refs[i], slot, rest).then((value) => {
          values[i] = value;
        });
        (later ??= []).push(set);
      }
    }
    if (later) await Promise.all(later);
    for (let i = 0; i < refs.length; i++) {
      const { reader } = refs[i];
      if (reader !== undefined) values[i] = reader(values[i]);
    }
    return values;
  }

  async wait(refs: readonly Ref<unknown>[], options: WaitOptions): Promise<[Ref<unknown>[], Ref<unknown>[]]> {
    const { count = 1, fetch = true } = options;
    if (refs.length === 0) return [[], []];
    const slots = refs.map((ref) => ref.slot);
    if (new Set(slots).size !== slots.length)
      throw errorOf("INVALID_ARGUMENT", "wait takes each ref once; the list holds duplicates");
    if (!Number.isInteger(count) || count < 1 || count > refs.length) {
      throw errorOf("INVALID_ARGUMENT", `count is from 1 to the number of refs, ${refs.length}; it is ${count}`);
    }
    try {
      await this.#waits.untilReady(slots, count, false, options);
    } catch (error) {
      // Running out of time is an answer here.
      if ((error as Partial<ThornbackError>).code !== "GET_TIMEOUT") throw error;
    }
    const ready: Ref<unknown>[] = [];
    const rest: Ref<unknown>[] = [];
    for (const ref of refs) (ready.length < count && ref.slot.ready ? ready : rest).push(ref);
    if (fetch) {
      for (const { slot } of refs) {
        if (slot.state !== State.Stored) continue;
        this.session.post({ case: "fetch", value: { $typeName: "thornback.v1.Fetch", object: toBytes(slot.id), quiet: true } });
      }
    }
    return [ready, rest];
  }

  /** See `Waits.until`. */
  until(register: (wake: () => void) => () => void, options?: GetOptions): Promise<void> {
    return this.#waits.until(register, options);
  }

  async #read(ref: Ref<unknown>, slot: Slot, options: GetOptions | undefined): Promise<unknown> {
    switch (slot.state) {
      case State.Plain:
        return slot.plain;
      case State.Raw:
        return this.decode(slot.raw!);
      case State.Failed:
        throw slot.error!;
      case State.Stored: {
        let raw: RawValue | undefined;
        let failed: unknown;
        await this.until((wake) => {
          this.#store.fetch(slot.id).then(
            (value) => {
              raw = value;
              wake();
            },
            (error: unknown) => {
              failed = error;
              wake();
            },
          );
          return () => undefined;
        }, options);
        if (!raw) throw failed;
        // Until its refs are counted, what they were found in is.
        const value = this.decode(raw);
        keepAlive(ref);
        return value;
      }
      default:
        throw errorOf("INTERNAL", "an object was read before it was ready");
    }
  }

  /** Decodes a value. Refs in it are counted for this session. */
  decode(raw: RawValue): unknown {
    try {
      return decodeValue(raw, this);
    } finally {
      this.#counts.flushRetains();
    }
  }

  #stored(slot: Slot): void {
    this.#hold(slot);
    slot.setStored();
  }

  #hold(slot: Slot): void {
    if (slot.dear) return;
    slot.dear = true;
    this.#counts.hold();
  }

  #watch(slots: readonly Slot[]): void {
    for (const slot of slots) slot.watched = true;
    const objects = slots.map((slot) => toBytes(slot.id));
    this.session.post({ case: "watch", value: { $typeName: "thornback.v1.Watch", objects } });
  }

  #check(): void {
    if (this.session.ended) throw this.session.ended;
  }

  // Refs and what counts them.

  makeRef(id: Id): Ref<unknown> {
    let slot = this.#slots.get(id);
    if (slot) slot.handles++;
    else {
      slot = new Slot(id, false);
      this.#slots.set(id, slot);
      this.#counts.retain(id);
      this.#hold(slot);
    }
    return new Ref(this, slot);
  }

  makeStream(id: Id): RefStream<unknown> {
    let slot = this.#streams.get(id)?.deref();
    if (!slot) {
      slot = new StreamSlot(id);
      this.#streams.set(id, new WeakRef(slot));
      this.#counts.retain(id);
      this.#watchStream(id);
    }
    return new RefStream(this, slot);
  }

  makeActor(id: Id, className: string, interfaceBytes: Uint8Array): ActorHandle<unknown> {
    this.#counts.retain(id);
    return new ActorHandle(this, id, className, interfaceBytes);
  }

  #watchStream(id: Id): void {
    // After the retain, which is what makes the node tell of it.
    queueMicrotask(() => {
      if (this.session.ended) return;
      this.#counts.flushRetains();
      this.session.post({ case: "watch", value: { $typeName: "thornback.v1.Watch", objects: [toBytes(id)] } });
    });
  }

  adopt(ref: Ref<unknown>, hold: Hold): void {
    this.#young.add(ref, hold);
  }

  release(hold: Hold): void {
    const { slot } = hold;
    if (slot === undefined) return;
    hold.slot = undefined;
    this.#drop(slot);
  }

  adoptStream(stream: RefStream<unknown>, slot: StreamSlot): void {
    this.#counts.adopt(stream, slot.task);
  }

  releaseStream(stream: RefStream<unknown>, slot: StreamSlot): void {
    this.#streams.delete(slot.task);
    this.#counts.release(stream, slot.task);
  }

  adoptActor(handle: object, id: Id): void {
    this.#counts.adopt(handle, id);
  }

  releaseActor(handle: object, id: Id): void {
    this.#counts.release(handle, id);
  }

  consumed(slot: StreamSlot): void {
    if (this.session.ended) return;
    const count = BigInt(slot.taken);
    this.session.post({ case: "consumed", value: { $typeName: "thornback.v1.Consumed", task: toBytes(slot.task), count } });
  }

  #drop(slot: Slot): void {
    if (--slot.handles > 0) return;
    this.#slots.delete(slot.id);
    if (slot.dear) this.#counts.unhold();
    if (slot.counted) this.#counts.drop(slot.id);
  }

  // What the server says.

  handleOp(number: number, reader: Reader): void {
    if (number === COMPLETION) {
      this.#completion(reader);
      return;
    }
    if (this.workerOps && number >= 10 && number <= 14) {
      this.workerOps(number, reader);
      return;
    }
    const bytes = reader.buffer.subarray(reader.at, reader.end);
    switch (number) {
      case STREAM_END: {
        const end = readMessage(StreamEndSchema, bytes);
        const stream = this.#streams.get(fromBytes(end.task))?.deref();
        stream?.end(end.failure && fromFailure(end.failure));
        return;
      }
      case CREATED:
        this.#store.handleCreated(readMessage(CreatedSchema, bytes));
        return;
      case LOCATED:
        this.#store.handleLocated(readMessage(LocatedSchema, bytes));
        return;
      case CHUNK: {
        const chunk = readMessage(ChunkSchema, bytes);
        const { data } = chunk;
        const shared = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
        this.#store.handleChunk(fromBytes(chunk.object), Number(chunk.offset), shared);
        return;
      }
      case REPLY: {
        const reply: MessageShape<typeof ReplySchema> = readMessage(ReplySchema, bytes);
        const waiting = this.#replies.get(Number(reply.number));
        this.#replies.delete(Number(reply.number));
        waiting?.resolve(reply.reply);
        return;
      }
      case LOG:
        this.#listener.log(readMessage(LogSchema, bytes));
        return;
      case NOTICE: {
        const { failure } = readMessage(NoticeSchema, bytes);
        if (failure) this.#listener.notice(fromFailure(failure));
        return;
      }
      default:
    }
  }

  handleRest(): void {
    this.#counts.touch();
    this.#store.pump();
    this.onRest?.();
  }

  handleRefused(made: Id | undefined, op: ClientOp | undefined, error: ThornbackError): void {
    if (made !== undefined) {
      const slot = this.#slots.get(made);
      if (slot) {
        slot.counted = false;
        if (!slot.ready) slot.fail(error);
        return;
      }
      if (this.#failOutputs(made, error)) return;
    } else if (op?.op.case === "request") {
      this.#replies.get(Number(op.op.value.number))?.reject(error);
      this.#replies.delete(Number(op.op.value.number));
      return;
    }
    this.#listener.notice(error);
  }

  handleEnd(error: ThornbackError): void {
    for (const slot of this.#slots.values()) if (!slot.ready) slot.fail(error);
    for (const stream of this.#streams.values()) stream.deref()?.end(error);
    this.#store.fail(error);
    for (const waiting of this.#replies.values()) waiting.reject(error);
    this.#replies.clear();
    this.#streams.clear();
    this.#listener.ended(error);
  }

  #completion(reader: Reader): void {
    const { object, value, failure, stored } = readCompletion(reader);
    let slot = this.#slots.get(object);
    let stream: StreamSlot | undefined;
    if (slot === undefined) {
      stream = this.#streams.get(withIndex(object, 0))?.deref();
      // Its last ref went while this was on its way.
      if (stream === undefined) return;
      slot = new Slot(object, true);
      this.#slots.set(object, slot);
    }
    if (value !== undefined) setValue(slot, value);
    else if (stored) this.#stored(slot);
    else slot.fail(fromFailure(failure === undefined ? undefined : readFailure(failure)));
    stream?.item(slot);
  }

  /** Fails what a call would have made. Whether there was any. */
  #failOutputs(task: Id, error: ThornbackError): boolean {
    const stream = this.#streams.get(task)?.deref();
    stream?.end(error);
    let found = stream !== undefined;
    for (let i = 0; ; i++) {
      const slot = this.#slots.get(output(task, i));
      if (!slot) return found;
      found = true;
      if (!slot.ready) slot.fail(error);
    }
  }
}

/** Uses a ref, so that it is not collected before: without it nobody would tell of its object. */
function keepAlive(_ref: Ref<unknown>): void {}

function readFailure(bytes: Uint8Array): Failure {
  return readMessage(FailureSchema, bytes);
}
