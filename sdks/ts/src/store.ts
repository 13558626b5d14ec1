// Large values on their way into the object store and out of it, in pieces: this language cannot map shared memory, so their bytes travel in frames.

import { CODES } from "./codes.js";
import { errorOf, fromFailure, type ThornbackError } from "./errors.js";
import type { Created, Located } from "./gen/thornback/v1/object_pb.js";
import { pieceOf, type Plan, planOf, valueOf } from "./layout.js";
import { fromBytes, type Id, NO_ID, toBytes } from "./session/ids.js";
import { type RawValue, writeWrite } from "./session/ops.js";
import type { Conversation } from "./session/conversation.js";
import type { Encoded } from "./values.js";

/** Bytes of one `Write`: large enough to be few, small enough that others get their turn. */
const WRITE_BYTES = 256 * 1024;
/** Bytes that may wait in the session before more is written. */
const QUEUED_BYTES_MAX = 2 * 1024 * 1024;

interface Storing {
  readonly object: Id;
  /** Of a task that runs here, not a put. */
  readonly isResult: boolean;
  readonly plan: Plan;
  readonly encoded: Encoded;
  offset: number;
  /** Called if there is no room: whatever was sent with this object as an argument cannot run. */
  readonly dependents: ((error: ThornbackError) => void)[];
  resolve(): void;
  reject(error: ThornbackError): void;
}

interface Fetching {
  readonly promise: Promise<RawValue>;
  resolve(value: RawValue): void;
  reject(error: ThornbackError): void;
  /** What its bytes are read into, once it is known how many there are: each is copied once, and no frame is kept for it. */
  into: Buffer | undefined;
  have: number;
}

/** The transfers of one session. */
export class Store {
  readonly #session: () => Conversation;
  readonly #creates = new Map<Id, Storing>();
  readonly #writes: Storing[] = [];
  readonly #fetches = new Map<Id, Fetching>();

  constructor(session: () => Conversation) {
    this.#session = session;
  }

  /** Stores a value; resolves once it is sealed. For a result or stream item, `task` and `attempt` name who makes it. */
  store(object: Id, encoded: Encoded, task: Id = NO_ID, attempt = 0): Promise<void> {
    const plan = planOf(encoded);
    this.#session().post({
      case: "create",
      value: { $typeName: "thornback.v1.Create", object: toBytes(object), size: BigInt(plan.size), task: toBytes(task), attempt },
    });
    return new Promise((resolve, reject) => {
      this.#creates.set(object, { object, isResult: task !== NO_ID, plan, encoded, offset: 0, dependents: [], resolve, reject });
    });
  }

  /** Has `fail` called if an object that is on its way gets no room. */
  depend(object: Id, fail: (error: ThornbackError) => void): void {
    this.#creates.get(object)?.dependents.push(fail);
  }

  /** Reads a stored object. Several who want the same bytes share one transfer. */
  fetch(object: Id): Promise<RawValue> {
    const under = this.#fetches.get(object);
    if (under) return under.promise;
    let settle: Pick<Fetching, "resolve" | "reject"> | undefined;
    const promise = new Promise<RawValue>((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#fetches.set(object, { promise, ...settle!, into: undefined, have: 0 });
    this.#session().post({ case: "fetch", value: { $typeName: "thornback.v1.Fetch", object: toBytes(object), quiet: false } });
    return promise;
  }

  /** Sends pieces while the session takes them, one of each object in turn. */
  pump(): void {
    const session = this.#session();
    const limit = Math.min(WRITE_BYTES, session.frameBytes - 128);
    while (this.#writes.length > 0 && session.hasRoom(QUEUED_BYTES_MAX)) {
      const storing = this.#writes.shift()!;
      const { object, plan, offset } = storing;
      if (offset < plan.size) {
        const piece = pieceOf(plan, offset, limit);
        writeWrite(session.begin(), object, offset, piece);
        session.end();
        storing.offset += piece.length;
        this.#writes.push(storing);
        continue;
      }
      const refs = storing.encoded.refs.map(toBytes);
      session.post({ case: "seal", value: { $typeName: "thornback.v1.Seal", object: toBytes(object), refs } });
      storing.resolve();
    }
  }

  handleCreated(created: Created): void {
    const object = fromBytes(created.object);
    const storing = this.#creates.get(object);
    if (!storing) return;
    this.#creates.delete(object);
    const { outcome } = created;
    if (outcome.case === "location" && outcome.value.arena === 0) {
      this.#writes.push(storing);
      this.pump();
      return;
    }
    let error: ThornbackError;
    if (outcome.case === "failure" && storing.isResult && outcome.value.code === CODES.DUPLICATE_ID) {
      // An earlier attempt has stored it (DATA-021).
      storing.resolve();
      return;
    }
    if (outcome.case === "failure") error = fromFailure(outcome.value);
    else {
      error = errorOf("INTERNAL", "the node gave shared memory to a session that has not asked for any");
      this.#session().post({ case: "abort", value: { $typeName: "thornback.v1.Abort", object: toBytes(object) } });
    }
    for (const fail of storing.dependents) fail(error);
    storing.reject(error);
  }

  handleLocated(located: Located): void {
    const object = fromBytes(located.object);
    const { outcome } = located;
    const fetching = this.#fetches.get(object);
    if (outcome.case === "location" && outcome.value.arena !== 0) {
      this.#session().post({ case: "release", value: { $typeName: "thornback.v1.Release", objects: [located.object] } });
    }
    if (!fetching) return;
    switch (outcome.case) {
      case "location":
        if (outcome.value.arena === 0) {
          const size = Number(outcome.value.size);
          try {
            fetching.into = Buffer.allocUnsafeSlow(size);
          } catch (error) {
            const message = `there is no memory for an object of ${size} bytes; read it in a process that may have more`;
            this.#fail(object, errorOf("LIMIT_EXCEEDED", message, { cause: error }));
            return;
          }
          if (size > 0) return;
        }
        this.#fail(object, errorOf("INTERNAL", "the node gave a location where nothing can be read"));
        return;
      case "value": {
        const { format, data, buffers, schema } = outcome.value;
        this.#fetches.delete(object);
        fetching.resolve({ format, data, refs: outcome.value.refs.map(fromBytes), buffers, schema });
        return;
      }
      case "failure":
        this.#fail(object, fromFailure(outcome.value));
        return;
      default:
        this.#fail(object, errorOf("INTERNAL", "the node told where an object is in a way that this version does not know"));
    }
  }

  handleChunk(object: Id, offset: number, data: Buffer): void {
    const fetching = this.#fetches.get(object);
    if (!fetching) return;
    const { into } = fetching;
    if (!into || offset !== fetching.have || offset + data.length > into.length) {
      this.#fail(object, errorOf("INTERNAL", "the pieces of an object came out of order"));
      return;
    }
    data.copy(into, offset);
    fetching.have += data.length;
    if (fetching.have < into.length) return;
    this.#fetches.delete(object);
    try {
      fetching.resolve(valueOf(into));
    } catch (error) {
      fetching.reject(error as ThornbackError);
    }
  }

  /** The session is over. */
  fail(error: ThornbackError): void {
    for (const storing of [...this.#creates.values(), ...this.#writes]) storing.reject(error);
    this.#creates.clear();
    this.#writes.length = 0;
    for (const object of [...this.#fetches.keys()]) this.#fail(object, error);
  }

  #fail(object: Id, error: ThornbackError): void {
    const fetching = this.#fetches.get(object);
    this.#fetches.delete(object);
    fetching?.reject(error);
  }
}
